//! JSON Web Tokens in their compact form (RFC 7515, section 3.1), taken apart. Nothing
//! here trusts one: whoever reads claims has checked the signature.

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaParameters, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// A token in its three parts.
pub(super) struct Jwt<'a> {
    signed: &'a str,
    signature: Vec<u8>,
    header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
}

impl<'a> Jwt<'a> {
    /// `None` for what is no JWT, whatever else it may be.
    pub(super) fn parse(token: &'a str) -> Option<Jwt<'a>> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        Some(Jwt {
            signed,
            signature: decode(signature)?,
            header: serde_json::from_slice(&decode(header)?).ok()?,
            claims: serde_json::from_slice(&decode(claims)?).ok()?,
        })
    }

    /// A text of the header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.header.get(name)?.as_str()
    }

    /// A text among the claims.
    pub(super) fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim)?.as_str()
    }

    /// The one audience; Entra takes no list (AADSTS5002741).
    pub(super) fn audience(&self) -> &str {
        self.text("aud").unwrap_or_default()
    }

    /// A time, in seconds since 1970. RFC 7519 allows fractions, which are cut off.
    pub(super) fn time(&self, claim: &str) -> Option<i64> {
        let value = self.claims.get(claim)?;
        #[expect(clippy::cast_possible_truncation, reason = "a time is far from 2^63")]
        value
            .as_i64()
            .or_else(|| value.as_f64().map(|seconds| seconds as i64))
    }

    /// Whether this key has signed it, with one of the algorithms that `allowed` names.
    pub(super) fn is_signed_by(&self, public_key: &[u8], allowed: &[&str]) -> bool {
        let algorithm = self.header("alg").filter(|name| allowed.contains(name));
        let parameters: &'static RsaParameters = match algorithm {
            Some("RS256") => &RSA_PKCS1_2048_8192_SHA256,
            Some("PS256") => &RSA_PSS_2048_8192_SHA256,
            _ => return false,
        };
        UnparsedPublicKey::new(parameters, public_key)
            .verify(self.signed.as_bytes(), &self.signature)
            .is_ok()
    }
}

/// Bytes as a token has them: base64url without padding.
pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes again; `None` for anything else.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_three_parts_and_two_of_json_is_a_token() {
        let (json, text) = (encode("{}"), encode("x"));
        for (token, is_token) in [
            (format!("{json}.{json}.{text}"), true),
            (format!("{json}.{json}."), true),
            (format!("{json}.{json}"), false),
            (format!("{json}.{json}.{text}.{text}"), false),
            (format!("{text}.{json}.{text}"), false),
            (format!("{json}.{text}.{text}"), false),
            (format!("{}.{json}.{text}", encode("[]")), false),
            (format!("{json}.{json}.="), false),
            ("sandbox-token".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(Jwt::parse(&token).is_some(), is_token, "{token}");
        }
    }
}
