//! A signed assertion of who the gateway is (Microsoft identity platform, "Certificate
//! credentials": PS256, `x5t#S256`, a few minutes long).

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde::Serialize;
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
    Signature(#[source] jsonwebtoken::errors::Error),
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
    let mut header = Header::new(Algorithm::PS256);
    let thumbprint = digest(&SHA256, &certificate);
    header.x5t_s256 = Some(URL_SAFE_NO_PAD.encode(thumbprint));
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
    jsonwebtoken::encode(&header, &claims, &key)
        .map(|assertion| Secret::new(&assertion))
        .map_err(NotSigned::Signature)
}

/// The first private key of the file, wherever in it. Its errors may quote the file, so
/// they are not kept.
fn private_key(pem: &[u8]) -> Option<EncodingKey> {
    use rustls_pki_types::PrivateKeyDer::{Pkcs1, Pkcs8, Sec1};
    match rustls_pki_types::PrivateKeyDer::from_pem_slice(pem).ok()? {
        Pkcs1(key) => Some(EncodingKey::from_rsa_der(key.secret_pkcs1_der())),
        Pkcs8(key) => Some(EncodingKey::from_rsa_der(key.secret_pkcs8_der())),
        Sec1(_) => None,
        _ => None,
    }
}
