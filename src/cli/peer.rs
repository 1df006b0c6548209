//! The gateway as the client commands reach it.

use std::{error::Error, fmt, time::Duration};

use anyhow::Context as _;
use clap::Args;
use http::Uri;
use tokio::time::Instant;
use tonic::{
    Request, Response, Status,
    transport::{Channel, ClientTlsConfig, Endpoint},
};

use crate::config::form;

/// Which gateway.
#[derive(Debug, Args)]
pub(super) struct Peer {
    /// The gateway, as `http://HOST:PORT` or `https://HOST:PORT`.
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:50051",
        value_parser = parse_endpoint
    )]
    endpoint: Uri,
    /// The most time until the answer, as in `10s` or `500ms`.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10s",
        value_parser = |text: &str| form::duration(form::MS, form::HOUR).demand(text)
    )]
    timeout: Duration,
}

/// Why a call was not answered well.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// There was no connection, so nothing was sent.
    Unreachable(anyhow::Error),
    /// The call was sent; the status may be the gateway's, or made here.
    Failed(Status),
}

impl Peer {
    /// Connects and makes one call, within the time of `--timeout` for both.
    pub(super) async fn call<M, T>(
        &self,
        message: M,
        call: impl AsyncFnOnce(Channel, Request<M>) -> Result<Response<T>, Status>,
    ) -> Result<T, NoAnswer> {
        let end = Instant::now() + self.timeout;
        // tonic's own limit does not cover the TLS handshake.
        let connected = match tokio::time::timeout_at(end, self.connect()).await {
            Ok(connected) => connected,
            Err(_) => Err(anyhow::anyhow!("no connection within {}", self.limit())),
        };
        let channel = connected
            .with_context(|| format!("cannot reach the gateway at {}", self.origin()))
            .map_err(NoAnswer::Unreachable)?;
        let mut request = Request::new(message);
        request.set_timeout(end.saturating_duration_since(Instant::now()));
        // tonic's own limit ends with the headers of the answer, and says CANCELLED.
        let answer = tokio::select! {
            biased;
            () = tokio::time::sleep_until(end) => {
                let text = format!("no answer within {}", self.limit());
                Err(Status::deadline_exceeded(text))
            }
            answer = call(channel, request) => answer,
        };
        answer.map(Response::into_inner).map_err(NoAnswer::Failed)
    }

    async fn connect(&self) -> anyhow::Result<Channel> {
        let mut endpoint = Endpoint::from(self.endpoint.clone())
            .user_agent(concat!("incidentgate-cli/", env!("CARGO_PKG_VERSION")))?;
        if self.endpoint.scheme_str() == Some("https") {
            endpoint = endpoint.tls_config(ClientTlsConfig::new().with_native_roots())?;
        }
        endpoint
            .connect()
            .await
            .map_err(|error| anyhow::Error::msg(causes(&error)))
    }

    fn limit(&self) -> impl fmt::Display {
        humantime::format_duration(self.timeout)
    }

    fn origin(&self) -> String {
        let (scheme, authority) = (self.endpoint.scheme_str(), self.endpoint.authority());
        format!(
            "{}://{}",
            scheme.unwrap_or_default(),
            authority.map_or("", http::uri::Authority::as_str)
        )
    }
}

/// Takes a scheme, a host and perhaps a port. What a call would silently leave out, such
/// as a path or a port above 65535, is refused.
fn parse_endpoint(text: &str) -> Result<Uri, String> {
    let is_origin = |uri: &Uri| {
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        let is_host = uri.authority().is_some_and(|authority| {
            let host = authority.host();
            let has_port = authority.as_str() != host;
            !host.is_empty()
                && !authority.as_str().contains('@')
                && authority.port_u16().is_some() == has_port
        });
        is_http && is_host && uri.path() == "/" && uri.query().is_none()
    };
    text.parse()
        .ok()
        .filter(is_origin)
        .ok_or_else(|| "expected `http://HOST:PORT` or `https://HOST:PORT`".to_owned())
}

/// What a status says. tonic's own say no more than "transport error"; what happened is
/// in their causes.
pub(super) fn message_of(status: &Status) -> String {
    status
        .source()
        .map_or_else(|| status.message().to_owned(), causes)
}

/// The causes of an error, each once; the error itself where it has none.
fn causes(error: &dyn Error) -> String {
    let mut error = error.source().unwrap_or(error);
    let mut last = error.to_string();
    let mut text = last.clone();
    while let Some(cause) = error.source() {
        let this = cause.to_string();
        // Many wrappers repeat their cause.
        if !last.contains(&this) {
            text = format!("{text}: {this}");
        }
        (error, last) = (cause, this);
    }
    text
}
