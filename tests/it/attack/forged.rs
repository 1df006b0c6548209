//! Tokens that somebody else has signed, or nobody, by what anybody can know: the issuer's
//! public key, a good token, and keys of one's own.

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use super::{EXTRA, Fort};
use crate::support::Stub;

/// What a forger knows.
struct Forger {
    kid: String,
    claims: Value,
    /// The issuer's public key.
    jwk: Value,
    own: RsaKeyPair,
}

impl Forger {
    async fn at(fort: &Fort) -> Self {
        let kid = part(&fort.token, 0)["kid"].as_str().unwrap().to_owned();
        let sandbox = &fort.sandbox;
        let url = format!(
            "{}/{}/discovery/v2.0/keys",
            sandbox.authority(),
            sandbox.tenant()
        );
        let set = reqwest::get(url).await.unwrap().bytes().await.unwrap();
        let set: Value = serde_json::from_slice(&set).unwrap();
        let keys = set["keys"].as_array().unwrap().iter();
        let jwk = keys.clone().find(|key| key["kid"] == kid).unwrap().clone();
        Self {
            kid,
            claims: part(&fort.token, 1),
            jwk,
            own: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
        }
    }

    /// A number of the issuer's key.
    fn number(&self, name: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD
            .decode(self.jwk[name].as_str().unwrap())
            .unwrap()
    }

    /// RFC 8017, appendix A.1.1: modulus, which is no negative number, and exponent.
    fn pkcs1(&self) -> Vec<u8> {
        let modulus = der(2, &[&[0][..], &self.number("n")].concat());
        der(0x30, &[modulus, der(2, &self.number("e"))].concat())
    }

    /// The same as a `SubjectPublicKeyInfo`.
    fn spki(&self) -> Vec<u8> {
        // RFC 3279, section 2.3.1: rsaEncryption.
        let algorithm = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
        let bits = der(3, &[&[0][..], &self.pkcs1()].concat());
        der(0x30, &[&algorithm[..], &bits].concat())
    }

    /// What the issuer publishes, in every form that could be taken for a secret.
    fn secrets(&self) -> Vec<(&'static str, Vec<u8>)> {
        let (pkcs1, spki) = (self.pkcs1(), self.spki());
        let public = pem("PUBLIC KEY", &spki);
        vec![
            (
                "PEM without its last line's end",
                public.trim_ascii_end().to_vec(),
            ),
            ("PEM", public),
            ("PEM, PKCS #1", pem("RSA PUBLIC KEY", &pkcs1)),
            ("DER", spki),
            ("DER, PKCS #1", pkcs1),
            ("modulus", self.number("n")),
            ("modulus, as text", self.jwk["n"].as_str().unwrap().into()),
            ("JWK", self.jwk.to_string().into()),
            ("nothing", Vec::new()),
        ]
    }

    /// The forger's own key, under a name.
    fn own_jwk(&self, kid: &str) -> Value {
        let modulus = self.own.public_key().modulus();
        let modulus = URL_SAFE_NO_PAD.encode(modulus.big_endian_without_leading_zero());
        json!({"kty": "RSA", "kid": kid, "use": "sig", "e": "AQAB", "n": modulus})
    }

    /// Signed with the forger's own key.
    fn signed(&self, header: &Value) -> String {
        let message = message(header, &self.claims);
        let mut signature = vec![0; self.own.public_modulus_len()];
        let random = SystemRandom::new();
        self.own
            .sign(
                &RSA_PKCS1_SHA256,
                &random,
                message.as_bytes(),
                &mut signature,
            )
            .unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// The part of a token as JSON: 0 is its header, 1 its claims.
fn part(token: &str, n: usize) -> Value {
    let part = token.split('.').nth(n).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn message(header: &Value, claims: &Value) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    format!("{}.{}", encode(header), encode(claims))
}

/// One element of DER (X.690, section 8.1) of less than 64 KiB.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    let length = match (high, low) {
        (0, 0..=127) => vec![low],
        _ => vec![0x82, high, low],
    };
    [&[tag][..], &length, content].concat()
}

/// RFC 7468.
fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in STANDARD.encode(der).as_bytes().chunks(64) {
        text.push_str(str::from_utf8(line).unwrap());
        text.push('\n');
    }
    (text + &format!("-----END {label}-----\n")).into_bytes()
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    let fort = Fort::start().await.besieged().await;
    let forger = Forger::at(&fort).await;
    for (what, secret) in forger.secrets() {
        for (name, algorithm) in [("HS256", hmac::HMAC_SHA256), ("HS512", hmac::HMAC_SHA512)] {
            for header in [
                json!({"alg": name, "kid": forger.kid}),
                json!({"alg": name, "typ": "JWT"}),
            ] {
                let message = message(&header, &forger.claims);
                let tag = hmac::sign(&hmac::Key::new(algorithm, &secret), message.as_bytes());
                let tag = URL_SAFE_NO_PAD.encode(tag);
                let call = fort.attempt(&format!("Bearer {message}.{tag}")).await;
                Fort::assert_nobody(&call, &format!("{name} by {what}"));
            }
        }
    }
    fort.stands(EXTRA).await;
}

#[tokio::test]
async fn a_token_brings_no_key_of_its_own_and_leads_nobody_to_one() {
    let fort = Fort::start().await.besieged().await;
    let forger = Forger::at(&fort).await;
    let evil = Stub::silent().await;
    let url = format!("http://{}/keys", evil.addr);
    let (kid, own) = (&forger.kid, forger.own_jwk("evil"));
    for header in [
        json!({"alg": "RS256", "kid": kid}),
        json!({"alg": "RS256"}),
        json!({"alg": "RS256", "kid": "evil", "jku": url}),
        json!({"alg": "RS256", "kid": kid, "jku": url}),
        json!({"alg": "RS256", "kid": "evil", "x5u": url}),
        json!({"alg": "RS256", "kid": kid, "x5u": url}),
        json!({"alg": "RS256", "kid": "evil", "jwk": own}),
        json!({"alg": "RS256", "kid": kid, "jwk": forger.own_jwk(kid)}),
        json!({"alg": "RS256", "kid": kid, "x5c": [STANDARD.encode(forger.spki())]}),
        json!({"alg": "RS256", "kid": "../../../../dev/null"}),
        json!({"alg": "RS256", "kid": url}),
        json!({"alg": "RS256", "kid": kid, "crit": ["jwk"], "jwk": own}),
        json!({"alg": "none", "kid": kid}),
        json!({"alg": "none"}),
    ] {
        let token = forger.signed(&header);
        let call = fort.attempt(&format!("Bearer {token}")).await;
        Fort::assert_nobody(&call, &header.to_string());
    }
    assert_eq!(evil.heard.connections(), 0);
    // The issuer's signature under other claims, and none at all.
    let (_, signature) = fort.token.rsplit_once('.').unwrap();
    let header = part(&fort.token, 0);
    let mut raised = forger.claims.clone();
    raised["roles"] = json!(["Execute", "Admin"]);
    for (claims, signature) in [(&raised, signature), (&raised, ""), (&forger.claims, "")] {
        let token = format!("{}.{signature}", message(&header, claims));
        Fort::assert_nobody(&fort.attempt(&format!("Bearer {token}")).await, "changed");
    }
    fort.stands(EXTRA).await;
}
