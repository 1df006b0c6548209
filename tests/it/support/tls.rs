//! TLS for a simulated Graph and for the gateway: an authority of the test's own.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use tempfile::TempDir;
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
        server::WebPkiClientVerifier,
        version::{TLS12, TLS13},
    },
};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

pub(crate) type Versions<'a> = &'a [&'static SupportedProtocolVersion];

pub(crate) const TLS_1_2: Versions<'static> = &[&TLS12];
pub(crate) const TLS_1_3: Versions<'static> = &[&TLS13];
pub(crate) const ANY_TLS: Versions<'static> = &[&TLS13, &TLS12];

/// Issues certificates.
pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// A folder with the files of one side, which look complete to whoever reads them.
#[derive(Debug)]
pub(crate) struct TlsFolder(TempDir);

// === impl Authority ===

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for these hosts; what looks like a URI becomes one.
    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        self.issue_as(names, |_| {})
    }

    /// The same, expired at the beginning of a year.
    pub(crate) fn issue_until(&self, names: &[&str], year: i32) -> Issued {
        self.issue_as(names, |params| {
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
        })
    }

    /// The same with anything else about it changed.
    pub(crate) fn issue_as(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let params = params(names, change);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued::new(&certificate, &key)
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        let own = CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap();
        roots.add(own).unwrap();
        roots
    }

    /// A server's side of TLS with a certificate for `name`.
    pub(crate) fn acceptor(&self, name: &str, alpn: &[&[u8]]) -> TlsAcceptor {
        self.acceptor_of(name, alpn, ANY_TLS, None)
    }

    /// The same that speaks these versions, and wants a certificate of `clients`.
    pub(crate) fn acceptor_of(
        &self,
        name: &str,
        alpn: &[&[u8]],
        versions: Versions<'_>,
        clients: Option<&Authority>,
    ) -> TlsAcceptor {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .unwrap();
        let builder = match clients {
            Some(clients) => {
                let roots = Arc::new(clients.roots());
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
            None => builder.with_no_client_auth(),
        };
        let (chain, key) = self.issue(&[name]).der();
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    /// A client's side of TLS that trusts this authority, and may have a certificate.
    pub(crate) fn connector(
        &self,
        alpn: &[&[u8]],
        versions: Versions<'_>,
        client: Option<&Issued>,
    ) -> TlsConnector {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(self.roots());
        let mut config = match client {
            Some(client) => {
                let (chain, key) = client.der();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }

    /// The same for tonic's client.
    pub(crate) fn tonic(&self, client: Option<&Issued>) -> ClientTlsConfig {
        let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.pem));
        match client {
            Some(client) => config.identity(Identity::from_pem(&client.certificate, &client.key)),
            None => config,
        }
    }

    /// The authority's certificate as a PEM file, for `graph.ca_file`.
    pub(crate) fn file(&self) -> PathBuf {
        let name = format!("{}.pem", uuid::Uuid::new_v4());
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, &self.pem).unwrap();
        path
    }
}

fn params(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let (uris, hosts): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| name.contains("://"));
    let hosts: Vec<_> = hosts.into_iter().map(str::to_owned).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    let uris = uris.into_iter().map(|uri| uri.try_into().unwrap());
    params.subject_alt_names.extend(uris.map(SanType::URI));
    params.not_after = rcgen::date_time_ymd(4000, 1, 1);
    change(&mut params);
    params
}

// === impl Issued ===

impl Issued {
    fn new(certificate: &rcgen::Certificate, key: &KeyPair) -> Self {
        Self {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    /// A certificate that vouches for itself.
    pub(crate) fn self_signed(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params(names, change).self_signed(&key).unwrap();
        Self::new(&certificate, &key)
    }

    pub(crate) fn der(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        (vec![certificate], key)
    }
}

// === impl TlsFolder ===

/// Keys of the configuration, and their values.
pub(crate) type Keys = Vec<(&'static str, String)>;

impl TlsFolder {
    /// Has a certificate and its key.
    pub(crate) fn with(pair: &Issued) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.put_pair(pair);
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file. Whoever reads it sees all of it or nothing.
    pub(crate) fn put(&self, name: &str, text: &str) {
        let unready = self.path().join(format!(".{name}"));
        std::fs::write(&unready, text).unwrap();
        std::fs::rename(&unready, self.path().join(name)).unwrap();
    }

    /// Writes the certificate, and then the key.
    pub(crate) fn put_pair(&self, pair: &Issued) {
        self.put("certificate", &pair.certificate);
        self.put("key", &pair.key);
    }

    /// The file of this name.
    pub(crate) fn file(&self, name: &str) -> String {
        self.path().join(name).to_str().unwrap().to_owned()
    }

    /// For the listener; a file `ca` names the authorities of the clients, all of whom may
    /// then start actions.
    pub(crate) fn for_server(&self) -> Keys {
        let mut keys = vec![
            ("tls.certificate_file", self.file("certificate")),
            ("tls.key_file", self.file("key")),
        ];
        if self.path().join("ca").exists() {
            keys.push(("tls.client_ca_file", self.file("ca")));
            keys.push(("policy.execute_response_action", "*".to_owned()));
        }
        keys
    }

    /// For calls to Graph, whose certificate is issued by `authority`.
    pub(crate) fn for_graph(&self, authority: &Authority) -> Keys {
        let ca = authority.file().to_str().unwrap().to_owned();
        let mut keys = self.as_client_of_graph();
        keys.push(("graph.ca_file", ca));
        keys
    }

    /// What Graph is shown.
    pub(crate) fn as_client_of_graph(&self) -> Keys {
        vec![
            ("graph.client_certificate_file", self.file("certificate")),
            ("graph.client_key_file", self.file("key")),
        ]
    }
}
