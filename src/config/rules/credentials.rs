//! Rules about as whom Graph is called.

use super::{Broken, Rule, When};
use crate::config::{
    ClientAuthentication, Config, CredentialsMode, Preset, given::Given, origin::Origin,
};

pub(super) const RULES: &[Rule] = &[
    Rule {
        key: "credentials.tenant",
        other: None,
        expected: "the tenant's id or domain, as `credentials.mode` needs one",
        when: When::AsksEntra,
        holds: |config| config.credentials.tenant.is_some() || is_managed(config),
    },
    Rule {
        key: "credentials.client_id",
        other: None,
        expected: "an application (client) id, as `credentials.mode` needs one",
        when: When::AsksEntra,
        holds: |config| config.credentials.client_id.is_some() || is_managed(config),
    },
    Rule {
        key: "credentials.client_secret_file",
        other: None,
        expected: "the path of a file, or the secret in INCIDENTGATE_CREDENTIALS__CLIENT_SECRET, and not both, as `client_authentication = \"secret\"` needs one",
        when: When::AsksEntra,
        holds: |config| {
            let credentials = &config.credentials;
            let both =
                credentials.client_secret.is_some() == credentials.client_secret_file.is_some();
            !authenticates_by(config, ClientAuthentication::Secret) || !both
        },
    },
    Rule {
        key: "credentials.certificate_file",
        other: None,
        expected: "the path of a PEM file, as `client_authentication = \"certificate\"` needs one",
        when: When::AsksEntra,
        holds: |config| {
            config.credentials.certificate_file.is_some()
                || !authenticates_by(config, ClientAuthentication::Certificate)
        },
    },
    Rule {
        key: "credentials.federated_token_file",
        other: None,
        expected: "the path of a file, as `client_authentication = \"workload_identity\"` needs one",
        when: When::AsksEntra,
        holds: |config| {
            config.credentials.federated_token_file.is_some()
                || !authenticates_by(config, ClientAuthentication::WorkloadIdentity)
        },
    },
    Rule {
        key: "credentials.client_authentication",
        other: None,
        expected: "`secret`, `certificate` or `workload_identity`, as a managed identity cannot exchange a caller's token",
        when: When::AsksEntra,
        holds: |config| {
            config.credentials.mode != CredentialsMode::OnBehalfOf || !is_managed(config)
        },
    },
];

fn is_managed(config: &Config) -> bool {
    config.credentials.client_authentication == ClientAuthentication::ManagedIdentity
}

fn authenticates_by(config: &Config, way: ClientAuthentication) -> bool {
    config.credentials.client_authentication == way
}

/// What proves an application, and by which way.
const PROOFS: [(&str, ClientAuthentication); 4] = [
    ("credentials.client_secret", ClientAuthentication::Secret),
    (
        "credentials.client_secret_file",
        ClientAuthentication::Secret,
    ),
    (
        "credentials.certificate_file",
        ClientAuthentication::Certificate,
    ),
    (
        "credentials.federated_token_file",
        ClientAuthentication::WorkloadIdentity,
    ),
];

/// Each proof that is set and never shown: whoever set it believes that it counts.
pub(super) fn unused(config: &Config, preset: Preset, given: &Given) -> Vec<Broken> {
    let credentials = &config.credentials;
    let expected = match (credentials.mode, preset) {
        (CredentialsMode::Passthrough, _) => {
            "no value, or another mode than `passthrough`, which proves no application, in"
        }
        // The sandbox brings its own registration, and its own proof of it.
        (_, Preset::Sandbox) => return Vec::new(),
        (_, Preset::Production) => "no value, or the way that shows it in",
    };
    let (other, shown) = match credentials.mode {
        CredentialsMode::Passthrough => ("credentials.mode", None),
        CredentialsMode::Application | CredentialsMode::OnBehalfOf => (
            "credentials.client_authentication",
            Some(credentials.client_authentication),
        ),
    };
    PROOFS
        .iter()
        .filter(|(key, way)| shown != Some(*way) && is_set(given, key))
        .map(|(key, _)| Broken {
            key,
            others: vec![other],
            expected: given.measured(expected, other),
        })
        .collect()
}

/// Whether somebody set it for this gateway: the platform's variables may be there for
/// another program.
fn is_set(given: &Given, key: &str) -> bool {
    given.effective(key).is_some_and(|(origin, text)| {
        let is_platforms =
            matches!(origin, Origin::Environment(name) if name.starts_with("AZURE_"));
        !text.is_empty() && !is_platforms
    })
}
