//! The one shared client: one request on the wire, and what became of it.

use std::{sync::Arc, time::Duration};

use reqwest::{Certificate, Client, Request, Url, redirect, retry};
use tokio::time::{Instant, timeout_at};
use tracing::Span;

use super::{
    Accepted, Seen,
    classify::classify,
    departure::Departure,
    exchange::Exchange,
    request,
    span::{Operation, RequestTelemetry},
    task::read_task,
};
use crate::{
    authorization::Authorization,
    command::Command,
    failure::Failure,
    telemetry::{Metrics, Propagator},
};

const USER_AGENT: &str = concat!("incidentgate/", env!("CARGO_PKG_VERSION"));
/// A dead connection is found by HTTP/2 pings within half a minute, idle or not, and
/// not by a call that would end without knowing its outcome.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// How to reach Graph.
#[derive(Debug, Clone)]
pub struct GraphOptions {
    /// Root with version and without a trailing slash, as in
    /// `https://graph.microsoft.com/beta`.
    pub url: String,
    /// The most time for DNS, TCP and TLS.
    pub connect_timeout: Duration,
    /// The most time for one attempt, from before the connection to the body's end.
    pub attempt_timeout: Duration,
    /// How long an unused connection is kept.
    pub pool_idle_timeout: Duration,
    /// Certificates in PEM that are trusted beside the system's.
    pub extra_roots: Option<Vec<u8>>,
    /// HTTP/2 without TLS, for an upstream on loopback.
    pub http2_prior_knowledge: bool,
}

/// The one shared client. Clones share its connections.
#[derive(Debug, Clone)]
pub struct GraphClient(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    http: Client,
    /// Keeps no connection, so that each request makes one of its own.
    unpooled: Client,
    /// For looks: where POSTs and their connections are in trouble, these are not, and
    /// what becomes of a look harms no POST.
    looks: Client,
    /// Graph's root with its version, parsed once.
    root: Url,
    attempt_timeout: Duration,
    telemetry: RequestTelemetry,
}

/// What one attempt needs.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The task and the client-request-id.
    pub command: &'a Command,
    /// What Graph is shown.
    pub authorization: &'a Authorization,
    /// 1 for the first.
    pub number: u32,
    /// Whether it must not use a connection that is open already.
    pub on_new_connection: bool,
    /// Tells whoever holds a clone how far the request got.
    pub departure: &'a Departure,
    /// The span of the call.
    pub parent: &'a Span,
}

/// What a look at the task needs.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// The task and the client-request-id.
    pub command: &'a Command,
    /// What Graph is shown.
    pub authorization: &'a Authorization,
    /// When to give it up.
    pub until: Instant,
    /// The span of the call.
    pub parent: &'a Span,
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
    /// TLS could not be set up.
    #[error(
        "no TLS client could be set up; install the system's CA certificates (ca-certificates) or name a bundle by graph.ca_file"
    )]
    Client(#[source] reqwest::Error),
}

// === impl GraphClient ===

impl GraphClient {
    /// Sets up the client; connects to nothing yet.
    pub fn new(
        options: &GraphOptions,
        propagator: Propagator,
        metrics: Metrics,
    ) -> Result<Self, BuildError> {
        let root = Url::parse(&options.url).map_err(|_| BuildError::Url)?;
        let address = root.host_str().ok_or(BuildError::Url)?;
        let port = root.port_or_known_default().ok_or(BuildError::Url)?;
        let plaintext = root.scheme() == "http";
        Ok(Self(Arc::new(Shared {
            http: http_client(options, plaintext, true)?,
            unpooled: http_client(options, plaintext, false)?,
            looks: http_client(options, plaintext, true)?,
            attempt_timeout: options.attempt_timeout,
            telemetry: RequestTelemetry::new(&options.url, address, port, propagator, metrics),
            root,
        })))
    }

    /// Sends one POST and classifies what comes back.
    ///
    /// Not cancel-safe for the promise: when the future is dropped after the
    /// request has left, nobody learns its outcome. Ask `departure` first.
    pub async fn attempt(&self, attempt: Attempt<'_>) -> Result<Accepted, Failure> {
        let shared = &*self.0;
        let Attempt {
            command,
            authorization,
            number,
            on_new_connection,
            departure,
            parent,
        } = attempt;
        let operation = Operation::Execute {
            resend_count: number - 1,
        };
        let span = shared.telemetry.start(parent, operation);
        let until = Instant::now() + shared.attempt_timeout;
        let http = if on_new_connection {
            &shared.unpooled
        } else {
            &shared.http
        };
        let request = request::execute(&shared.root, command, authorization, departure, &span);
        let mut exchange = match request {
            Ok(request) => match timeout_at(until, http.execute(request)).await {
                Ok(Ok(response)) => Exchange::read(response, authorization, until, classify).await,
                Ok(Err(error)) => Exchange::broken(departure, Some(error)),
                Err(_) => Exchange::broken(departure, None),
            },
            Err(failure) => Exchange::unsent(failure),
        };
        if let Err(failure) = &mut exchange.result {
            failure.client_request_id = Some(command.client_request_id.as_str().to_owned());
        }
        span.end(&exchange);
        exchange.result
    }

    /// Reads the task, to see whether its action has been started. Cancel-safe: a
    /// reading changes nothing.
    ///
    /// An error says why nothing was seen; its outcome says nothing about the action.
    pub async fn look(&self, look: Look<'_>) -> Result<Seen, Failure> {
        let shared = &*self.0;
        let span = shared.telemetry.start(look.parent, Operation::Read);
        let exchange = match request::read(&shared.root, look.command, look.authorization, &span) {
            Ok(request) => shared.read(request, look.authorization, look.until).await,
            Err(failure) => Exchange::unsent(failure),
        };
        span.end(&exchange);
        exchange.result
    }
}

// === impl Shared ===

impl Shared {
    async fn read(
        &self,
        request: Request,
        authorization: &Authorization,
        until: Instant,
    ) -> Exchange<Seen> {
        match timeout_at(until, self.looks.execute(request)).await {
            Ok(Ok(response)) => Exchange::read(response, authorization, until, read_task).await,
            Ok(Err(error)) => Exchange::unread(Some(error)),
            Err(_) => Exchange::unread(None),
        }
    }
}

/// `pooled`: whether connections are kept and shared.
fn http_client(
    options: &GraphOptions,
    plaintext: bool,
    pooled: bool,
) -> Result<Client, BuildError> {
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
    if let Some(pem) = &options.extra_roots {
        // Text without any PEM block is a bundle of none for the parser.
        let certificates = Certificate::from_pem_bundle(pem)
            .ok()
            .filter(|certificates| !certificates.is_empty())
            .ok_or(BuildError::ExtraRoots)?;
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(BuildError::Client)
}
