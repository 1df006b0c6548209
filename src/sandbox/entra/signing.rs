//! The keys that sign tokens, and what is published of them.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use serde_json::{Map, Value, json};

use super::jwt::{Jwt, encode};

/// How many keys that were rotated out a sandbox still knows.
const MAX_RETIRED: usize = 16;

/// The first key of every sandbox in this process. Making one takes 0.04 to 0.3 s, and
/// hundreds of tests start a sandbox: so it is made once, when somebody first needs it.
static FIRST: OnceLock<Option<Arc<Key>>> = OnceLock::new();

/// An RSA key of 2048 bits, as Entra has them.
pub(super) struct Key {
    pair: KeyPair,
    /// Its public half in DER.
    public: Vec<u8>,
    /// Its `kid`, which says nothing.
    pub(super) id: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.id).finish()
    }
}

impl Key {
    fn generate() -> Option<Arc<Key>> {
        let pair = KeyPair::generate(KeySize::Rsa2048).ok()?;
        let public = pair.public_key().as_der().ok()?.as_ref().to_vec();
        let id = encode(digest(&SHA256, &public));
        Some(Arc::new(Key { pair, public, id }))
    }

    /// A key that nobody has seen before.
    pub(super) async fn new() -> io::Result<Arc<Key>> {
        made(tokio::task::spawn_blocking(Key::generate).await?)
    }

    /// The first key of this process.
    pub(super) async fn first() -> io::Result<Arc<Key>> {
        if let Some(key) = FIRST.get() {
            return made(key.clone());
        }
        let make = || FIRST.get_or_init(Key::generate).clone();
        made(tokio::task::spawn_blocking(make).await?)
    }

    /// The token of a header and claims. `"alg": "none"` gets no signature, every other
    /// algorithm an RS256 one: such tokens exist to be refused.
    pub(super) fn token(
        &self,
        header: &Map<String, Value>,
        claims: &Map<String, Value>,
    ) -> io::Result<String> {
        let json = |part: &Map<String, Value>| encode(Value::from(part.clone()).to_string());
        let signed = format!("{}.{}", json(header), json(claims));
        if header.get("alg").and_then(Value::as_str) == Some("none") {
            return Ok(format!("{signed}."));
        }
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                signed.as_bytes(),
                &mut signature,
            )
            .map_err(|_| io::Error::other("the sandbox cannot sign"))?;
        Ok(format!("{signed}.{}", encode(signature)))
    }

    /// As RFC 7517 writes it, without `alg`, which Entra leaves out too.
    fn jwk(&self, issuer: &str) -> Value {
        let public = self.pair.public_key();
        json!({
            "kty": "RSA",
            "use": "sig",
            "kid": self.id,
            "x5t": self.id,
            "n": encode(public.modulus().big_endian_without_leading_zero()),
            "e": encode(public.exponent().big_endian_without_leading_zero()),
            "cloud_instance_name": "microsoftonline.com",
            "issuer": issuer,
        })
    }
}

fn made(key: Option<Arc<Key>>) -> io::Result<Arc<Key>> {
    key.ok_or_else(|| io::Error::other("the sandbox cannot make an RSA key"))
}

/// The keys of one sandbox, oldest first; the last one signs.
#[derive(Debug, Default)]
pub(super) struct Keys(Vec<Known>);

#[derive(Debug)]
struct Known {
    key: Arc<Key>,
    is_published: bool,
}

/// Who has signed a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signer {
    /// Nobody whose `kid` is known here.
    Stranger,
    /// A published key.
    Current,
    /// A key that has left the published ones.
    Retired,
    /// Somebody who names a key of this sandbox and does not have it.
    Forger,
}

impl Keys {
    pub(super) fn current(&self) -> Option<Arc<Key>> {
        self.0.last().map(|known| Arc::clone(&known.key))
    }

    /// Signs with this key from now on; the others leave the published ones unless they
    /// are kept.
    pub(super) fn add(&mut self, key: Arc<Key>, keep: bool) {
        for known in &mut self.0 {
            known.is_published &= keep;
        }
        if self.0.len() > MAX_RETIRED {
            // The first one stays, for a reset.
            self.0.remove(1);
        }
        self.0.push(Known {
            key,
            is_published: true,
        });
    }

    /// The first key and no other, published again.
    pub(super) fn first_only(mut self) -> Keys {
        self.0.truncate(1);
        for known in &mut self.0 {
            known.is_published = true;
        }
        self
    }

    /// What `jwks_uri` shows.
    pub(super) fn published(&self, issuer: &str) -> Value {
        let published = self.0.iter().filter(|known| known.is_published);
        let keys: Vec<_> = published.map(|known| known.key.jwk(issuer)).collect();
        json!({"keys": keys})
    }

    pub(super) fn signer(&self, token: &Jwt<'_>) -> Signer {
        let named = token.header("kid");
        let known = self
            .0
            .iter()
            .find(|known| Some(known.key.id.as_str()) == named);
        match known {
            None => Signer::Stranger,
            Some(known) if !token.is_signed_by(&known.key.public, &["RS256"]) => Signer::Forger,
            Some(known) if known.is_published => Signer::Current,
            Some(_) => Signer::Retired,
        }
    }
}
