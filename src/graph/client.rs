//! The one shared client: one request on the wire, and what became of it.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use reqwest::{Request, Response, Url};
use tokio::time::{Instant, timeout_at};
use tracing::Span;

use super::{
    Accepted, Answered,
    body::MAX_BODY_BYTES,
    classify::{Reply, classify},
    clients::{BuildError, Clients, GraphTls},
    departure::Departure,
    exchange::{Exchange, Reading},
    inquiry::{self, Inquiry},
    lanes::Turn,
    request::{self, Tasks},
    span::{Operation, RequestTelemetry},
};
use crate::{
    authorization::Authorization,
    command::Command,
    failure::{Effect, Failure},
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

/// What a request needs that may be made again.
#[derive(Debug)]
pub struct Ask<'a, I> {
    /// What is asked for, and the client-request-id.
    pub command: &'a Command<I>,
    /// What Graph is shown.
    pub authorization: &'a Authorization,
    /// 1 for the first.
    pub number: u32,
    /// Whether a doubt about an action hangs on it: callers' readings, which may end at any
    /// moment, have other connections.
    pub settles_doubt: bool,
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
        let span = shared.telemetry.start(parent, Operation::Execute, number);
        let until = Instant::now() + shared.attempt_timeout;
        let request = request::execute(&shared.tasks, command, authorization, departure, &span);
        let sent = request.map(|request| shared.post(request, on_new_connection));
        let mut exchange = match sent {
            Ok((_turn, response)) => match timeout_at(until, response).await {
                Ok(Ok(response)) => {
                    let reading = Reading {
                        effect: Effect::Action,
                        max_bytes: MAX_BODY_BYTES,
                        until,
                    };
                    Exchange::read(response, authorization, reading, classify).await
                }
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

    /// Makes one request that may be made again: it reads, or sets what it sets. Its time
    /// is that of one attempt at the most. Cancel-safe, as far as nobody asks what became
    /// of it.
    pub async fn ask<I: Inquiry>(&self, ask: Ask<'_, I>) -> Result<Answered<I::Found>, Failure> {
        let shared = &*self.0;
        let span = shared
            .telemetry
            .start(ask.parent, I::operation(), ask.number);
        let request = request::inquiry(&shared.tasks, ask.command, ask.authorization, &span);
        let mut exchange = match request {
            Ok(request) => shared.ask(request, &ask).await,
            Err(failure) => Exchange::unsent(failure.with_effect(I::EFFECT)),
        };
        if let Err(failure) = &mut exchange.result {
            let id = ask.command.client_request_id.as_str();
            failure.client_request_id = Some(id.to_owned());
        }
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

    async fn ask<I: Inquiry>(
        &self,
        request: Request,
        ask: &Ask<'_, I>,
    ) -> Exchange<Answered<I::Found>> {
        let until = ask.until.min(Instant::now() + self.attempt_timeout);
        // The room is held until the answer is read.
        let clients = self.clients.load();
        let turn = if ask.settles_doubt {
            clients.looks.enter()
        } else {
            clients.inquiries.enter()
        };
        drop(clients);
        let response = turn.client().execute(request);
        let reading = Reading {
            effect: I::EFFECT,
            max_bytes: I::MAX_BYTES,
            until,
        };
        match timeout_at(until, response).await {
            Ok(Ok(response)) => {
                let read = |reply: &Reply<'_>| inquiry::read(&ask.command.what, &self.tasks, reply);
                Exchange::read(response, ask.authorization, reading, read).await
            }
            Ok(Err(error)) => Exchange::unanswered(I::EFFECT, Some(error)),
            Err(_) => Exchange::unanswered(I::EFFECT, None),
        }
    }
}
