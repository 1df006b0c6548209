//! Whom a token names, as it says itself.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwapOption;
use base64_simd::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::Authorization;
use crate::scan;

/// The longest payload that is read, in base64url characters. Entra puts at most
/// 200 groups of 36 characters into a token, which is a third of this.
const MAX_PAYLOAD: usize = 32 * 1024;
/// The longest payload that is kept to be recognized, in bytes; most of Entra's are shorter.
const MAX_KEPT: usize = 4096;
/// The longest claim that is kept, in characters; ids of Entra have 36.
const MAX_CLAIM: usize = 128;

/// What a token says of itself. **Nothing here is verified**: whoever sends a token
/// can write what he likes into it, and only Graph refuses a forged one. Each claim
/// is cut at 128 characters and has no control characters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The application that asked for the token: `appid` in Entra's tokens of
    /// version 1, `azp` in version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The tenant, `tid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The user or service principal, `oid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
}

/// The last claims that were read, as unverified as all of them, so that they need not be
/// read again: on a connection they are often the next ones, too, as a token lasts for an
/// hour. Only a token with the very same payload gets them.
#[derive(Default)]
pub struct LastClaims(ArcSwapOption<Known>);

/// What a token says, as it came, and read. Its signature is not kept: with what is here
/// nobody gets in.
struct Known {
    payload: Box<[u8]>,
    claims: Claims,
}

/// The claims as a JSON Web Token has them.
#[derive(Deserialize)]
struct Payload {
    appid: Option<String>,
    azp: Option<String>,
    tid: Option<String>,
    oid: Option<String>,
}

impl Claims {
    /// Whether the token says nothing of these.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Nothing if the token is no signed JSON Web Token, if its payload is too long, or if
    /// one of the claims is not text.
    pub(super) fn of(token: &[u8]) -> Option<Self> {
        Self::read(payload(token)?)
    }

    fn read(payload: &[u8]) -> Option<Self> {
        let payload = URL_SAFE_NO_PAD.decode_to_vec(payload).ok()?;
        let payload: Payload = serde_json::from_str(str::from_utf8(&payload).ok()?).ok()?;
        Some(Self {
            app: payload.appid.or(payload.azp).and_then(clean),
            tenant: payload.tid.and_then(clean),
            object: payload.oid.and_then(clean),
        })
    }
}

// === impl LastClaims ===

impl LastClaims {
    /// The same as [`Authorization::claims`], which is kept for the next call.
    pub fn of(&self, authorization: &Authorization) -> Option<Claims> {
        let payload = payload(authorization.token_bytes())?;
        if let Some(last) = &*self.0.load()
            && *last.payload == *payload
        {
            return Some(last.claims.clone());
        }
        let claims = Claims::read(payload)?;
        if payload.len() <= MAX_KEPT {
            self.0.store(Some(Arc::new(Known {
                payload: payload.into(),
                claims: claims.clone(),
            })));
        }
        Some(claims)
    }
}

impl fmt::Debug for LastClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastClaims").finish_non_exhaustive()
    }
}

/// The second of a token's three parts.
fn payload(token: &[u8]) -> Option<&[u8]> {
    let mut dots = memchr::memchr_iter(b'.', token);
    let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
        return None;
    };
    Some(&token[first + 1..second]).filter(|payload| payload.len() <= MAX_PAYLOAD)
}

