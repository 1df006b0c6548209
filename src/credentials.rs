//! As whom the gateway calls Graph.
//!
//! | file | does |
//! |---|---|
//! | `application` | the gateway's own token, by `azure_identity` |
//! | `exchange` | tokens for Graph in exchange for the callers' own |
//! | `client` | how the gateway proves to Entra which application it is |
//! | `assertion` | … by a certificate |
//! | `transport` | how `azure_identity` reaches Entra |
//! | `refusal` | what an answer of Entra's without a token means |
//! | `claims` | which claims a token is asked to have |

mod application;
mod assertion;
mod claims;
mod client;
mod exchange;
mod refusal;
mod transport;

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

pub use self::{
    application::Application,
    client::{Client, Proof, Unusable},
    exchange::{Exchange, MAX_IDLE},
    transport::{Entra, EntraOptions},
};
use crate::{
    authorization::Authorization,
    caller::Caller,
    failure::{Failure, Kind},
    renewable::{Fetched, Hint, Renewable},
};

/// Where the tokens for Graph come from. Clones share what was fetched.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// The caller's own bearer token, from the metadata key `authorization`.
    Passthrough,
    /// The gateway's own.
    Application(Application),
    /// What Entra gives for the caller's token.
    OnBehalfOf(Exchange),
}

/// Where the token of one call comes from.
#[derive(Debug, Clone)]
pub enum Credential {
    /// It came with the call.
    Given(Authorization),
    /// It is fetched, and can be fetched again.
    Fetched(Renewable<Authorization>),
}

/// What tells whom Graph sees: equal for calls that Graph cannot tell apart. `Debug` never
/// shows a token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identity {
    /// The very token that came with the call.
    Given(HeaderValue),
    /// Where the token is fetched from: good as long as somebody holds the credential.
    Fetched(usize),
}

/// The token of one call.
#[derive(Debug, Clone)]
pub enum Grant {
    /// It came with the call.
    Given(Authorization),
    /// It was fetched, for this call or an earlier one.
    Fetched(Arc<Fetched<Authorization>>),
}

// === impl Credentials ===

impl Credentials {
    /// Where the token of a call comes from. Refuses, before anything is sent, a caller
    /// who had to bring a token and did not.
    pub fn of(&self, caller: &Caller, metadata: &HeaderMap) -> Result<Credential, Failure> {
        match self {
            Self::Passthrough => passed_through(metadata).map(Credential::Given),
            Self::Application(application) => Ok(Credential::Fetched(application.token())),
            Self::OnBehalfOf(exchange) => exchange.token(caller).map(Credential::Fetched),
        }
    }

    /// Fetches what every call will need, so that the first one does not wait for it, and
    /// the log tells early what is wrong.
    pub async fn warm_up(&self) {
        if let Self::Application(application) = self {
            // A failure is in the log already.
            drop(application.token().get().await);
        }
    }
}

fn passed_through(metadata: &HeaderMap) -> Result<Authorization, Failure> {
    Authorization::passed_through(metadata).map_err(|wrong| {
        let send = "send `Bearer TOKEN` with your token for Microsoft Graph";
        let message = format!("the metadata key `authorization` {wrong}; {send}");
        Failure::new(Kind::CallerUnauthenticated, message)
    })
}

// === impl Credential ===

impl Credential {
    /// The token. Cancel-safe: a fetch goes on without those who wait for it.
    pub async fn grant(&self) -> Result<Grant, Failure> {
        match self {
            Self::Given(authorization) => Ok(Grant::Given(authorization.clone())),
            Self::Fetched(token) => token.get().await.map(Grant::Fetched),
        }
    }

    /// Another token in place of one that Graph has refused, perhaps with the claims that
    /// it asks for. Nothing if there is none, or if one was fetched just now. Cancel-safe.
    pub async fn renew(
        &self,
        refused: &Grant,
        claims: Option<&str>,
    ) -> Result<Option<Grant>, Failure> {
        let (Self::Fetched(token), Grant::Fetched(known)) = (self, refused) else {
            return Ok(None);
        };
        let hint: Hint = claims.map(Arc::from);
        let newer = token.newer(known, hint, true).await?;
        Ok(newer.map(Grant::Fetched))
    }

    /// The token, if it came with the call.
    pub fn given(&self) -> Option<&Authorization> {
        match self {
            Self::Given(authorization) => Some(authorization),
            Self::Fetched(_) => None,
        }
    }

    /// Whom Graph sees.
    pub fn identity(&self) -> Identity {
        match self {
            Self::Given(authorization) => Identity::Given(authorization.header().clone()),
            Self::Fetched(token) => Identity::Fetched(token.id()),
        }
    }

    /// Whether a token that Graph has refused can be renewed.
    pub fn is_renewable(&self) -> bool {
        matches!(self, Self::Fetched(_))
    }
}

// === impl Grant ===

impl Grant {
    /// What Graph is shown.
    pub fn authorization(&self) -> &Authorization {
        match self {
            Self::Given(authorization) => authorization,
            Self::Fetched(fetched) => &fetched.value,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::AUTHORIZATION;

    use super::*;
    use crate::authorization::TokenOwner;

    #[test]
    fn the_callers_token_is_passed_on() {
        let mut metadata = HeaderMap::new();
        metadata.append(AUTHORIZATION, HeaderValue::from_static("bearer abc.def"));
        let authorization = passed_through(&metadata).unwrap();
        assert_eq!(authorization.header(), "Bearer abc.def");
        assert_eq!(authorization.owner(), TokenOwner::Caller);
    }

    #[test]
    fn without_exactly_one_token_nothing_is_sent() {
        let mut metadata = HeaderMap::new();
        for (value, why) in [
            (None, "is missing"),
            (Some("Basic dTpw"), "not a bearer"),
            (Some("Bearer a"), "more than once"),
        ] {
            if let Some(value) = value {
                metadata.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            let failure = passed_through(&metadata).unwrap_err();
            assert_eq!(failure.kind, Kind::CallerUnauthenticated);
            assert!(failure.message.contains(why), "{failure}");
            assert!(!failure.message.contains("dTpw"));
        }
    }
}
