//! Graph's answer without the token, should Graph echo it: what Graph says ends
//! up in messages, spans and logs.

use http::{HeaderMap, HeaderName};
use serde_json::Value;

use super::text::REMOVED;

/// Removes every header whose value holds the token.
pub fn remove_from_headers(headers: &mut HeaderMap, token: &[u8]) {
    if token.is_empty() {
        return;
    }
    let echoing: Vec<HeaderName> = headers
        .iter()
        .filter(|(_, value)| holds(value.as_bytes(), token))
        .map(|(name, _)| name.clone())
        .collect();
    for name in echoing {
        headers.remove(name);
    }
}

/// The body without the token; nothing if it does not hold it.
pub fn removed_from_body(body: &[u8], token: &[u8]) -> Option<Vec<u8>> {
    // Escapes only make a token longer.
    if token.is_empty() || body.len() < token.len() {
        return None;
    }
    let token = std::str::from_utf8(token).ok()?;
    // JSON may write any character as an escape, and some writers do so for `/`
    // and `+`; written anew, it has only those escapes that it needs, and so has the
    // token in it.
    let rewritten = body
        .contains(&b'\\')
        .then(|| serde_json::from_slice::<Value>(body).ok())
        .flatten()
        .map(|document| (document.to_string(), Value::from(token).to_string()));
    let (text, token) = match &rewritten {
        Some((text, quoted)) => (text.as_str(), &quoted[1..quoted.len() - 1]),
        None => (std::str::from_utf8(body).ok()?, token),
    };
    text.contains(token)
        .then(|| text.replace(token, REMOVED).into_bytes())
}

/// A token is longer than nearly every value, which then costs nothing.
fn holds(value: &[u8], token: &[u8]) -> bool {
    value.windows(token.len()).any(|window| window == token)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_token_that_a_body_echoes_is_removed() {
        assert_eq!(
            removed_from_body(b"{\"m\":\"tok-1 and tok-1\"}", b"tok-1").unwrap(),
            b"{\"m\":\"[removed] and [removed]\"}"
        );
        assert_eq!(
            removed_from_body(br#"{"m":"\"tok\/1\u002B\""}"#, b"tok/1+").unwrap(),
            br#"{"m":"\"[removed]\""}"#
        );
        // Credentials let any visible character pass.
        assert_eq!(
            removed_from_body(br#"{"m":"not \"t\\ok\""}"#, br#""t\ok""#).unwrap(),
            br#"{"m":"not [removed]"}"#
        );
        assert_eq!(removed_from_body(br#"{"m":"\/"}"#, b"tok-1"), None);
        assert_eq!(removed_from_body(b"nothing", b"tok-1"), None);
        assert_eq!(removed_from_body(b"nothing", b""), None);
    }

    #[test]
    fn a_header_that_echoes_the_token_is_removed_and_no_other() {
        let all = || {
            let mut headers = HeaderMap::new();
            headers.append("request-id", HeaderValue::from_static("tok-1"));
            headers.append("warning", HeaderValue::from_static("199 - \"a/b/200/1\""));
            headers.append(
                "warning",
                HeaderValue::from_static("199 - \"tok-1/b/200/1\""),
            );
            headers.append(
                "x-bytes",
                HeaderValue::from_bytes(b"\xfftok-1\xff").unwrap(),
            );
            headers.append("retry-after", HeaderValue::from_static("1"));
            headers
        };
        let mut headers = all();
        remove_from_headers(&mut headers, b"tok-1");
        let kept: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(kept, ["retry-after"]);
        for token in [&b""[..], b"tok-2"] {
            let mut headers = all();
            remove_from_headers(&mut headers, token);
            assert_eq!(headers, all());
        }
    }
}
