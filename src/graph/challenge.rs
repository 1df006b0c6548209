//! The claims challenge of a 401: `WWW-Authenticate: Bearer … claims="BASE64"`
//! (Microsoft identity platform, "Claims challenges").

use http::{HeaderMap, header::WWW_AUTHENTICATE};

/// The base64 text of the first `claims` parameter.
pub(super) fn claims(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(parameters)
        .find(|(name, _)| name.eq_ignore_ascii_case("claims"))
        .map(|(_, value)| value)
        .filter(|value| !value.is_empty())
        .filter(|value| {
            value
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte))
        })
        .map(str::to_owned)
}

/// `name="value"` and `name=value` pairs; commas inside quotes do not separate.
fn parameters(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let (before, after) = rest.split_once('=')?;
        let name = before.trim_end().rsplit([' ', ',', '\t']).next()?;
        let value;
        if let Some(quoted) = after.trim_start().strip_prefix('"') {
            (value, rest) = quoted.split_once('"').unwrap_or((quoted, ""));
        } else {
            (value, rest) = after.split_once(',').unwrap_or((after, ""));
        }
        Some((name, value.trim()))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn found(line: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.append(
            WWW_AUTHENTICATE,
            HeaderValue::from_static("Basic realm=\"x\""),
        );
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(line).unwrap());
        claims(&headers)
    }

    #[test]
    fn finds_the_claims_among_the_other_parameters() {
        let documented = r#"Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ==""#;
        assert_eq!(
            found(documented).as_deref(),
            Some("eyJhY2Nlc3NfdG9rZW4iOnt9fQ==")
        );
        assert_eq!(
            found("Bearer claims=\"QQ\",realm=\"a, claims=b\"").as_deref(),
            Some("QQ")
        );
        assert_eq!(
            found("Bearer error=x, Claims=QUJD").as_deref(),
            Some("QUJD")
        );
    }

    #[test]
    fn plain_and_odd_challenges_have_none() {
        for line in [
            "Bearer",
            "Bearer realm=\"claims=QQ\"",
            "Bearer claims=\"\"",
            "Bearer claims=\"a b\"",
            "Bearer xclaims=\"QQ\"",
        ] {
            assert_eq!(found(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(value: Vec<u8>) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(WWW_AUTHENTICATE, value);
            }
            claims(&headers);
        }
    }
}
