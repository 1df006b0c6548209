//! The gateway as the client commands reach it.

use std::{
    error::Error,
    fmt,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use clap::Args;
use rustls_pki_types::ServerName;
use tokio::time::Instant;
use tonic::{
    Request, Response, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use super::{
    origin::Origin,
    unreachable::{Unreachable, Way},
};
use crate::{
    config::form,
    pb::health::{
        HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
    },
    peer::ClientCertificate,
    reload::Source,
    tls::{Pair, certificates},
};

const USER_AGENT: &str = concat!("incidentgate-cli/", env!("CARGO_PKG_VERSION"));

/// A stream may be silent for long; a gateway that has gone is noticed all the same.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Which gateway, and how it is reached.
#[derive(Debug, Args)]
pub(super) struct Peer {
    /// The gateway, as `http://HOST:PORT`, `https://HOST:PORT` or `unix:/PATH`.
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:50051",
        value_parser = Origin::parse
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
    /// The name that the gateway's certificate must have, where it is not the endpoint's
    /// host; for `https`.
    #[arg(long, value_name = "NAME", value_parser = parse_server_name)]
    server_name: Option<String>,
}

/// A gateway that can be called: whatever is wrong with the arguments has been found.
#[derive(Debug)]
pub(super) struct Gateway {
    endpoint: Endpoint,
    origin: Origin,
    timeout: Duration,
    ca_file: Option<PathBuf>,
    certificate_file: Option<PathBuf>,
    /// The time of that certificate is over.
    has_expired: bool,
}

/// Why a call was not answered well.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// Nobody has shown that they speak gRPC, so the call was not sent.
    Unreachable(Unreachable),
    /// The call was sent; the status may be the gateway's, or made here.
    Failed(Status),
}

/// How a request ended without an answer in good order.
#[derive(Debug)]
enum End {
    /// The peer's status, or one that tonic made of a lost connection.
    Status(Status),
    /// The time of `--timeout` is over.
    Late,
}

// === impl Peer ===

impl Peer {
    /// Reads the files; connects to nothing yet.
    pub(super) fn open(self) -> anyhow::Result<Gateway> {
        let mut endpoint = self
            .endpoint
            .endpoint()?
            .user_agent(USER_AGENT)?
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true);
        let mut has_expired = false;
        if self.endpoint.is_https() {
            let (tls, certificate) = self.tls()?;
            endpoint = endpoint.tls_config(tls)?;
            has_expired = certificate.is_some_and(|leaf| leaf.is_expired(SystemTime::now()));
        } else {
            anyhow::ensure!(
                self.ca_file.is_none()
                    && self.certificate_file.is_none()
                    && self.server_name.is_none(),
                "--ca-file, --certificate-file, --key-file and --server-name need an \
                 --endpoint with https"
            );
        }
        Ok(Gateway {
            endpoint,
            origin: self.endpoint,
            timeout: self.timeout,
            ca_file: self.ca_file,
            certificate_file: self.certificate_file,
            has_expired,
        })
    }

    /// The settings, and the certificate that the gateway is shown.
    fn tls(&self) -> anyhow::Result<(ClientTlsConfig, Option<ClientCertificate>)> {
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
        if let Some(name) = &self.server_name {
            tls = tls.domain_name(name);
        }
        let mut leaf = None;
        if let (Some(certificate), Some(key)) = (&self.certificate_file, &self.key_file) {
            let pair = Pair {
                certificate: read("--certificate-file", certificate)?,
                key: read("--key-file", key)?,
            };
            let certified = pair.certified()?;
            let first = certified.end_entity_cert().ok();
            leaf = first.and_then(|first| ClientCertificate::read(first).ok());
            tls = tls.identity(Identity::from_pem(pair.certificate.bytes, pair.key.bytes));
        }
        Ok((tls, leaf))
    }
}

// === impl Gateway ===

impl Gateway {
    /// Connects and makes one call, within the time of `--timeout` for both.
    ///
    /// A connection alone proves nothing: by plain TCP nobody has said a word, and in
    /// TLS 1.3 the client's handshake ends before the server has judged its certificate
    /// (RFC 8446, appendix E.1.2). So the gateway is asked for its health first, and the
    /// call is sent on that connection once there is an answer, whatever it says.
    pub(super) async fn call<M, T>(
        &self,
        message: M,
        call: impl AsyncFnOnce(Channel, Request<M>) -> Result<Response<T>, Status>,
    ) -> Result<T, NoAnswer> {
        let end = Instant::now() + self.timeout;
        let channel = self.proven(end).await?;
        let answer = exchange(channel, message, end, call).await;
        answer.map_err(|ended| self.no_answer(ended))
    }

