//! Keys that sign the tests' tokens.

use std::sync::LazyLock;

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
        RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

pub(super) enum Signer {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// An RSA key takes a while to make, so there is one.
pub(super) static RSA: LazyLock<Signer> =
    LazyLock::new(|| Signer::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));

impl Signer {
    pub(super) fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(super) fn p384() -> Self {
        Self::P384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap())
    }

    pub(super) fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    /// The public key, in the bytes that the key's kind has for it: PKCS #1 for RSA.
    pub(super) fn public(&self) -> Vec<u8> {
        match self {
            Self::Rsa(key) => key.public_key().as_ref().to_vec(),
            Self::P256(key) | Self::P384(key) => key.public_key().as_ref().to_vec(),
            Self::Ed25519(key) => key.public_key().as_ref().to_vec(),
        }
    }

    pub(super) fn jwk(&self, kid: &str) -> Value {
        let public = self.public();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let point = |curve: &str| {
            let (x, y) = public[1..].split_at(public.len() / 2);
            json!({"kty": "EC", "crv": curve, "kid": kid, "x": text(x), "y": text(y)})
        };
        match self {
            // SEQUENCE { INTEGER with 257 bytes, the first of them 0; INTEGER 65537 }
            Self::Rsa(_) => {
                json!({"kty": "RSA", "use": "sig", "kid": kid, "n": text(&public[9..265]), "e": "AQAB"})
            }
            Self::P256(_) => point("P-256"),
            Self::P384(_) => point("P-384"),
            Self::Ed25519(_) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": text(&public)})
            }
        }
    }

    /// A token with its usual algorithm.
    pub(super) fn token(&self, kid: &str, claims: &Value) -> String {
        let algorithm = match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
            Self::P384(_) => "ES384",
            Self::Ed25519(_) => "EdDSA",
        };
        self.signed(&json!({"alg": algorithm, "typ": "JWT", "kid": kid}), claims)
    }

    /// A token with this header, whatever it says; RSA keys sign as its `alg` says.
    pub(super) fn signed(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        let signature = match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                let padding = padding(header["alg"].as_str().unwrap_or_default());
                let random = SystemRandom::new();
                key.sign(padding, &random, message.as_bytes(), &mut signature)
                    .unwrap();
                signature
            }
            Self::P256(key) | Self::P384(key) => {
                let signature = key.sign(&SystemRandom::new(), message.as_bytes());
                signature.unwrap().as_ref().to_vec()
            }
            Self::Ed25519(key) => key.sign(message.as_bytes()).as_ref().to_vec(),
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// What is signed.
pub(super) fn message(header: &Value, claims: &Value) -> String {
    let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    format!("{}.{}", part(header), part(claims))
}

fn padding(algorithm: &str) -> &'static dyn RsaEncoding {
    match algorithm {
        "RS384" => &RSA_PKCS1_SHA384,
        "RS512" => &RSA_PKCS1_SHA512,
        "PS256" => &RSA_PSS_SHA256,
        "PS384" => &RSA_PSS_SHA384,
        "PS512" => &RSA_PSS_SHA512,
        _ => &RSA_PKCS1_SHA256,
    }
}
