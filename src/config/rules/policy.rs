//! Rules about the policy: whom it names, and whether they can prove it.

use super::Broken;
use crate::{
    caller::{Name, Pattern},
    config::{Config, CredentialsMode},
};

/// Where certificates come from.
const BY_CERTIFICATE: [&str; 2] = ["tls.client_ca_file", "callers.forwarded_certificates"];
/// Where tokens come from.
const BY_TOKEN: [&str; 2] = ["callers.jwt_issuer", "credentials.mode"];

/// Each policy with an entry that nobody can prove: it would let nobody in, or, where no
/// way at all is configured, everybody.
pub(super) fn unprovable(config: &Config) -> Vec<Broken> {
    let policy = &config.policy;
    [
        (
            "policy.execute_response_action",
            &policy.execute_response_action,
        ),
        ("policy.get_incident_task", &policy.get_incident_task),
        ("policy.list_incident_tasks", &policy.list_incident_tasks),
        ("policy.update_incident_task", &policy.update_incident_task),
        ("policy.watch_incident_task", &policy.watch_incident_task),
        ("policy.reflection", &policy.reflection),
    ]
    .into_iter()
    .filter_map(|(key, patterns)| {
        let first = patterns.iter().position(|pattern| !is_provable(config, pattern))?;
        let pattern = patterns.get(first)?;
        let (others, expected) = if is_of_certificates(pattern) {
            (
                BY_CERTIFICATE,
                "names that a configured way proves; `spiffe:` and `dns:` need `tls.client_ca_file` or `callers.forwarded_certificates`",
            )
        } else {
            (
                BY_TOKEN,
                "names that a configured way proves; `app:`, `subject:`, `role:` and `scope:` need `callers.jwt_issuer`",
            )
        };
        Some(Broken {
            key,
            others: others.to_vec(),
            expected: format!("{expected}, and entry {} has none", first + 1),
        })
    })
    .collect()
}

fn is_provable(config: &Config, pattern: &Pattern) -> bool {
    if matches!(pattern, Pattern::Any) {
        return true;
    }
    if is_of_certificates(pattern) {
        config.tls.client_ca_file.is_some() || config.callers.forwarded_certificates
    } else {
        // The exchange of callers' tokens needs an issuer, which the sandbox brings.
        config.callers.jwt_issuer.is_some()
            || config.credentials.mode == CredentialsMode::OnBehalfOf
    }
}

fn is_of_certificates(pattern: &Pattern) -> bool {
    match pattern {
        Pattern::SpiffeBelow(_)
        | Pattern::DnsBelow(_)
        | Pattern::Is(Name::Spiffe(_) | Name::Dns(_)) => true,
        Pattern::Any
        | Pattern::Is(Name::Application(_) | Name::Subject(_) | Name::Role(_) | Name::Scope(_)) => {
            false
        }
    }
}
