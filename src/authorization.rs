//! What a caller shows to be let in, and what Graph is shown.

mod bearer;
mod claims;

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};

pub use bearer::bearer_token;
pub use claims::{Claims, LastClaims};

/// The scheme, and what parts it from the token (RFC 6750, section 2.1).
const BEARER: &str = "Bearer ";

/// The `authorization` header of one call to Graph, and whose it is. `Debug`
/// never shows the token.
#[derive(Debug, Clone)]
pub struct Authorization {
    header: HeaderValue,
    owner: TokenOwner,
}

/// Whose token it is: it decides what a 401 means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenOwner {
    /// The caller's own, passed through, or got in exchange for the caller's own.
    Caller,
    /// The gateway's token.
    Gateway,
}

impl Authorization {
    /// `Bearer TOKEN`. Nothing if the token has bytes that no header may carry, or that are
    /// not ASCII: those of a token are (RFC 6750, section 2.1), and others could be sent, but
    /// not be read again by [`Authorization::token`].
    pub fn bearer(token: &str, owner: TokenOwner) -> Option<Self> {
        let text = token.is_ascii().then(|| [BEARER, token].concat())?;
        let mut header = HeaderValue::try_from(text).ok()?;
        // Keeps it out of Debug output and out of HTTP/2's compression tables.
        header.set_sensitive(true);
        Some(Self { header, owner })
    }

    /// The token that a caller has sent along, as it came: a token is long, and is not
    /// copied. What is wrong with it otherwise, as [`bearer_token`] says it.
    pub fn passed_through(metadata: &HeaderMap) -> Result<Self, &'static str> {
        let token = bearer_token(metadata)?;
        let owner = TokenOwner::Caller;
        let header = metadata.get(AUTHORIZATION);
        let usual = header.filter(|header| {
            header.as_bytes().strip_prefix(BEARER.as_bytes()) == Some(token.as_bytes())
        });
        match usual {
            Some(header) => {
                let mut header = header.clone();
                header.set_sensitive(true);
                Ok(Self { header, owner })
            }
            None => Self::bearer(token, owner).ok_or("holds a malformed token"),
        }
    }

    /// The header as it is sent.
    pub fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// The token alone, for removing it from what comes back.
    pub fn token(&self) -> &str {
        str::from_utf8(self.token_bytes()).unwrap_or_default()
    }

    /// The same, without looking at each byte.
    pub fn token_bytes(&self) -> &[u8] {
        let header = self.header.as_bytes();
        header.strip_prefix(BEARER.as_bytes()).unwrap_or_default()
    }

    /// Whom the token names, **unverified**. Nothing if it is no signed JSON Web Token.
    ///
    /// Read from the token at each call; [`LastClaims`] are for where that is often.
    pub fn claims(&self) -> Option<Claims> {
        Claims::of(self.token_bytes())
    }

    /// Whose token it is.
    pub fn owner(&self) -> TokenOwner {
        self.owner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_the_token() {
        let authorization = Authorization::bearer("s3cret", TokenOwner::Caller).unwrap();
        assert!(!format!("{authorization:?}").contains("s3cret"));
        assert_eq!(authorization.token(), "s3cret");
        assert_eq!(authorization.header(), "Bearer s3cret");
    }

    #[test]
    fn what_a_caller_has_sent_goes_on_in_one_spelling_and_is_not_shown() {
        for value in ["Bearer s3cret", "bearer s3cret", "BEARER   s3cret "] {
            let mut metadata = HeaderMap::new();
            metadata.insert(AUTHORIZATION, HeaderValue::from_static(value));
            let authorization = Authorization::passed_through(&metadata).unwrap();
            assert_eq!(authorization.header(), "Bearer s3cret", "{value}");
            assert!(authorization.header().is_sensitive());
            assert!(!format!("{authorization:?}").contains("s3cret"));
            assert_eq!(authorization.owner(), TokenOwner::Caller);
        }
        let wrong = Authorization::passed_through(&HeaderMap::new()).unwrap_err();
        assert_eq!(wrong, "is missing");
    }

    #[test]
    fn claims_are_read_from_the_token_and_debug_does_not_show_them() {
        // {"appid":"app-1","tid":"tenant-1"}
        let token = "e30.eyJhcHBpZCI6ImFwcC0xIiwidGlkIjoidGVuYW50LTEifQ.c2ln";
        let authorization = Authorization::bearer(token, TokenOwner::Caller).unwrap();
        let claims = authorization.claims().unwrap();
        assert_eq!(claims.app.as_deref(), Some("app-1"));
        assert_eq!(claims.tenant.as_deref(), Some("tenant-1"));
        assert!(!format!("{authorization:?}").contains("app-1"));
        let opaque = Authorization::bearer("opaque", TokenOwner::Gateway).unwrap();
        assert_eq!(opaque.claims(), None);
    }

    #[test]
    fn a_token_that_breaks_the_header_is_refused() {
        // What is not ASCII could be sent, but not be found again in what comes back.
        for token in ["a\r\nx: y", "a\u{7f}", "t\u{f6}ken", "\u{1f511}"] {
            assert!(
                Authorization::bearer(token, TokenOwner::Caller).is_none(),
                "{token:?}"
            );
        }
    }
}
