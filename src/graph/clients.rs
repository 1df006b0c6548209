//! The HTTP clients to Graph, and what their TLS needs.

use std::time::Duration;

use reqwest::{Certificate, Client, Identity, Url, redirect, retry};

use super::client::GraphOptions;
use crate::{
    reload::File,
    tls::{Pair, TlsError},
};

const USER_AGENT: &str = concat!("incidentgate/", env!("CARGO_PKG_VERSION"));
/// A dead connection is found by HTTP/2 pings within half a minute, idle or not, and
/// not by a call that would end without knowing its outcome.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Whom Graph is believed to be, and as whom the gateway comes.
#[derive(Debug, Clone, Default)]
pub struct GraphTls {
    /// Certificates in PEM that are trusted beside the system's.
    pub roots: Option<File>,
    /// The certificate that Graph, or a proxy in front of it, is shown.
    pub client: Option<Pair>,
}

/// Clients with the same certificates.
#[derive(Debug)]
pub(super) struct Clients {
    pub(super) pooled: Client,
    /// Keeps no connection, so that each request makes one of its own.
    pub(super) unpooled: Client,
    /// For looks: where POSTs and their connections are in trouble, these are not, and
    /// what becomes of a look harms no POST.
    pub(super) looks: Client,
}

/// Why no client could be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The Graph URL is not one.
    #[error("graph.url is not a URL with a host")]
    Url,
    /// There is no extra certificate.
    #[error("graph.ca_file holds no readable PEM certificates")]
    ExtraRoots,
    /// The client certificate or its key is of no use.
    #[error(transparent)]
    Identity(#[from] TlsError),
    /// TLS could not be set up.
    #[error(
        "no TLS client could be set up; install the system's CA certificates (ca-certificates) or name a bundle by graph.ca_file"
    )]
    Client(#[source] reqwest::Error),
}

// === impl Clients ===

impl Clients {
    /// Sets them up; connects to nothing yet. Reads the system's certificates.
    pub(super) fn new(options: &GraphOptions, tls: &GraphTls) -> Result<Self, BuildError> {
        Ok(Self {
            pooled: client(options, tls, true)?,
            unpooled: client(options, tls, false)?,
            looks: client(options, tls, true)?,
        })
    }
}

/// `pooled`: whether connections are kept and shared.
fn client(options: &GraphOptions, tls: &GraphTls, pooled: bool) -> Result<Client, BuildError> {
    let url = Url::parse(&options.url).map_err(|_| BuildError::Url)?;
    let plaintext = url.scheme() == "http";
    let mut builder = Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(options.connect_timeout)
        .pool_idle_timeout(options.pool_idle_timeout)
        // Every request on the wire is an attempt that the gateway has decided on.
        .retry(retry::never())
        .redirect(redirect::Policy::none())
        .referer(false)
        .https_only(!plaintext)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .http2_keep_alive_while_idle(true);
    if plaintext {
        // Plain http is for loopback only: never behind a proxy, and it needs no
        // certificates, which a minimal container may not have.
        builder = builder.no_proxy().tls_certs_only([]);
    }
    if options.http2_prior_knowledge {
        builder = builder.http2_prior_knowledge();
    }
    if !pooled {
        builder = builder.pool_max_idle_per_host(0);
    }
    if let Some(file) = &tls.roots {
        // Text without any PEM block is a bundle of none for the parser.
        let certificates = Certificate::from_pem_bundle(&file.bytes)
            .ok()
            .filter(|certificates| !certificates.is_empty())
            .ok_or(BuildError::ExtraRoots)?;
        builder = builder.tls_certs_merge(certificates);
    }
    if let Some(pair) = &tls.client {
        let identity = Identity::from_pem(&pair.to_pem()?).map_err(BuildError::Client)?;
        builder = builder.identity(identity);
    }
    builder.build().map_err(BuildError::Client)
}
