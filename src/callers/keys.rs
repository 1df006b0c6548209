//! The keys of an issuer: a JSON Web Key Set (RFC 7517), reduced to what may sign tokens.
//!
//! Each key fixes the algorithms that it may have signed with. A token's header only says
//! which of them, so that it cannot make a public key the secret of an HMAC.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    Wrong,
    signed::{Signed, algorithm},
};

/// The most keys of a set that are read; Entra has about ten.
const MAX_KEYS: usize = 200;
/// RFC 7518, section 3.3: the smallest RSA key, in bits.
const MIN_RSA_BITS: usize = 2048;
/// The largest RSA key that can be checked, in bits: larger ones take too long.
const MAX_RSA_BITS: usize = 8192;

const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// The usable keys of a set, and when they were fetched.
pub(super) struct Keys {
    keys: Vec<Key>,
    pub(super) fetched: Instant,
}

struct Key {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    public: DecodingKey,
}

/// One key as a set has it.
#[derive(Deserialize)]
struct Listed {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// RFC 7517, section 5: a set may have keys that nobody here understands.
#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

// === impl Keys ===

impl Keys {
    /// The usable keys of a set. Nothing if there is none; what is no key set is an error.
    pub(super) fn read(set: &[u8], fetched: Instant) -> Result<Option<Self>, serde_json::Error> {
        let set: Set = serde_json::from_slice(set)?;
        let keys: Vec<Key> = set
            .keys
            .into_iter()
            .filter_map(Key::read)
            .take(MAX_KEYS)
            .collect();
        Ok((!keys.is_empty()).then_some(Self { keys, fetched }))
    }

    /// Whether a token that names this key can be judged by this set. One that names none
    /// can: see [`Keys::verify`].
    pub(super) fn has(&self, kid: Option<&str>) -> bool {
        kid.is_none() || self.keys.iter().any(|key| key.kid.as_deref() == kid)
    }

    /// Whether one of the keys has signed it: one that its `kid` names. A token without
    /// `kid` is only taken where the set has a single key (RFC 7515, section 4.1.4, leaves
    /// it open; `OpenID` Connect Core, section 10.1, wants a `kid` where there are several).
    pub(super) fn verify(&self, signed: &Signed<'_>) -> Result<(), Wrong> {
        let kid = signed.kid.as_deref();
        if kid.is_none() && self.keys.len() > 1 {
            return Err("holds a token that does not say by `kid` which key has signed it".into());
        }
        if !self.has(kid) {
            return Err("holds a token that no key of the issuer has signed".into());
        }
        // The same `kid` may name keys of several types (RFC 7517, section 4.5).
        let named = self
            .keys
            .iter()
            .filter(|key| kid.is_none() || key.kid.as_deref() == kid);
        let mut fitting = named
            .filter(|key| key.algorithms.contains(&signed.algorithm))
            .peekable();
        if fitting.peek().is_none() {
            return Err(
                "holds a token that is signed by another algorithm than its key is for".into(),
            );
        }
        let has_signed = |key: &Key| {
            crypto::verify(
                signed.signature,
                signed.message,
                &key.public,
                signed.algorithm,
            )
            .unwrap_or(false)
        };
        if !fitting.any(has_signed) {
            return Err("holds a token with a wrong signature".into());
        }
        Ok(())
    }
}

// === impl Key ===

impl Key {
    /// Nothing if it is not for signatures, symmetric, weak, or not understood.
    fn read(listed: Value) -> Option<Self> {
        let listed: Listed = serde_json::from_value(listed).ok()?;
        let is_for_signatures = listed.usage.as_deref().is_none_or(|usage| usage == "sig")
            && listed
                .key_ops
                .as_ref()
                .is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !is_for_signatures {
            return None;
        }
        let (public, mut algorithms) = match (listed.kty.as_str(), listed.crv.as_deref()) {
            ("RSA", _) => (listed.rsa()?, RSA.to_vec()),
            ("EC", Some("P-256")) => (listed.point(32)?, vec![Algorithm::ES256]),
            ("EC", Some("P-384")) => (listed.point(48)?, vec![Algorithm::ES384]),
            ("OKP", Some("Ed25519")) => (listed.ed25519()?, vec![Algorithm::EdDSA]),
            _ => return None,
        };
        if let Some(name) = &listed.alg {
            let only = algorithm(name)?;
            algorithms.retain(|algorithm| *algorithm == only);
        }
        (!algorithms.is_empty()).then_some(Self {
            kid: listed.kid,
            algorithms,
            public,
        })
    }
}

// === impl Listed ===

impl Listed {
    fn rsa(&self) -> Option<DecodingKey> {
        let modulus = number(self.n.as_deref()?)?;
        let exponent = number(self.e.as_deref()?)?;
        let bits = modulus.len() * 8 - usize::try_from(modulus.first()?.leading_zeros()).ok()?;
        // With the exponent 1 everything is its own signature.
        let is_exponent = exponent.len() <= 8 && exponent != [1] && exponent.last()? % 2 == 1;
        ((MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) && is_exponent)
            .then(|| DecodingKey::from_rsa_raw_components(&modulus, &exponent))
    }

    /// An uncompressed point; whether it is on the curve is found when it is used.
    fn point(&self, size: usize) -> Option<DecodingKey> {
        let x = bytes(self.x.as_deref()?)?;
        let y = bytes(self.y.as_deref()?)?;
        (x.len() == size && y.len() == size)
            .then(|| DecodingKey::from_ec_der(&[&[4][..], &x, &y].concat()))
    }

