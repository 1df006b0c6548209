//! As whom the gateway calls Graph.

use http::HeaderMap;

use crate::{
    authorization::{Authorization, TokenOwner, bearer_token},
    failure::{Failure, Kind},
};

/// Where the token for Graph comes from.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// The caller's own bearer token, from the metadata key `authorization`.
    Passthrough,
    /// One fixed token of the gateway's: the embedded sandbox's.
    Fixed(Authorization),
}

impl Credentials {
    /// The authorization for one call. Refuses before anything is sent where the
    /// caller had to bring a token and did not.
    pub fn authorize(&self, metadata: &HeaderMap) -> Result<Authorization, Failure> {
        match self {
            Self::Passthrough => bearer_token(metadata)
                .and_then(|token| {
                    Authorization::bearer(token, TokenOwner::Caller).ok_or("holds a malformed token")
                })
                .map_err(|wrong| {
                    Failure::new(
                        Kind::CallerUnauthenticated,
                        format!(
                            "the metadata key `authorization` {wrong}; send `Bearer TOKEN` with your token for Microsoft Graph"
                        ),
                    )
                }),
            Self::Fixed(authorization) => Ok(authorization.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header::AUTHORIZATION};

    use super::*;

    fn authorize(values: &[&str]) -> Result<Authorization, Failure> {
        let mut metadata = HeaderMap::new();
        for value in values {
            metadata.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        Credentials::Passthrough.authorize(&metadata)
    }

    #[test]
    fn the_callers_token_is_passed_on() {
        for value in ["Bearer abc.def", "bearer abc.def", "BEARER   abc.def "] {
            let authorization = authorize(&[value]).unwrap();
            assert_eq!(authorization.header(), "Bearer abc.def");
            assert_eq!(authorization.owner(), TokenOwner::Caller);
        }
    }

    #[test]
    fn without_exactly_one_token_nothing_is_sent() {
        for (values, why) in [
            (&[][..], "is missing"),
            (&["Bearer a", "Bearer b"], "more than once"),
            (&["Basic dTpw"], "not a bearer"),
            (&["Bearer"], "not a bearer"),
            (&["Bearer "], "malformed"),
            (&["Bearer a b"], "malformed"),
            (&[""], "not a bearer"),
        ] {
            let failure = authorize(values).unwrap_err();
            assert_eq!(failure.kind, Kind::CallerUnauthenticated);
            assert!(failure.message.contains(why), "{values:?}: {failure}");
            assert!(!failure.message.contains("dTpw"));
        }
    }
}
