//! The credentials that the configuration asks for.

use std::path::PathBuf;

use anyhow::Context as _;

use super::bundle;
use crate::{
    config::{ClientAuthentication, Config, CredentialsMode},
    credentials::{Application, Client, Credentials, Entra, EntraOptions, Exchange, Proof},
    telemetry::Metrics,
};

/// As whom the configuration wants Graph to be called.
pub fn credentials(config: &Config, metrics: &Metrics) -> anyhow::Result<Credentials> {
    let credentials = &config.credentials;
    let metrics = metrics.clone();
    let is_managed = credentials.client_authentication == ClientAuthentication::ManagedIdentity;
    Ok(match credentials.mode {
        CredentialsMode::Passthrough => Credentials::Passthrough,
        CredentialsMode::Application if is_managed => Credentials::Application(
            Application::managed(
                credentials.client_id.clone(),
                scope(config),
                credentials.timeout,
                metrics,
            )
            .context("credentials")?,
        ),
        CredentialsMode::Application => Credentials::Application(Application::registered(
            entra(config)?,
            client(config)?,
            scope(config),
            metrics,
        )),
        CredentialsMode::OnBehalfOf => Credentials::OnBehalfOf(Exchange::new(
            entra(config)?,
            client(config)?,
            scope(config),
            credentials.max_users,
            metrics,
        )),
    })
}

/// Whether Entra is asked as an application that is registered there: with a proof, and by
/// this gateway's own requests.
pub(super) fn is_registered(config: &Config) -> bool {
    let credentials = &config.credentials;
    credentials.mode != CredentialsMode::Passthrough
        && credentials.client_authentication != ClientAuthentication::ManagedIdentity
}

/// Whether a registered application can prove to Entra that it is the one, as far as this
/// machine knows.
pub(super) async fn check(config: &Config) -> anyhow::Result<()> {
    Ok(client(config)?.check().await?)
}

fn entra(config: &Config) -> anyhow::Result<Entra> {
    let credentials = &config.credentials;
    let options = EntraOptions {
        authority: credentials.authority.as_url().clone(),
        tenant: credentials
            .tenant
            .clone()
            .context("credentials.tenant is not set")?,
        timeout: credentials.timeout,
        extra_roots: bundle("credentials.ca_file", credentials.ca_file.as_deref())?,
    };
    Entra::new(options).context("credentials.ca_file")
}

fn client(config: &Config) -> anyhow::Result<Client> {
    let credentials = &config.credentials;
    let file =
        |path: &Option<PathBuf>, key| path.clone().with_context(|| format!("{key} is not set"));
    let proof = match (
        credentials.client_authentication,
        &credentials.client_secret,
    ) {
        (ClientAuthentication::Secret, Some(secret)) => Proof::Secret(secret.clone()),
        (ClientAuthentication::Secret, None) => Proof::SecretFile(file(
            &credentials.client_secret_file,
            "credentials.client_secret_file",
        )?),
        (ClientAuthentication::Certificate, _) => Proof::CertificateFile(file(
            &credentials.certificate_file,
            "credentials.certificate_file",
        )?),
        (ClientAuthentication::WorkloadIdentity, _) => Proof::TokenFile(file(
            &credentials.federated_token_file,
            "credentials.federated_token_file",
        )?),
        (ClientAuthentication::ManagedIdentity, _) => {
            anyhow::bail!("a managed identity is no client that could exchange tokens")
        }
    };
    Ok(Client {
        id: credentials
            .client_id
            .clone()
            .context("credentials.client_id is not set")?,
        proof,
    })
}

/// What tokens for Graph are for. A Graph on this machine is a proxy or a simulator of the
/// global one.
fn scope(config: &Config) -> String {
    let root = match &config.graph.url {
        Some(url) if !url.is_plaintext() => url.origin(),
        _ => "https://graph.microsoft.com".to_owned(),
    };
    let scope = config.credentials.scope.clone();
    scope.unwrap_or_else(|| format!("{root}/.default"))
}