    fn ed25519(&self) -> Option<DecodingKey> {
        let x = bytes(self.x.as_deref()?)?;
        (x.len() == 32).then(|| DecodingKey::from_ed_der(&x))
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// A number without leading zeros, which some issuers write.
fn number(text: &str) -> Option<Vec<u8>> {
    let bytes = bytes(text)?;
    let first = bytes.iter().position(|byte| *byte != 0)?;
    Some(bytes[first..].to_vec())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn algorithms(key: Value) -> Vec<Algorithm> {
        Key::read(key).map(|key| key.algorithms).unwrap_or_default()
    }

    fn with(mut key: Value, name: &str, value: Value) -> Value {
        key[name] = value;
        key
    }

    #[test]
    fn a_key_fixes_its_algorithms_and_what_is_no_signing_key_is_dropped() {
        let modulus = |bytes: usize| URL_SAFE_NO_PAD.encode(vec![0xff; bytes]);
        let rsa = json!({"kty": "RSA", "n": modulus(256), "e": "AQAB", "kid": "k"});
        let ec = json!({"kty": "EC", "crv": "P-256", "x": modulus(32), "y": modulus(32)});
        let ec384 = json!({"kty": "EC", "crv": "P-384", "x": modulus(48), "y": modulus(48)});
        let ed = json!({"kty": "OKP", "crv": "Ed25519", "x": modulus(32)});
        let zeros = URL_SAFE_NO_PAD.encode([&[0; 9][..], &[0xff; 255]].concat());
        let just_weak = URL_SAFE_NO_PAD.encode([&[0x7f][..], &[0xff; 255]].concat());
        for (key, want) in [
            (rsa.clone(), RSA),
            (with(rsa.clone(), "use", json!("sig")), RSA),
            (with(rsa.clone(), "key_ops", json!(["verify"])), RSA),
            (with(rsa.clone(), "x5c", json!(["MIIC"])), RSA),
            (
                with(rsa.clone(), "alg", json!("PS256")),
                &[Algorithm::PS256],
            ),
            (ec.clone(), &[Algorithm::ES256]),
            (ec384, &[Algorithm::ES384]),
            (ed.clone(), &[Algorithm::EdDSA]),
            (
                with(ed.clone(), "alg", json!("Ed25519")),
                &[Algorithm::EdDSA],
            ),
            // Not for signatures.
            (with(rsa.clone(), "use", json!("enc")), &[]),
            (with(rsa.clone(), "key_ops", json!(["encrypt"])), &[]),
            (with(rsa.clone(), "alg", json!("RSA-OAEP")), &[]),
            // Of another family.
            (with(rsa.clone(), "alg", json!("HS256")), &[]),
            (with(rsa.clone(), "alg", json!("none")), &[]),
            (with(rsa.clone(), "alg", json!("ES256")), &[]),
            (with(ec.clone(), "alg", json!("ES384")), &[]),
            (with(ec.clone(), "alg", json!("RS256")), &[]),
            // Symmetric.
            (json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}), &[]),
            (json!({"kty": "oct", "k": "c2VjcmV0"}), &[]),
            // Weak, or too large.
            (with(rsa.clone(), "n", json!(modulus(128))), &[]),
            (with(rsa.clone(), "n", json!(zeros)), &[]),
            (with(rsa.clone(), "n", json!(just_weak)), &[]),
            (with(rsa.clone(), "n", json!(modulus(1025))), &[]),
            (with(rsa.clone(), "e", json!("AQ")), &[]),
            (with(rsa.clone(), "e", json!("AA")), &[]),
            (with(rsa.clone(), "e", json!("Ag")), &[]),
            // Malformed, or unknown.
            (with(rsa.clone(), "n", json!("not base64!")), &[]),
            (with(rsa.clone(), "n", json!("")), &[]),
            (with(rsa.clone(), "n", Value::Null), &[]),
            (with(rsa, "kid", json!(7)), &[]),
            (with(ec.clone(), "x", json!(modulus(31))), &[]),
            (with(ec.clone(), "crv", json!("P-521")), &[]),
            (with(ec, "crv", json!("secp256k1")), &[]),
            (with(ed.clone(), "crv", json!("X25519")), &[]),
            (with(ed, "x", json!(modulus(33))), &[]),
            (json!({"kty": "AKP"}), &[]),
            (json!("key"), &[]),
        ] {
            assert_eq!(algorithms(key.clone()), want, "{key}");
        }
    }

    #[tokio::test]
    async fn a_set_is_what_is_usable_in_it() {
        let read = |set: Value| Keys::read(set.to_string().as_bytes(), Instant::now());
        let ed = |kid: &str| json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": URL_SAFE_NO_PAD.encode([1; 32])});
        let keys = read(json!({"keys": [{"kty": "oct"}, 7, ed("a"), ed("b")]}));
        let keys = keys.unwrap().unwrap();
        assert!(keys.has(Some("a")) && keys.has(Some("b")) && keys.has(None));
        assert!(!keys.has(Some("")) && !keys.has(Some("c")));
        let many: Vec<Value> = (0..1000).map(|i| ed(&i.to_string())).collect();
        let keys = read(json!({ "keys": many })).unwrap().unwrap();
        assert_eq!(keys.keys.len(), MAX_KEYS);
        assert!(read(json!({"keys": []})).unwrap().is_none());
        assert!(
            read(json!({"keys": [{"kty": "oct", "k": "x"}]}))
                .unwrap()
                .is_none()
        );
        for no_set in [json!({}), json!([]), json!({"keys": "x"})] {
            assert!(read(no_set).is_err());
        }
    }
}
