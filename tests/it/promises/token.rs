//! What a token says of itself, before anybody has verified it: for the audit log.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use incidentgate::authorization::{Authorization, TokenOwner};

const MAX_CLAIM: usize = 128;

/// The input is a token; and, in a token of that form, its claims.
pub(crate) fn token(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        is_bounded(text);
    }
    let claims = URL_SAFE_NO_PAD.encode(data);
    is_bounded(&format!("eyJhbGciOiJSUzI1NiJ9.{claims}.c2lnbmF0dXJl"));
}

fn is_bounded(token: &str) {
    let Some(authorization) = Authorization::bearer(token, TokenOwner::Caller) else {
        // Only what no header can hold.
        assert!(token.contains(|c: char| c.is_control() || !c.is_ascii()));
        return;
    };
    assert_eq!(authorization.token(), token);
    if token.len() > 8 {
        assert!(!format!("{authorization:?}").contains(token));
    }
    let Some(claims) = authorization.claims() else {
        return;
    };
    assert_eq!(token.split('.').count(), 3, "{token}");
    for claim in [&claims.app, &claims.tenant, &claims.object]
        .into_iter()
        .flatten()
    {
        assert!(!claim.is_empty());
        assert!(claim.chars().count() <= MAX_CLAIM, "{claim:?}");
        assert!(!claim.contains(char::is_control), "{claim:?}");
    }
}
