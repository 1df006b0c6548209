//! Rules about who calls, as whom Graph is called, and by which certificates.

use super::{Rule, When};
use crate::{
    caller::Pattern,
    config::{BaseUrl, ClientAuthentication, Config, CredentialsMode},
};

pub(super) const RULES: &[Rule] = &[
    // === as whom Graph is called ===
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
    Rule {
        key: "policy.execute_response_action",
        other: None,
        expected: "no value, or a way for callers to prove who they are: `tls.client_ca_file`, `callers.jwt_issuer` or `callers.forwarded_certificates`",
        when: When::Production,
        holds: |config| {
            config.authenticates_callers() || config.policy.execute_response_action.is_empty()
        },
    },
    Rule {
        key: "policy.execute_response_action",
        other: None,
        expected: "`*`, or a way for callers to prove who they are: `tls.client_ca_file`, `callers.jwt_issuer` or `callers.forwarded_certificates`",
        when: When::Sandbox,
        holds: |config| {
            config.authenticates_callers()
                || config.policy.execute_response_action == [Pattern::Any]
        },
    },
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

fn is_managed(config: &Config) -> bool {
    config.credentials.client_authentication == ClientAuthentication::ManagedIdentity
}

fn authenticates_by(config: &Config, way: ClientAuthentication) -> bool {
    config.credentials.client_authentication == way
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
