//! Tokens for Graph in exchange for the callers' own (Microsoft identity platform,
//! "On-Behalf-Of flow").

use std::{fmt, sync::Arc, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use moka::{policy::EvictionPolicy, sync::Cache};
use serde::Deserialize;

use super::{
    application::granted,
    claims,
    client::Client,
    refusal::{self, For},
    transport::{Entra, is_secret, unavailable},
};
use crate::{
    authorization::{Authorization, TokenOwner},
    caller::{Caller, CallerToken},
    failure::{Failure, Kind},
    renewable::{Fetched, Renewable},
    telemetry::{FetchOf, Metrics},
};

/// Who has not called for this long is forgotten. No token of a user lives longer than
/// a day and a bit, and most an hour.
pub const MAX_IDLE: Duration = Duration::from_secs(3600);
/// As for the gateway's own token.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(1);
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The exchanged tokens of all callers. Clones share them.
#[derive(Clone)]
pub struct Exchange {
    /// By the SHA-256 of the caller's token: another token of the same user may stand for
    /// a weaker sign-in, and is exchanged by itself.
    tokens: Cache<[u8; 32], Renewable<Authorization>>,
    desk: Arc<Desk>,
    metrics: Metrics,
}

/// Where tokens are exchanged.
struct Desk {
    entra: Entra,
    client: Client,
    scope: String,
}

/// RFC 6749, section 5.1.
#[derive(Deserialize)]
struct Success {
    access_token: String,
    expires_in: u64,
}

// === impl Exchange ===

impl Exchange {
    /// Exchanges callers' tokens for ones with `scope`, and keeps `max_users` of them; the
    /// one that was not used for longest gives way.
    pub fn new(
        entra: Entra,
        client: Client,
        scope: String,
        max_users: u64,
        metrics: Metrics,
    ) -> Self {
        Self {
            tokens: Cache::builder()
                .max_capacity(max_users)
                .time_to_idle(MAX_IDLE)
                // Users come with a new token each hour. By frequency, old tokens that
                // were used a lot would keep the new ones out, which would then be
                // exchanged at each call.
                .eviction_policy(EvictionPolicy::lru())
                .build(),
            desk: Arc::new(Desk {
                entra,
                client,
                scope,
            }),
            metrics,
        }
    }

    /// The exchanged token of a caller. Refuses one behind whom no user stands.
    pub(super) fn token(&self, caller: &Caller) -> Result<Renewable<Authorization>, Failure> {
        let token = caller.token().ok_or_else(|| {
            Failure::new(
                Kind::CallerUnauthenticated,
                "the metadata key `authorization` is missing; send `Bearer TOKEN` with a user's token for this gateway",
            )
        })?;
        if !token.is_user() {
            return Err(Failure::new(
                Kind::AppOnlyToken,
                "the caller's token is an application's, and no user stands behind it: there is nobody on whose behalf Graph could be called; send a user's token for this gateway",
            ));
        }
        let Ok(key) = digest(&SHA256, token.reveal().as_bytes())
            .as_ref()
            .try_into()
        else {
            return Err(unavailable());
        };
        Ok(self.tokens.get_with(key, || self.renewable(token.clone())))
    }

    fn renewable(&self, assertion: CallerToken) -> Renewable<Authorization> {
        let desk = Arc::clone(&self.desk);
        let of = FetchOf::ExchangedToken;
        Renewable::new(of, RENEWAL_INTERVAL, self.metrics.clone(), move |hint| {
            let (desk, assertion) = (Arc::clone(&desk), assertion.clone());
            async move { desk.exchange(&assertion, hint.as_deref()).await }
        })
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("users", &self.tokens.entry_count())
            .finish_non_exhaustive()
    }
}

// === impl Desk ===

impl Desk {
    async fn exchange(
        &self,
        assertion: &CallerToken,
        challenge: Option<&str>,
    ) -> Result<Fetched<Authorization>, Failure> {
        let client = &self.client;
        let shown = client
            .proof
            .show(&client.id, &self.entra.token_url())
            .await?;
        let claims = claims::requested(challenge);
        let mut form = vec![
            ("grant_type", GRANT_TYPE),
            ("requested_token_use", "on_behalf_of"),
            ("client_id", client.id.as_str()),
            ("assertion", assertion.reveal()),
            ("scope", self.scope.as_str()),
            ("claims", claims.as_str()),
        ];
        form.extend(shown.parameters());
        let answer = self.entra.ask(&form).await?;
        if !answer.status.is_success() {
            let (status, headers) = (answer.status, &answer.headers);
            let sent = form.iter().filter(|(name, _)| is_secret(name));
            let sent: Vec<&str> = sent.map(|&(_, value)| value).collect();
            let body = &answer.body;
            return Err(refusal::failure(For::Caller, status, headers, body, &sent));
        }
        let success: Success = serde_json::from_slice(&answer.body).map_err(|_| unavailable())?;
        let lifetime = Duration::from_secs(success.expires_in);
        granted(&success.access_token, TokenOwner::Caller, lifetime)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{EntraOptions, Proof},
        *,
    };
    use crate::secret::Secret;

    fn exchange(max_users: u64) -> Exchange {
        let entra = Entra::new(EntraOptions {
            authority: "http://127.0.0.1:1".parse().unwrap(),
            tenant: "t".to_owned(),
            timeout: Duration::from_secs(1),
            extra_roots: None,
        });
        let client = Client {
            id: "gateway".to_owned(),
            proof: Proof::Secret(Secret::new("marked-as-secret")),
        };
        let scope = "scope".to_owned();
        Exchange::new(
            entra.unwrap(),
            client,
            scope,
            max_users,
            Metrics::disabled(),
        )
    }

    fn caller(token: &str, is_user: bool) -> Caller {
        Caller::proven(Vec::new(), CallerToken::new(token, is_user))
    }

    #[tokio::test]
    async fn only_a_users_token_is_exchanged() {
        let exchange = exchange(10);
        for (caller, want) in [
            (Caller::anonymous(), Kind::CallerUnauthenticated),
            (
                Caller::proven(Vec::new(), None),
                Kind::CallerUnauthenticated,
            ),
            (caller("app-token", false), Kind::AppOnlyToken),
        ] {
            let failure = exchange.token(&caller).unwrap_err();
            assert_eq!(failure.kind, want);
            assert!(!format!("{failure:?}").contains("app-token"));
        }
        assert!(exchange.token(&caller("user-token", true)).is_ok());
        let shown = format!("{exchange:?}");
        assert!(!shown.contains("marked") && !shown.contains("user-token"));
    }

    #[tokio::test]
    async fn so_many_users_are_kept_and_no_more() {
        let exchange = exchange(3);
        for n in 0..50 {
            exchange
                .token(&caller(&format!("token-{n}"), true))
                .unwrap();
            exchange.tokens.run_pending_tasks();
            assert!(exchange.tokens.entry_count() <= 3);
        }
        // The same token again is the same user.
        for _ in 0..5 {
            exchange.token(&caller("token-49", true)).unwrap();
        }
        exchange.tokens.run_pending_tasks();
        assert!((1..=3).contains(&exchange.tokens.entry_count()));
    }

    #[tokio::test]
    async fn a_new_token_is_kept_however_often_the_old_ones_were_used() {
        let exchange = exchange(3);
        let user = |n: u32| caller(&format!("token-{n}"), true);
        for _ in 0..100 {
            for n in 0..3 {
                exchange.token(&user(n)).unwrap();
            }
            exchange.tokens.run_pending_tasks();
        }
        exchange.token(&user(3)).unwrap();
        exchange.tokens.run_pending_tasks();
        let key: [u8; 32] = digest(&SHA256, b"token-3").as_ref().try_into().unwrap();
        assert!(exchange.tokens.contains_key(&key));
    }
}
