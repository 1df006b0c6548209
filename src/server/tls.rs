//! TLS on the listener: what a handshake needs, and its exchange while connections come.

use std::{fmt, sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, CertificateError, ServerConfig,
        crypto::aws_lc_rs,
        server::{NoServerSessionStorage, WebPkiClientVerifier},
        sign::SingleCertAndKey,
        version::{TLS12, TLS13},
    },
    server::TlsStream,
};

use crate::{
    peer::ClientCertificate,
    reload::File,
    tls::{Pair, TlsError, authorities},
};

/// HTTP/2 over TLS (RFC 9113, section 3.2): gRPC has no other.
const ALPN: &[u8] = b"h2";

/// What the listener shows, and whom it trusts.
#[derive(Debug, Clone)]
pub struct TlsOptions {
    /// The listener's certificate and key.
    pub pair: Pair,
    /// The authorities of client certificates. With them, a peer that shows a certificate
    /// which they have not issued, or which is expired, gets no connection. A peer that
    /// shows none gets one, since the health service is open to all.
    pub client_ca: Option<File>,
}

/// TLS with the newest certificate. Clones share it.
#[derive(Clone)]
pub struct Tls(Arc<ArcSwap<ServerConfig>>);

/// Why a handshake led to no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error("the TLS handshake failed")]
    Tls(#[from] std::io::Error),
    #[error("the client's certificate was accepted, but cannot be read")]
    Unreadable(#[from] crate::peer::Unreadable),
    #[error("the client's certificate has expired")]
    Expired,
    #[error("the TLS handshake was not done in time")]
    TimedOut,
}

// === impl HandshakeError ===

impl HandshakeError {
    /// The stable label: why there is no connection.
    pub(super) fn reason(&self) -> &'static str {
        let error = match self {
            Self::Tls(error) => error,
            Self::Unreadable(_) => return "certificate_invalid",
            Self::Expired => return "certificate_expired",
            Self::TimedOut => return "timeout",
        };
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        match inner {
            Some(rustls::Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            )) => "certificate_expired",
            Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                "certificate_unknown_issuer"
            }
            Some(rustls::Error::InvalidCertificate(_)) => "certificate_invalid",
            Some(rustls::Error::InvalidMessage(_)) => "not_tls",
            Some(_) => "other",
            // The peer has left.
            None => "closed",
        }
    }
}

// === impl Tls ===

impl Tls {
    /// Checks and takes what connections are to use.
    pub fn new(options: &TlsOptions) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(ArcSwap::from_pointee(config(options)?))))
    }

    /// New connections use these; those that are open stay as they are. On an error
    /// nothing changes.
    pub fn replace(&self, options: &TlsOptions) -> Result<(), TlsError> {
        self.0.store(Arc::new(config(options)?));
        Ok(())
    }

    /// Shakes hands, and reads the peer's certificate if it has shown one. Not
    /// cancel-safe: dropped, the connection is closed.
    pub(super) async fn accept<IO>(
        &self,
        io: IO,
    ) -> Result<(TlsStream<IO>, Option<ClientCertificate>), HandshakeError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = TlsAcceptor::from(self.0.load_full()).accept(io).await?;
        let shown = stream.get_ref().1.peer_certificates();
        let Some(leaf) = shown.and_then(|chain| chain.first()) else {
            return Ok((stream, None));
        };
        let certificate = ClientCertificate::read(leaf)?;
        if certificate.is_expired(SystemTime::now()) {
            return Err(HandshakeError::Expired);
        }
        Ok((stream, Some(certificate)))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

fn config(options: &TlsOptions) -> Result<ServerConfig, TlsError> {
    let certified = options.pair.certified()?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    // Fails only for a provider without a cipher suite of these versions.
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|_| TlsError::UnusableKey(options.pair.key.source.clone()))?;
    let builder = match &options.client_ca {
        Some(file) => {
            let roots = Arc::new(authorities(file)?);
            // Fails only without roots; `authorities` gives one at least.
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                .allow_unauthenticated()
                .build()
                .map_err(|_| TlsError::NoCertificate(file.source.clone()))?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    // A resumed session would bring a certificate that was verified some time ago.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    // RFC 8446, section 8: early data can be replayed. It is off by default, too.
    config.max_early_data_size = 0;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType,
        string::Ia5String,
    };
    use tokio::io::duplex;
    use tokio_rustls::{
        TlsConnector,
        rustls::{
            ClientConfig, RootCertStore,
            pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
        },
    };

    use super::*;
    use crate::reload::Source;

    const SPIFFE: &str = "spiffe://example.org/soar";

    fn file(key: &'static str, text: &str) -> File {
        File {
            source: Source {
                key,
                path: key.into(),
            },
            bytes: text.as_bytes().into(),
        }
    }

    fn authority() -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn the_names_of_the_client_are_known_after_the_handshake() {
        let authority = authority();
        let issue = |names| {
            let mut params = CertificateParams::default();
            params.subject_alt_names = names;
            let key = KeyPair::generate().unwrap();
            (params.signed_by(&key, &authority).unwrap(), key)
        };
        let dns = |name: &str| SanType::DnsName(Ia5String::try_from(name).unwrap());
        let uri = SanType::URI(Ia5String::try_from(SPIFFE).unwrap());
        let (server, server_key) = issue(vec![dns("gate.test")]);
        let (client, client_key) = issue(vec![uri, dns("soar.test")]);
        let tls = Tls::new(&TlsOptions {
            pair: Pair {
                certificate: file("tls.certificate_file", &server.pem()),
                key: file("tls.key_file", &server_key.serialize_pem()),
            },
            client_ca: Some(file("tls.client_ca_file", &authority.pem())),
        })
        .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(client_key.serialize_der()));
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let shown = builder
            .clone()
            .with_client_auth_cert(vec![client.der().clone()], key)
            .unwrap();
        let expected = (vec![SPIFFE.to_owned()], vec!["soar.test".to_owned()]);
        for (config, expected) in [
            (shown, Some(expected)),
            (builder.with_no_client_auth(), None),
        ] {
            let (near, far) = duplex(64 * 1024);
            let name = ServerName::try_from("gate.test").unwrap();
            let connector = TlsConnector::from(Arc::new(config));
            let (connected, accepted) =
                tokio::join!(connector.connect(name, near), tls.accept(far));
            connected.unwrap();
            let (_, certificate) = accepted.unwrap();
            let names = certificate.map(|shown| (shown.uris.clone(), shown.dns.clone()));
            assert_eq!(names, expected);
        }
    }
}
