//! A signed token before anything in it is believed: RFC 7515, compact serialization.

use std::str::FromStr as _;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde::{Deserialize, de::IgnoredAny};

use super::Wrong;

/// The parts of a token, and what its header says of the signature. Whoever sends it has
/// chosen all of it.
pub(super) struct Signed<'a> {
    /// By which algorithm it claims to be signed: an asymmetric one.
    pub(super) algorithm: Algorithm,
    /// Which key it claims to be signed with.
    pub(super) kid: Option<String>,
    /// What is signed: header and payload.
    pub(super) message: &'a [u8],
    /// The signature, in base64url.
    pub(super) signature: &'a str,
    /// The claims, as JSON.
    pub(super) payload: Vec<u8>,
}

/// The header, as far as it matters. Keys or addresses of keys in it (`jwk`, `jku`,
/// `x5c`, `x5u`) are not even read.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<IgnoredAny>,
}

impl<'a> Signed<'a> {
    pub(super) fn read(token: &'a str) -> Result<Self, Wrong> {
        let parts = || {
            let (message, signature) = token.rsplit_once('.')?;
            let (header, payload) = message.split_once('.')?;
            let header = URL_SAFE_NO_PAD.decode(header).ok()?;
            let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
            let header: Header = serde_json::from_slice(&header).ok()?;
            Some((message.as_bytes(), signature, header, payload))
        };
        let (message, signature, header, payload) =
            parts().ok_or("holds no signed JSON Web Token")?;
        // RFC 7515, section 4.1.11: who does not know an extension must refuse.
        if header.crit.is_some() {
            return Err("holds a token with a critical extension, which is not understood".into());
        }
        // RFC 7519, section 5.1, and RFC 9068, section 2.1: an ID token or a logout token
        // is no access token, if it says so.
        let is_access_token = header.typ.is_none_or(|typ| {
            let typ = typ.to_ascii_lowercase();
            let typ = typ.strip_prefix("application/").unwrap_or(&typ);
            matches!(typ, "jwt" | "at+jwt")
        });
        if !is_access_token {
            return Err("holds a token of another type than `JWT` or `at+jwt`".into());
        }
        let algorithm = algorithm(&header.alg)
            .ok_or("holds a token that is not signed, or not by an algorithm with a public key")?;
        Ok(Self {
            algorithm,
            kid: header.kid,
            message,
            signature,
            payload,
        })
    }
}

/// The asymmetric algorithm of this name (RFC 7518, section 3.1, and RFC 9864, section
/// 2.2). What is symmetric is none: who checks a token could then also make one.
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    let algorithm = match name {
        "Ed25519" => Algorithm::EdDSA,
        name => Algorithm::from_str(name).ok()?,
    };
    let is_symmetric = matches!(
        algorithm,
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512
    );
    (!is_symmetric).then_some(algorithm)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wrong(header: &str) -> Option<String> {
        let header = URL_SAFE_NO_PAD.encode(header);
        let token = format!("{header}.e30.c2ln");
        Signed::read(&token).err().map(Wrong::into_owned)
    }

    #[test]
    fn only_a_signed_access_token_is_read() {
        for (header, want) in [
            (r#"{"alg":"RS256"}"#, None),
            (
                r#"{"alg":"PS512","typ":"JWT","kid":"k","jku":"https://evil"}"#,
                None,
            ),
            (r#"{"alg":"ES256","typ":"at+jwt"}"#, None),
            (r#"{"alg":"EdDSA","typ":"application/AT+JWT"}"#, None),
            (r#"{"alg":"Ed25519"}"#, None),
            (r#"{"alg":"none"}"#, Some("not signed")),
            (r#"{"alg":"None"}"#, Some("not signed")),
            (r#"{"alg":""}"#, Some("not signed")),
            (r#"{"alg":"HS256"}"#, Some("not signed")),
            (r#"{"alg":"HS512"}"#, Some("not signed")),
            (r#"{"alg":"rs256"}"#, Some("not signed")),
            (r#"{"alg":"ES256K"}"#, Some("not signed")),
            (r#"{"alg":["RS256"]}"#, Some("no signed")),
            (r#"{"alg":"RS256","alg":"none"}"#, Some("no signed")),
            (r#"{"alg":"RS256","kid":7}"#, Some("no signed")),
            (r#"{"kid":"k"}"#, Some("no signed")),
            ("{}", Some("no signed")),
            ("", Some("no signed")),
            (
                r#"{"alg":"RS256","crit":["b64"],"b64":false}"#,
                Some("critical"),
            ),
            (r#"{"alg":"RS256","crit":[]}"#, Some("critical")),
            (r#"{"alg":"RS256","typ":"logout+jwt"}"#, Some("type")),
            (r#"{"alg":"RS256","typ":""}"#, Some("type")),
        ] {
            let wrong = wrong(header);
            match want {
                None => assert_eq!(wrong, None, "{header}"),
                Some(want) => assert!(wrong.unwrap().contains(want), "{header}"),
            }
        }
    }

    #[test]
    fn what_has_not_three_parts_is_no_signed_token() {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#);
        for token in [
            String::new(),
            "..".to_owned(),
            format!("{header}.e30"),
            format!("{header}.e30.c2ln.x"),
            format!("{header}=.e30.c2ln"),
            format!("{header}.e30=.c2ln"),
            // An encrypted token has five.
            format!("{header}.e30.e30.e30.c2ln"),
        ] {
            assert!(Signed::read(&token).is_err(), "{token}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(header: Vec<u8>, payload: Vec<u8>, text: String) {
            let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            let token = format!("{}.{}.{text}", part(&header), part(&payload));
            for token in [token, text] {
                if let Ok(signed) = Signed::read(&token) {
                    let length = signed.message.len() + 1 + signed.signature.len();
                    prop_assert_eq!(length, token.len());
                }
            }
        }
    }
}