    /// The same for a call whose answer is a stream: the time of `--timeout` ends with its
    /// first word.
    pub(super) async fn stream<M, T>(
        &self,
        message: M,
        call: impl AsyncFnOnce(Channel, Request<M>) -> Result<Response<T>, Status>,
    ) -> Result<T, NoAnswer> {
        let end = Instant::now() + self.timeout;
        let channel = self.proven(end).await?;
        let answer = until(end, call(channel, Request::new(message))).await;
        answer.map_err(|ended| self.no_answer(ended))
    }

    /// A connection on which there was an answer to a question for its health.
    async fn proven(&self, end: Instant) -> Result<Channel, NoAnswer> {
        let channel = self.connect(end).await?;
        let proof = self.ask_health(channel.clone(), String::new(), end).await;
        if let Err(NoAnswer::Unreachable(error)) = proof {
            return Err(NoAnswer::Unreachable(error));
        }
        if end <= Instant::now() {
            return Err(self.unreachable(true, self.late()));
        }
        Ok(channel)
    }

    fn no_answer(&self, ended: End) -> NoAnswer {
        NoAnswer::Failed(match ended {
            End::Status(status) => status,
            End::Late => Status::deadline_exceeded(self.late()),
        })
    }

    /// Connects and asks for the health of a service, or of the server as a whole, within
    /// the time of `--timeout` for both. A [`NoAnswer::Failed`] is the peer's own.
    pub(super) async fn health(&self, service: String) -> Result<ServingStatus, NoAnswer> {
        let end = Instant::now() + self.timeout;
        let channel = self.connect(end).await?;
        self.ask_health(channel, service, end).await
    }

    async fn connect(&self, end: Instant) -> Result<Channel, NoAnswer> {
        // tonic's own limit does not cover the TLS handshake.
        match tokio::time::timeout_at(end, self.endpoint.connect()).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(error)) => Err(self.unreachable(false, causes(&error))),
            Err(_) => {
                let text = format!("no connection within {}", self.limit());
                Err(self.unreachable(false, text))
            }
        }
    }

    async fn ask_health(
        &self,
        channel: Channel,
        service: String,
        end: Instant,
    ) -> Result<ServingStatus, NoAnswer> {
        let check = async |channel, request| HealthClient::new(channel).check(request).await;
        let message = HealthCheckRequest { service };
        match exchange(channel, message, end, check).await {
            Ok(answer) => Ok(answer.status()),
            // tonic keeps a cause for what it made itself; what has been received has none.
            Err(End::Status(status)) if status.source().is_some() => {
                Err(self.unreachable(true, message_of(&status)))
            }
            Err(End::Status(status)) => Err(NoAnswer::Failed(status)),
            Err(End::Late) => Err(self.unreachable(true, self.late())),
        }
    }

    fn unreachable(&self, is_connected: bool, causes: String) -> NoAnswer {
        let way = Way {
            scheme: self.origin.scheme(),
            authority: self.origin.authority(),
            ca_file: self.ca_file.as_deref(),
            certificate_file: self.certificate_file.as_deref(),
            has_expired: self.has_expired,
            is_connected,
        };
        NoAnswer::Unreachable(Unreachable::new(&self.origin, &way, causes))
    }

    /// The time of `--timeout`.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    fn late(&self) -> String {
        format!("no answer within {}", self.limit())
    }

    fn limit(&self) -> impl fmt::Display {
        humantime::format_duration(self.timeout)
    }
}

/// One request, given up at `end`.
async fn exchange<M, T>(
    channel: Channel,
    message: M,
    end: Instant,
    call: impl AsyncFnOnce(Channel, Request<M>) -> Result<Response<T>, Status>,
) -> Result<T, End> {
    let mut request = Request::new(message);
    request.set_timeout(end.saturating_duration_since(Instant::now()));
    until(end, call(channel, request)).await
}

async fn until<T>(
    end: Instant,
    answer: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, End> {
    // tonic's own limit ends with the headers of the answer, and says CANCELLED.
    tokio::select! {
        biased;
        () = tokio::time::sleep_until(end) => Err(End::Late),
        answer = answer => match answer {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => Err(End::Status(status)),
        },
    }
}

/// Takes what a certificate can be for.
fn parse_server_name(text: &str) -> Result<String, String> {
    match ServerName::try_from(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("expected a DNS name or an IP address".to_owned()),
    }
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
