//! The gateway as the client commands reach it.

use std::{error::Error, fmt, path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::Args;
use http::Uri;
use tokio::time::Instant;
use tonic::{
    Request, Response, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use crate::{
    config::form,
    reload::Source,
    tls::{Pair, certificates},
};

const USER_AGENT: &str = concat!("incidentgate-cli/", env!("CARGO_PKG_VERSION"));
const EXPECTED: &str = "expected `http://HOST:PORT`, `https://HOST:PORT` or `unix:/PATH`";

/// Which gateway, and how it is reached.
#[derive(Debug, Args)]
pub(super) struct Peer {
    /// The gateway, as `http://HOST:PORT`, `https://HOST:PORT` or `unix:/PATH`.
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:50051",
        value_parser = parse_endpoint
    )]
    endpoint: Origin,
    /// The most time until the answer, as in `10s` or `500ms`.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10s",
        value_parser = |text: &str| form::duration(form::MS, form::HOUR).demand(text)
    )]
    timeout: Duration,
    /// Certificates in PEM that are trusted in place of the system's; for `https`.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The certificate in PEM that the gateway is shown, with those that it was issued by;
    /// for `https`.
    #[arg(long, value_name = "FILE", requires = "key_file")]
    certificate_file: Option<PathBuf>,
    /// The private key of that certificate, in PEM and not encrypted.
    #[arg(long, value_name = "FILE", requires = "certificate_file")]
    key_file: Option<PathBuf>,
}

/// What `--endpoint` takes.
#[derive(Debug, Clone)]
enum Origin {
    Http(Uri),
    /// `unix:` and an absolute path.
    Unix(String),
}

/// A gateway that can be called: whatever is wrong with the arguments has been found.
#[derive(Debug)]
pub(super) struct Gateway {
    endpoint: Endpoint,
    origin: Origin,
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

// === impl Peer ===

impl Peer {
    /// Reads the files; connects to nothing yet.
    pub(super) fn open(self) -> anyhow::Result<Gateway> {
        let mut endpoint = match &self.endpoint {
            Origin::Http(uri) => Endpoint::from(uri.clone()),
            Origin::Unix(path) => Endpoint::from_shared(path.clone())?,
        }
        .user_agent(USER_AGENT)?;
        if self.endpoint.is_https() {
            endpoint = endpoint.tls_config(self.tls()?)?;
        } else {
            anyhow::ensure!(
                self.ca_file.is_none() && self.certificate_file.is_none(),
                "--ca-file, --certificate-file and --key-file need an --endpoint with https"
            );
        }
        Ok(Gateway {
            endpoint,
            origin: self.endpoint,
            timeout: self.timeout,
        })
    }

    fn tls(&self) -> anyhow::Result<ClientTlsConfig> {
        let read = |key, path: &PathBuf| {
            let path = path.clone();
            Source { key, path }.read()
        };
        let mut tls = ClientTlsConfig::new();
        if let Some(path) = &self.ca_file {
            let file = read("--ca-file", path)?;
            certificates(&file)?;
            tls = tls.ca_certificate(Certificate::from_pem(file.bytes));
        } else {
            tls = tls.with_native_roots();
        }
        if let (Some(certificate), Some(key)) = (&self.certificate_file, &self.key_file) {
            let pair = Pair {
                certificate: read("--certificate-file", certificate)?,
                key: read("--key-file", key)?,
            };
            pair.certified()?;
            tls = tls.identity(Identity::from_pem(pair.certificate.bytes, pair.key.bytes));
        }
        Ok(tls)
    }
}

// === impl Gateway ===

impl Gateway {
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
            .with_context(|| format!("cannot reach the gateway at {}", self.origin))
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
        self.endpoint
            .connect()
            .await
            .map_err(|error| anyhow::Error::msg(causes(&error)))
    }

    fn limit(&self) -> impl fmt::Display {
        humantime::format_duration(self.timeout)
    }
}

// === impl Origin ===

impl Origin {
    fn is_https(&self) -> bool {
        matches!(self, Self::Http(uri) if uri.scheme_str() == Some("https"))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(uri) => {
                let (scheme, authority) = (uri.scheme_str(), uri.authority());
                let authority = authority.map_or("", http::uri::Authority::as_str);
                write!(f, "{}://{authority}", scheme.unwrap_or_default())
            }
            Self::Unix(path) => f.write_str(path),
        }
    }
}

/// Takes a scheme, a host and perhaps a port, or an absolute path of a socket. What a call
/// would silently leave out, such as a path or a port above 65535, is refused.
fn parse_endpoint(text: &str) -> Result<Origin, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        // gRPC's naming has both `unix:/path` and `unix:///path`.
        let path = path.strip_prefix("//").unwrap_or(path);
        return match path.strip_prefix('/') {
            Some(rest) if !rest.is_empty() => Ok(Origin::Unix(format!("unix:{path}"))),
            _ => Err(EXPECTED.to_owned()),
        };
    }
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
        .map(Origin::Http)
        .ok_or_else(|| EXPECTED.to_owned())
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
