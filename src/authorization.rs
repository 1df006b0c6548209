//! What a caller shows to be let in, and what Graph is shown.

mod bearer;
mod claims;

use http::HeaderValue;

pub use bearer::bearer_token;
pub use claims::Claims;

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
        let text = token.is_ascii().then(|| format!("Bearer {token}"))?;
        let mut header = HeaderValue::try_from(text).ok()?;
        // Keeps it out of Debug output and out of HTTP/2's compression tables.
        header.set_sensitive(true);
        Some(Self { header, owner })
    }

    /// The header as it is sent.
    pub fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// The token alone, for removing it from what comes back.
    pub fn token(&self) -> &str {
        self.header
            .to_str()
            .ok()
            .and_then(|header| header.strip_prefix("Bearer "))
            .unwrap_or_default()
    }

    /// Whom the token names, **unverified**. Nothing if it is no signed JSON Web Token.
    ///
    /// Read from the token at each call; keep it where it is needed twice.
    pub fn claims(&self) -> Option<Claims> {
        Claims::read(self.token())
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
