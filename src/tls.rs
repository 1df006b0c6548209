//! Certificates and keys from PEM files, for both sides of the gateway.
//!
//! Errors name the key of the configuration and the path. What a file holds is in no
//! error, not even as a cause: a parser's own error can quote a line of a private key.

use std::{path::PathBuf, time::SystemTime};

use tokio_rustls::rustls::{
    self, InconsistentKeys, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::ParsedCertificate,
    sign::CertifiedKey,
};

use crate::{
    peer::ClientCertificate,
    reload::{File, Source},
};

/// A certificate, the authorities between it and a root, and its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate first, then those that it was issued by.
    pub certificate: File,
    /// Its key: PKCS #8, PKCS #1 or SEC 1, not encrypted.
    pub key: File,
}

/// Why a file is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// There is no certificate in it, or one that cannot be read.
    #[error("{} {} holds no readable certificate in PEM form", .0.key, .0.path.display())]
    NoCertificate(Source),
    /// There is no private key in it.
    #[error("{} {} holds no private key in PEM form", .0.key, .0.path.display())]
    NoKey(Source),
    /// Only a passphrase would open it.
    #[error("{} {} is encrypted, which is not supported; remove its passphrase, for example by `openssl pkey`", .0.key, .0.path.display())]
    EncryptedKey(Source),
    /// Its kind or size is not supported.
    #[error("{} {} holds a private key that cannot be used; RSA from 2048 bits, ECDSA on P-256, P-384 or P-521, or Ed25519 is expected", .0.key, .0.path.display())]
    UnusableKey(Source),
    /// The certificate's time is over.
    #[error("the certificate of {} {} has expired", .0.key, .0.path.display())]
    Expired(Source),
    /// It belongs to another certificate.
    #[error("{} {} is not the key of the certificate in {certificate_key} {}", .key.key, .key.path.display(), certificate.display())]
    Mismatch {
        /// The key's file.
        key: Source,
        /// The certificate's key in the configuration.
        certificate_key: &'static str,
        /// The certificate's file.
        certificate: PathBuf,
    },
}

// === impl Pair ===

impl Pair {
    /// Reads both files and checks that they belong together.
    pub fn certified(&self) -> Result<CertifiedKey, TlsError> {
        let chain = certificates(&self.certificate)?;
        let key = private_key(&self.key)?;
        CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|error| {
            if error == rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) {
                TlsError::Mismatch {
                    key: self.key.source.clone(),
                    certificate_key: self.certificate.source.key,
                    certificate: self.certificate.source.path.clone(),
                }
            } else if matches!(error, rustls::Error::InvalidCertificate(_)) {
                TlsError::NoCertificate(self.certificate.source.clone())
            } else {
                TlsError::UnusableKey(self.key.source.clone())
            }
        })
    }

    /// Warns when the certificate's time is over: peers will refuse it, but the clock may
    /// be what is wrong.
    pub fn warn_if_expired(&self, now: SystemTime) {
        if self.is_expired(now) {
            tracing::warn!(
                file = %self.certificate.source.path.display(),
                "the certificate of {} has expired",
                self.certificate.source.key
            );
        }
    }

    /// Refuses a certificate whose time is over, where another one is in use that may be
    /// better.
    pub fn refuse_if_expired(&self, now: SystemTime) -> Result<(), TlsError> {
        if self.is_expired(now) {
            return Err(TlsError::Expired(self.certificate.source.clone()));
        }
        Ok(())
    }

    fn is_expired(&self, now: SystemTime) -> bool {
        let leaf = certificates(&self.certificate).map(|chain| chain.into_iter().next());
        leaf.ok()
            .flatten()
            .and_then(|leaf| ClientCertificate::read(&leaf).ok())
            .is_some_and(|leaf| leaf.is_expired(now))
    }
}

/// All certificates of a file, at least one.
pub fn certificates(file: &File) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_slice_iter(&file.bytes)
        .collect::<Result<Vec<_>, _>>()
        .ok()
        .filter(|certificates| !certificates.is_empty())
        .ok_or_else(|| TlsError::NoCertificate(file.source.clone()))
}

/// The same, where the first one is the owner's own, and can be read.
pub fn chain(file: &File) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = certificates(file)?;
    let is_readable = chain
        .first()
        .is_some_and(|leaf| ParsedCertificate::try_from(leaf).is_ok());
    is_readable
        .then_some(chain)
        .ok_or_else(|| TlsError::NoCertificate(file.source.clone()))
}

/// The certificates of a file as the authorities that are trusted.
pub fn authorities(file: &File) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots
            .add(certificate)
            .map_err(|_| TlsError::NoCertificate(file.source.clone()))?;
    }
    Ok(roots)
}

/// The first private key of a file.
pub fn private_key(file: &File) -> Result<PrivateKeyDer<'static>, TlsError> {
    // RFC 7468, section 11, and the older RFC 1421, section 4.6.1.1.
    let encrypted = [
        &b"-----BEGIN ENCRYPTED PRIVATE KEY-----"[..],
        b"Proc-Type: 4,ENCRYPTED",
    ];
    PrivateKeyDer::from_pem_slice(&file.bytes).map_err(|_| {
        let has = |label: &[u8]| file.bytes.windows(label.len()).any(|part| part == label);
        if encrypted.into_iter().any(has) {
            TlsError::EncryptedKey(file.source.clone())
        } else {
            TlsError::NoKey(file.source.clone())
        }
    })
}

#[cfg(test)]
mod tests;
