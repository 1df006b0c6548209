//! What Graph is shown to let a call in.

use http::HeaderValue;

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
    /// The caller's own token, passed through.
    Caller,
    /// The gateway's token.
    Gateway,
}

impl Authorization {
    /// `Bearer TOKEN`. Nothing if the token has bytes that no header may carry.
    pub fn bearer(token: &str, owner: TokenOwner) -> Option<Self> {
        let mut header = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
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
    fn a_token_that_breaks_the_header_is_refused() {
        assert!(Authorization::bearer("a\r\nx: y", TokenOwner::Caller).is_none());
    }
}
