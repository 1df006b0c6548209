//! The one shared client: one request on the wire, and what became of it.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use reqwest::{Request, Response, Url};
use tokio::time::{Instant, timeout_at};
use tracing::Span;

use super::{
    Accepted, Seen,
    classify::classify,
    clients::{BuildError, Clients, GraphTls},
    departure::Departure,
    exchange::Exchange,
    lanes::Turn,
    request::{self, Tasks},
    span::{Operation, RequestTelemetry},
    task::read_task,
};
use crate::{
    authorization::Authorization,
    command::Command,
    failure::Failure,
    telemetry::{Metrics, Propagator},
};

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
    /// Whom Graph is believed to be, and as whom the gateway comes.
    pub tls: GraphTls,
    /// HTTP/2 without TLS, for an upstream on loopback.
    pub http2_prior_knowledge: bool,
    /// The most requests at the same time on one connection; for further ones there are
    /// further connections.
    pub max_concurrent_streams: usize,
}

/// The one shared client. Clones share its connections.
#[derive(Debug, Clone)]
pub struct GraphClient(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Exchanged when certificates change. A request holds the client that it began with.
    clients: ArcSwap<Clients>,
    options: GraphOptions,
    tasks: Tasks,
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
        Ok(Self(Arc::new(Shared {
            clients: ArcSwap::from_pointee(Clients::new(options, &options.tls)?),
            options: options.clone(),
            attempt_timeout: options.attempt_timeout,
            telemetry: RequestTelemetry::new(&options.url, address, port, propagator, metrics),
            tasks: Tasks::of(&root),
        })))
    }

    /// Requests from now on use these certificates, on new connections; requests in flight
    /// keep their connections. On an error nothing changes. Blocks while certificates are
    /// read.
    pub fn replace_tls(&self, tls: &GraphTls) -> Result<(), BuildError> {
        let clients = Clients::new(&self.0.options, tls)?;
        self.0.clients.store(Arc::new(clients));
        Ok(())
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
        let request = request::execute(&shared.tasks, command, authorization, departure, &span);
        let sent = request.map(|request| shared.post(request, on_new_connection));
        let mut exchange = match sent {
            Ok((_turn, response)) => match timeout_at(until, response).await {
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
        let exchange = match request::read(&shared.tasks, look.command, look.authorization, &span) {
            Ok(request) => shared.read(request, look.authorization, look.until).await,
            Err(failure) => Exchange::unsent(failure),
        };
        span.end(&exchange);
        exchange.result
    }
}

// === impl Shared ===

impl Shared {
    /// The answer to come, and the request's room on a connection, to be held until it is
    /// read.
    fn post(
        &self,
        request: Request,
        on_new_connection: bool,
    ) -> (
        Option<Turn>,
        impl Future<Output = Result<Response, reqwest::Error>> + use<>,
    ) {
        let clients = self.clients.load();
        let turn = (!on_new_connection).then(|| clients.pooled.enter());
        let client = turn.as_ref().map_or(&clients.unpooled, Turn::client);
        let response = client.execute(request);
        (turn, response)
    }

    async fn read(
        &self,
        request: Request,
        authorization: &Authorization,
        until: Instant,
    ) -> Exchange<Seen> {
        let response = self.clients.load().looks.execute(request);
        match timeout_at(until, response).await {
            Ok(Ok(response)) => Exchange::read(response, authorization, until, read_task).await,
            Ok(Err(error)) => Exchange::unread(Some(error)),
            Err(_) => Exchange::unread(None),
        }
    }
}
