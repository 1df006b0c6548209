//! Rules about who calls, and by which certificates.

use super::{Rule, When};
use crate::{
    caller::Pattern,
    config::{BaseUrl, Config, CredentialsMode},
};

/// Where callers are not asked who they are, a policy would keep nobody out.
macro_rules! unasked {
    ($policy:ident, Production) => {
        Rule {
            key: concat!("policy.", stringify!($policy)),
            other: None,
            expected: "no value, or a way for callers to prove who they are: `tls.client_ca_file`, `callers.jwt_issuer` or `callers.forwarded_certificates`",
            when: When::Production,
            holds: |config| config.authenticates_callers() || config.policy.$policy.is_empty(),
        }
    };
    ($policy:ident, Sandbox) => {
        Rule {
            key: concat!("policy.", stringify!($policy)),
            other: None,
            expected: "`*`, or a way for callers to prove who they are: `tls.client_ca_file`, `callers.jwt_issuer` or `callers.forwarded_certificates`",
            when: When::Sandbox,
            holds: |config| {
                config.authenticates_callers() || config.policy.$policy == [Pattern::Any]
            },
        }
    };
}

pub(super) const RULES: &[Rule] = &[
    // === who calls ===
    Rule {
        key: "callers.jwt_issuer",
        other: None,
        expected: "the issuer of the callers' tokens, as `credentials.mode = \"on_behalf_of\"` exchanges them",
        when: When::Production,
        holds: |config| {
            config.credentials.mode != CredentialsMode::OnBehalfOf
                || config.callers.jwt_issuer.is_some()
        },
    },
    Rule {
        key: "callers.jwt_issuer",
        other: None,
        expected: "no value, as with `credentials.mode = \"passthrough\"` the callers' tokens are for Graph, and nobody else can check them",
        when: When::Always,
        holds: |config| {
            config.credentials.mode != CredentialsMode::Passthrough
                || config.callers.jwt_issuer.is_none()
        },
    },
    Rule {
        key: "callers.jwt_issuer",
        other: None,
        expected: "the issuer of one tenant, with its id, as the discovery document of `common` and `organizations` names a template that no token repeats",
        when: When::Always,
        holds: |config| {
            let issuer = config.callers.jwt_issuer.as_deref().unwrap_or_default();
            !is_of_many_tenants(issuer)
        },
    },
    Rule {
        key: "callers.jwt_audience",
        other: None,
        expected: "at least one audience, this gateway's application id or URI, as `callers.jwt_issuer` needs one",
        when: When::Always,
        holds: |config| {
            config.callers.jwt_issuer.is_none() || !config.callers.jwt_audience.is_empty()
        },
    },
    Rule {
        key: "callers.forwarded_certificates",
        other: Some("server.listen"),
        expected: "`false`, as any peer could forge the header, or a loopback address or a unix socket in",
        when: When::Always,
        holds: |config| !config.callers.forwarded_certificates || config.server.listen.is_local(),
    },
    Rule {
        key: "server.listen",
        other: None,
        expected: "a loopback address or a unix socket, or callers who prove who they are (`tls.client_ca_file`, `callers.jwt_issuer`), as with `credentials.mode = \"application\"` whoever reaches the gateway starts actions with its permissions",
        when: When::Production,
        holds: |config| {
            config.credentials.mode != CredentialsMode::Application
                || config.server.listen.is_local()
                || config.authenticates_callers()
        },
    },
    Rule {
        key: "policy.execute_response_action",
        other: None,
        expected: "at least one caller, as nobody else may start actions; `*` for whoever has proven who they are",
        when: When::Always,
        holds: |config| {
            !config.authenticates_callers() || !config.policy.execute_response_action.is_empty()
        },
    },
    unasked!(execute_response_action, Production),
    unasked!(execute_response_action, Sandbox),
    unasked!(get_incident_task, Production),
    unasked!(get_incident_task, Sandbox),
    unasked!(list_incident_tasks, Production),
    unasked!(list_incident_tasks, Sandbox),
    unasked!(update_incident_task, Production),
    unasked!(update_incident_task, Sandbox),
    unasked!(watch_incident_task, Production),
    unasked!(watch_incident_task, Sandbox),
    Rule {
        key: "policy.reflection",
        other: None,
        expected: "`*`, or a way for callers to prove who they are: `tls.client_ca_file`, `callers.jwt_issuer` or `callers.forwarded_certificates`; `server.reflection = false` turns reflection off for all",
        when: When::Always,
        holds: |config| {
            config.authenticates_callers()
                || !config.server.reflection
                || config.policy.reflection == [Pattern::Any]
        },
    },
    // === certificates ===
    Rule {
        key: "tls.key_file",
        other: Some("tls.certificate_file"),
        expected: "the path of a file, together with",
        when: When::Always,
        holds: |config| config.tls.key_file.is_some() == config.tls.certificate_file.is_some(),
    },
    Rule {
        key: "tls.client_ca_file",
        other: Some("tls.certificate_file"),
        expected: "no value, or the path of a file in",
        when: When::Always,
        holds: |config| {
            config.tls.client_ca_file.is_none() || config.tls.certificate_file.is_some()
        },
    },
    Rule {
        key: "graph.client_key_file",
        other: Some("graph.client_certificate_file"),
        expected: "the path of a file, together with",
        when: When::Always,
        holds: |config| {
            let graph = &config.graph;
            graph.client_key_file.is_some() == graph.client_certificate_file.is_some()
        },
    },
    Rule {
        key: "graph.client_certificate_file",
        other: Some("graph.url"),
        expected: "no value, or https in",
        when: When::Always,
        holds: |config| {
            let graph = &config.graph;
            graph.client_certificate_file.is_none()
                || !graph.url.as_ref().is_none_or(BaseUrl::is_plaintext)
        },
    },
];

/// Whether the path begins as that of Entra's issuers for many tenants at once. Their
/// discovery documents name `https://login.microsoftonline.com/{tenantid}/v2.0` (Microsoft
/// identity platform, "`OpenID` Connect", "Find your app's `OpenID` configuration document URI").
fn is_of_many_tenants(issuer: &str) -> bool {
    let path = issuer.split_once("://").map_or("", |(_, rest)| rest);
    let tenant = path.split('/').nth(1).unwrap_or_default();
    ["common", "organizations"]
        .iter()
        .any(|word| word.eq_ignore_ascii_case(tenant))
}

impl Config {
    /// Whether callers are asked to prove who they are.
    pub fn authenticates_callers(&self) -> bool {
        self.tls.client_ca_file.is_some()
            || self.callers.jwt_issuer.is_some()
            || self.callers.forwarded_certificates
            || self.credentials.mode == CredentialsMode::OnBehalfOf
    }
}
