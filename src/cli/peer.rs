//! The gateway as the client commands reach it.

use std::{error::Error, fmt, time::Duration};

use anyhow::Context as _;
use clap::Args;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

/// Which gateway.
#[derive(Debug, Args)]
pub(super) struct Peer {
    /// The gateway, as `http://HOST:PORT` or `https://HOST:PORT`.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:50051")]
    endpoint: String,
    /// The most time for the call, as in `10s` or `500ms`.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(super) timeout: Duration,
}

/// An error with its causes, each once.
pub(super) struct Causes<'a>(pub(super) &'a dyn Error);

impl Peer {
    /// Connects, or says why not.
    pub(super) async fn connect(&self) -> anyhow::Result<Channel> {
        let mut endpoint = Endpoint::from_shared(self.endpoint.clone())
            .context("--endpoint is not a URL such as http://127.0.0.1:50051")?
            .connect_timeout(self.timeout)
            .user_agent(concat!("incidentgate-cli/", env!("CARGO_PKG_VERSION")))?;
        if self.endpoint.starts_with("https://") {
            endpoint = endpoint.tls_config(ClientTlsConfig::new().with_native_roots())?;
        }
        endpoint.connect().await.map_err(|error| {
            anyhow::anyhow!(
                "cannot reach the gateway at {}: {}",
                self.endpoint,
                Causes(&error)
            )
        })
    }
}

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = self.0.to_string();
        f.write_str(&last)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Many wrappers repeat their cause.
            if !last.contains(&text) {
                write!(f, ": {text}")?;
            }
            last = text;
            cause = error.source();
        }
        Ok(())
    }
}
