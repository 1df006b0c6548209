//! What Graph is shown to let a call in.

mod claims;

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};

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

/// The token of the one `authorization` value, or what is wrong with it: it completes a
/// sentence that begins with the key's name.
pub fn bearer_token(metadata: &HeaderMap) -> Result<&str, &'static str> {
    let mut values = metadata.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or("is missing")?;
    // Two values would let a proxy check one and Graph take the other.
    if values.next().is_some() {
        return Err("was sent more than once");
    }
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .ok_or("is not a bearer token")?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err("is not a bearer token");
    }
    // RFC 6750, section 2.1: a token has no spaces.
    if token.is_empty() || token.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err("holds a malformed token");
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_exactly_one_bearer_token() {
        for (values, want) in [
            (&["Bearer abc.def"][..], Ok("abc.def")),
            (&["bearer abc.def"], Ok("abc.def")),
            (&["BEARER   abc.def "], Ok("abc.def")),
            (&[], Err("is missing")),
            (&["Bearer a", "Bearer b"], Err("was sent more than once")),
            (&["Basic dTpw"], Err("is not a bearer token")),
            (&["Bearer"], Err("is not a bearer token")),
            (&["Bearer "], Err("holds a malformed token")),
            (&["Bearer a b"], Err("holds a malformed token")),
            (&[""], Err("is not a bearer token")),
        ] {
            let mut metadata = HeaderMap::new();
            for value in values {
                metadata.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            assert_eq!(bearer_token(&metadata), want, "{values:?}");
        }
    }

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
        assert!(Authorization::bearer("a\r\nx: y", TokenOwner::Caller).is_none());
    }
}
