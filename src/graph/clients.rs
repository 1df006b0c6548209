//! The HTTP clients to Graph, and what their TLS needs.

use std::time::Duration;

use reqwest::{Client, ClientBuilder, Url};

use super::{client::GraphOptions, lanes::Lanes};
use crate::{
    outbound::{self, Trust, Way},
    reload::File,
    tls::{Pair, TlsError},
};

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
    pub(super) pooled: Lanes,
    /// Keeps no connection, so that each request makes one of its own.
    pub(super) unpooled: Client,
    /// For looks: where POSTs and their connections are in trouble, these are not, and what
    /// becomes of a look harms no POST.
    pub(super) looks: Lanes,
    /// For what callers read, and may stop reading at any moment.
    pub(super) inquiries: Lanes,
}

/// Why no client could be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The Graph URL is not one.
    #[error("graph.url is not a URL with a host")]
    Url,
    /// The client certificate or its key is of no use.
    #[error(transparent)]
    Identity(#[from] TlsError),
    /// There are no certificates to trust.
    #[error("graph.ca_file")]
    Trust(#[from] outbound::BuildError),
    /// There is no client.
    #[error("no HTTP client for Graph could be set up")]
    Client(#[from] reqwest::Error),
}

// === impl Clients ===

impl Clients {
    /// Sets them up; connects to nothing yet. Reads the system's certificates.
    pub(super) fn new(options: &GraphOptions, tls: &GraphTls) -> Result<Self, BuildError> {
        let url = Url::parse(&options.url).map_err(|_| BuildError::Url)?;
        let roots = tls.roots.as_ref().map(|file| &*file.bytes);
        let identity = tls.client.as_ref().map(Pair::certified).transpose()?;
        let trust = Trust::showing(Way::to(&url), roots, identity)?;
        let unpooled = client(options, &trust).pool_max_idle_per_host(0);
        let lanes = || {
            let (width, options) = (options.max_concurrent_streams, options.clone());
            let trust = trust.clone();
            Lanes::new(width, move || client(&options, &trust).build())
        };
        Ok(Self {
            pooled: lanes()?,
            unpooled: unpooled.build()?,
            looks: lanes()?,
            inquiries: lanes()?,
        })
    }
}

fn client(options: &GraphOptions, trust: &Trust) -> ClientBuilder {
    let builder = trust
        .client()
        .connect_timeout(options.connect_timeout)
        .pool_idle_timeout(options.pool_idle_timeout)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .http2_keep_alive_while_idle(true);
    if options.http2_prior_knowledge {
        builder.http2_prior_knowledge()
    } else {
        builder
    }
}
