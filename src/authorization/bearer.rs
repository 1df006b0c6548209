//! The bearer token that a caller sends.

use http::{HeaderMap, header::AUTHORIZATION};

use super::BEARER;
use crate::scan;

const NO_BEARER: &str = "is not a bearer token";

/// The token of the one `authorization` value, or what is wrong with it, as the end of a
/// sentence that begins with the key's name. It says nothing of the value itself.
pub fn bearer_token(metadata: &HeaderMap) -> Result<&str, &'static str> {
    let mut values = metadata.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or("is missing")?;
    // Two values would let a proxy check one and whoever comes next take the other.
    if values.next().is_some() {
        return Err("was sent more than once");
    }
    let (scheme, token) = value
        .as_bytes()
        .split_at_checked(BEARER.len())
        .ok_or(NO_BEARER)?;
    if !scheme.eq_ignore_ascii_case(BEARER.as_bytes()) {
        return Err(NO_BEARER);
    }
    let token = token.trim_ascii();
    // RFC 6750, section 2.1: a token has no spaces.
    let is_graphic = scan::all(token, |byte| byte.is_ascii_graphic());
    match str::from_utf8(token) {
        Ok(token) if is_graphic && !token.is_empty() => Ok(token),
        _ => Err("holds a malformed token"),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn there_is_exactly_one_token_or_none() {
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
            (&["Bearer a\tb"], Err("holds a malformed token")),
            (&["Bearer-abc"], Err("is not a bearer token")),
            (&[""], Err("is not a bearer token")),
        ] {
            let mut metadata = HeaderMap::new();
            for value in values {
                metadata.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            assert_eq!(bearer_token(&metadata), want, "{values:?}");
        }
    }
}
