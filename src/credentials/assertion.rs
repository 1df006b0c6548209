//! A signed assertion of who the gateway is (Microsoft identity platform, "Certificate
//! credentials": PS256, `x5t#S256`, a few minutes long).

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{RSA_PSS_SHA256, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::secret::Secret;

/// How long an assertion is good; the page recommends 5 to 10 minutes.
const LIFETIME_SECONDS: u64 = 300;

/// Why nothing can be signed. No text holds content of the file.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotSigned {
    #[error("it holds no certificate in PEM")]
    Certificate,
    #[error("it holds no RSA private key in PEM (an encrypted one cannot be read)")]
    Key,
    #[error("the private key cannot sign")]
    Signature,
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    iss: &'a str,
    sub: &'a str,
    jti: Uuid,
    nbf: u64,
    iat: u64,
    exp: u64,
}

/// The assertion of `client_id` for the token endpoint `audience`.
pub(super) fn signed(pem: &[u8], client_id: &str, audience: &str) -> Result<Secret, NotSigned> {
    let certificate = CertificateDer::from_pem_slice(pem).map_err(|_| NotSigned::Certificate)?;
    let key = private_key(pem).ok_or(NotSigned::Key)?;
    let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, &certificate));
    let header = json!({"typ": "JWT", "alg": "PS256", "x5t#S256": thumbprint});
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs();
    let claims = Claims {
        aud: audience,
        iss: client_id,
        sub: client_id,
        jti: Uuid::new_v4(),
        nbf: now,
        iat: now,
        exp: now + LIFETIME_SECONDS,
    };
    let claims = serde_json::to_string(&claims).unwrap_or_default();
    let [header, claims] = [header.to_string(), claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    let message = format!("{header}.{claims}");
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(
        &RSA_PSS_SHA256,
        &SystemRandom::new(),
        message.as_bytes(),
        &mut signature,
    )
    .map_err(|_| NotSigned::Signature)?;
    let signature = URL_SAFE_NO_PAD.encode(signature);
    Ok(Secret::new(&format!("{message}.{signature}")))
}

/// The first private key of the file, wherever in it. Its errors may quote the file, so
/// they are not kept.
fn private_key(pem: &[u8]) -> Option<RsaKeyPair> {
    match PrivateKeyDer::from_pem_slice(pem).ok()? {
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()).ok(),
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).ok(),
        // An elliptic curve; Entra takes RSA only.
        PrivateKeyDer::Sec1(_) | _ => None,
    }
}
