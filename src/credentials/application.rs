//! The gateway's own token, by `azure_identity`.
//!
//! That crate's cache holds a lock while it fetches, fails calls whose token is still
//! good, and cannot forget a token that was refused. So each fetch has a credential of its
//! own, and the cache is [`Renewable`].

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use azure_core::{
    cloud::{CloudConfiguration, CustomConfiguration},
    credentials::{AccessToken, TokenCredential},
    http::{
        ClientMethodOptions, ClientOptions, HttpClient, RetryOptions, Transport as AzureTransport,
    },
    time::OffsetDateTime,
};
use azure_identity::{
    ClientAssertion, ClientAssertionCredential, ClientAssertionCredentialOptions,
    ClientSecretCredential, ClientSecretCredentialOptions, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, UserAssignedId,
};
use futures_util::FutureExt as _;
use tokio::time::Instant;

use super::{
    claims,
    client::{Client, Shown},
    transport::{Entra, Transport, unavailable},
};
use crate::{
    authorization::{Authorization, TokenOwner},
    failure::Failure,
    outbound::{BuildError, Documents, Way},
    renewable::{Fetched, Renewable},
    secret::Secret,
    telemetry::{FetchOf, Metrics},
};

/// A token that Graph refuses is renewed no more often than this: where Graph refuses
/// every token, Entra is not to be asked for one by each call.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(1);

/// The gateway's own token for Graph. Clones share it.
#[derive(Debug, Clone)]
pub struct Application(Renewable<Authorization>);

impl Application {
    /// A token from elsewhere.
    pub fn new(token: Renewable<Authorization>) -> Self {
        Self(token)
    }

    /// A registered application; `scope` is what the token is for.
    pub fn registered(entra: Entra, client: Client, scope: String, metrics: Metrics) -> Self {
        let shared = Arc::new((entra, client, scope));
        Self::fetched_by(metrics, move |hint| {
            let shared = Arc::clone(&shared);
            async move {
                let (entra, client, scope) = &*shared;
                let shown = client.proof.show(&client.id, &entra.token_url()).await?;
                let transport = Arc::new(entra.transport(claims::requested(hint.as_deref())));
                let credential = credential(entra, client, shown, &transport);
                token(credential, &transport, scope).await
            }
        })
    }

    /// A managed identity of the Azure platform: the user-assigned one with `client_id`,
    /// or the system-assigned one. The platform's metadata service is on this machine or
    /// on its link, so that it is reached by plain HTTP and through no proxy.
    pub fn managed(
        client_id: Option<String>,
        scope: String,
        timeout: Duration,
        metrics: Metrics,
    ) -> Result<Self, BuildError> {
        let documents = Documents::new(Way::Plain, None, timeout)?;
        Ok(Self::fetched_by(metrics, move |_no_claims| {
            let transport = Arc::new(Transport::to_platform(documents.clone()));
            let user_assigned_id = client_id.clone().map(UserAssignedId::ClientId);
            let scope = scope.clone();
            async move {
                let credential =
                    ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
                        user_assigned_id,
                        client_options: client_options(transport.clone(), None),
                    }));
                let credential =
                    credential.map(|credential| credential as Arc<dyn TokenCredential>);
                token(credential, &transport, &scope).await
            }
        }))
    }

    fn fetched_by<F>(
        metrics: Metrics,
        fetch: impl Fn(crate::renewable::Hint) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Fetched<Authorization>, Failure>> + Send + 'static,
    {
        let of = FetchOf::ApplicationToken;
        Self::new(Renewable::new(of, RENEWAL_INTERVAL, metrics, fetch))
    }

    pub(super) fn token(&self) -> Renewable<Authorization> {
        self.0.clone()
    }
}

fn credential(
    entra: &Entra,
    client: &Client,
    shown: Shown,
    transport: &Arc<Transport>,
) -> azure_core::Result<Arc<dyn TokenCredential>> {
    let client_options = client_options(transport.clone(), Some(entra.secure_authority()));
    let (tenant, id) = (entra.tenant(), client.id.clone());
    match shown {
        Shown::Secret(secret) => {
            let options = Some(ClientSecretCredentialOptions { client_options });
            let secret = secret.reveal().to_owned().into();
            Ok(ClientSecretCredential::new(tenant, id, secret, options)?)
        }
        Shown::Assertion(assertion) => {
            let options = Some(ClientAssertionCredentialOptions { client_options });
            let assertion = Made(assertion);
            Ok(ClientAssertionCredential::new(
                tenant.to_owned(),
                id,
                assertion,
                options,
            )?)
        }
    }
}

/// One try and no more, through this gateway's client.
fn client_options(transport: Arc<dyn HttpClient>, authority: Option<String>) -> ClientOptions {
    let mut cloud = CustomConfiguration::default();
    cloud.authority_host = authority.unwrap_or_default();
    ClientOptions {
        retry: RetryOptions::none(),
        transport: Some(AzureTransport::new(transport)),
        cloud: Some(Arc::new(CloudConfiguration::Custom(cloud))),
        ..ClientOptions::default()
    }
}

async fn token(
    credential: azure_core::Result<Arc<dyn TokenCredential>>,
    transport: &Transport,
    scope: &str,
) -> Result<Fetched<Authorization>, Failure> {
    let token = match credential {
        // It panics where a token's lifetime leads beyond the last year that it knows.
        Ok(credential) => AssertUnwindSafe(credential.get_token(&[scope], None))
            .catch_unwind()
            .await
            .map_err(|_panic| unavailable())?,
        Err(error) => Err(error),
    };
    let AccessToken { token, expires_on } = token.map_err(|error| transport.failure(&error))?;
    let lifetime = Duration::try_from(expires_on - OffsetDateTime::now_utc()).unwrap_or_default();
    granted(token.secret(), TokenOwner::Gateway, lifetime)
}

/// What was fetched, unless it is no token, or one that is dead already.
pub(super) fn granted(
    token: &str,
    owner: TokenOwner,
    lifetime: Duration,
) -> Result<Fetched<Authorization>, Failure> {
    let authorization = Authorization::bearer(token, owner).filter(|_| !token.is_empty());
    authorization
        .and_then(|authorization| Fetched::living(authorization, Instant::now(), lifetime))
        .ok_or_else(unavailable)
}

/// An assertion for one request.
#[derive(Debug)]
struct Made(Secret);

#[async_trait::async_trait]
impl ClientAssertion for Made {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        Ok(self.0.reveal().to_owned())
    }
}

#[cfg(test)]
mod tests;