fn clean(claim: String) -> Option<String> {
    let is_clean =
        claim.len() <= MAX_CLAIM && scan::all(claim.as_bytes(), |byte| byte.is_ascii_graphic());
    let kept = if is_clean {
        claim
    } else {
        let kept = claim.chars().filter(|c| !c.is_control());
        kept.take(MAX_CLAIM).collect()
    };
    (!kept.is_empty()).then_some(kept)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{super::TokenOwner, *};

    fn token(payload: &Value) -> String {
        format!(
            "e30.{}.c2ln",
            URL_SAFE_NO_PAD.encode_to_string(payload.to_string())
        )
    }

    fn claims(app: Option<&str>, tenant: Option<&str>, object: Option<&str>) -> Claims {
        let owned = |claim: Option<&str>| claim.map(str::to_owned);
        Claims {
            app: owned(app),
            tenant: owned(tenant),
            object: owned(object),
        }
    }

    #[test]
    fn reads_both_versions_of_entras_tokens() {
        let long = "x".repeat(MAX_CLAIM + 1);
        for (payload, want) in [
            (
                json!({"appid": "a", "tid": "t", "oid": "o", "groups": ["g"]}),
                claims(Some("a"), Some("t"), Some("o")),
            ),
            (
                json!({"azp": "a", "tid": "t"}),
                claims(Some("a"), Some("t"), None),
            ),
            (
                json!({"appid": "one", "azp": "two"}),
                claims(Some("one"), None, None),
            ),
            (
                json!({"appid": "a\r\nb\u{1b}\u{9f}c", "tid": "\n", "oid": ""}),
                claims(Some("abc"), None, None),
            ),
            (
                json!({"appid": long}),
                claims(Some(&long[..MAX_CLAIM]), None, None),
            ),
            (json!({"appid": null}), claims(None, None, None)),
            (json!({}), claims(None, None, None)),
        ] {
            assert_eq!(
                Claims::of(token(&payload).as_bytes()),
                Some(want),
                "{payload}"
            );
        }
    }

    #[test]
    fn what_is_no_token_of_entras_has_no_claims() {
        let body = URL_SAFE_NO_PAD.encode_to_string(r#"{"appid":"a"}"#);
        let twice = URL_SAFE_NO_PAD.encode_to_string(r#"{"appid":"a","appid":"b"}"#);
        let deep = URL_SAFE_NO_PAD.encode_to_string(format!(r#"{{"x":{}}}"#, "[".repeat(10_000)));
        for opaque in [
            String::new(),
            "opaque".to_owned(),
            "..".to_owned(),
            format!("e30.{body}"),
            format!("e30.{body}.c2ln.x"),
            format!("e30.{body}=.c2ln"),
            format!("e30.{twice}.c2ln"),
            format!("e30.{deep}.c2ln"),
            token(&json!({"appid": 7})),
            token(&json!(["appid"])),
            token(&json!({"appid": "a", "pad": "x".repeat(MAX_PAYLOAD)})),
        ] {
            assert_eq!(Claims::of(opaque.as_bytes()), None, "{opaque:.60}");
        }
        // The boundary itself: the longest payload is still read.
        let empty = json!({"appid": "a", "pad": ""}).to_string().len();
        let pad = "x".repeat(MAX_PAYLOAD / 4 * 3 - empty);
        let longest = token(&json!({"appid": "a", "pad": pad}));
        assert_eq!(
            Claims::of(longest.as_bytes()),
            Some(claims(Some("a"), None, None))
        );
    }

    #[test]
    fn what_was_read_before_counts_for_the_same_claims_alone() {
        let last = LastClaims::default();
        let kept = |last: &LastClaims| last.0.load().as_ref().map(|known| known.claims.clone());
        let of = |last: &LastClaims, token: &str| {
            last.of(&Authorization::bearer(token, TokenOwner::Caller).unwrap())
        };
        let app = |app| Some(claims(Some(app), None, None));
        // A sign that what is there is taken.
        let known = |name: &str, sign| {
            Some(Arc::new(Known {
                payload: payload(token(&json!({"appid": name})).as_bytes())
                    .unwrap()
                    .into(),
                claims: claims(Some(sign), None, None),
            }))
        };
        last.0.store(known("one", "sign"));
        assert_eq!(of(&last, &token(&json!({"appid": "one"}))), app("sign"));
        for name in ["two", "two", "one", "two", "one"] {
            let token = token(&json!({"appid": name}));
            assert_eq!(of(&last, &token), app(name));
            assert_eq!(kept(&last), app(name));
        }
        // What is none, is not whole, or is too long to be kept, leaves it as it is.
        let long = token(&json!({"appid": "long", "pad": "x".repeat(MAX_KEPT)}));
        assert_eq!(of(&last, &long), app("long"));
        let cut = token(&json!({"appid": "two"})).replace(".c2ln", "");
        for none in ["opaque", &cut] {
            assert_eq!(of(&last, none), None);
        }
        assert_eq!(kept(&last), app("one"));
        assert!(!format!("{last:?}").contains("one"));
    }

    proptest! {
        #[test]
        fn whatever_a_payload_holds_the_claims_are_short_and_on_one_line(
            app: String,
            payload: Vec<u8>,
        ) {
            let raw = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode_to_string(payload));
            let named = token(&json!({ "appid": app.repeat(20) }));
            for token in [raw, named] {
                let read = Claims::of(token.as_bytes());
                let all = read.into_iter().flat_map(|c| [c.app, c.tenant, c.object]);
                for claim in all.flatten() {
                    prop_assert!((1..=MAX_CLAIM).contains(&claim.chars().count()));
                    prop_assert!(!claim.chars().any(char::is_control));
                }
            }
        }
    }
}
