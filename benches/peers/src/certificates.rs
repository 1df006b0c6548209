//! Certificates of one authority, made for one run.

use std::{fs, net::Ipv4Addr, path::Path};

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};

/// A server's on this machine, and a caller's with a SPIFFE ID.
pub(crate) struct Certificates {
    pub(crate) authority_file: String,
    pub(crate) certificate_file: String,
    pub(crate) key_file: String,
    pub(crate) of_server: ServerTlsConfig,
    pub(crate) of_client: ClientTlsConfig,
}

impl Certificates {
    /// Also as files in `folder`.
    pub(crate) fn new(folder: &Path) -> anyhow::Result<Self> {
        let mut authority = CertificateParams::new([])?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let issue = |name| -> Result<(String, String), rcgen::Error> {
            let key = KeyPair::generate()?;
            let mut certificate = CertificateParams::new([])?;
            certificate.subject_alt_names.push(name);
            let certificate = certificate.signed_by(&key, &authority)?;
            Ok((certificate.pem(), key.serialize_pem()))
        };
        let file = |name, text: &str| -> anyhow::Result<String> {
            let file = folder.join(name);
            fs::write(&file, text)?;
            let file = file.into_os_string().into_string().ok();
            file.context("the temporary folder's name is no UTF-8")
        };
        let (server, server_key) = issue(SanType::IpAddress(Ipv4Addr::LOCALHOST.into()))?;
        let caller = "spiffe://corp.example/ns/soc/sa/responder";
        let (client, client_key) = issue(SanType::URI(caller.try_into()?))?;
        Ok(Self {
            authority_file: file("authority.pem", &authority.pem())?,
            certificate_file: file("server.pem", &server)?,
            key_file: file("server.key", &server_key)?,
            of_server: ServerTlsConfig::new().identity(Identity::from_pem(server, server_key)),
            of_client: ClientTlsConfig::new()
                .ca_certificate(Certificate::from_pem(authority.pem()))
                .identity(Identity::from_pem(client, client_key)),
        })
    }
}
