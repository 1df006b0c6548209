//! The HTTP clients to Graph, and what their TLS needs.

use std::time::Duration;

use reqwest::{Client, Identity, Url};

use super::client::GraphOptions;
use crate::{
    outbound::{self, Way},
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
    /// The client certificate or its key is of no use.
    #[error(transparent)]
    Identity(#[from] TlsError),
    /// There are no certificates to trust.
    #[error("graph.ca_file")]
    Client(#[from] outbound::BuildError),
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
    let roots = tls.roots.as_ref().map(|file| &*file.bytes);
    let mut builder = outbound::builder(Way::to(&url), roots)?
        .connect_timeout(options.connect_timeout)
        .pool_idle_timeout(options.pool_idle_timeout)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .http2_keep_alive_while_idle(true);
    if options.http2_prior_knowledge {
        builder = builder.http2_prior_knowledge();
    }
    if !pooled {
        builder = builder.pool_max_idle_per_host(0);
    }
    if let Some(pair) = &tls.client {
        let identity = Identity::from_pem(&pair.to_pem()?).map_err(outbound::BuildError::Client)?;
        builder = builder.identity(identity);
    }
    Ok(builder.build().map_err(outbound::BuildError::Client)?)
}
