//! The server span and the metrics of one call, from its headers to the last
//! byte of its answer, or to the moment when its caller went away.

use std::{net::SocketAddr, sync::Arc};

use http::{Request, Uri};
use opentelemetry::{
    StringValue,
    trace::{Status as SpanStatus, TraceContextExt as _},
};
use tokio::time::Instant;
use tonic::{Code, Status};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::method::Method;
use crate::{
    failure::Failure,
    rpc::status,
    telemetry::{LevelGuard, Metrics, Outcome, Propagator, names},
};

/// An unknown method's name is the caller's text; this much of it is kept.
const MAX_METHOD_BYTES: usize = 128;

/// The other end of a connection, as spans name it.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    address: Arc<str>,
    port: u16,
}

/// One call under observation. Dropped before [`Observation::end`], it counts as
/// cancelled.
#[derive(Debug)]
pub(super) struct Observation {
    span: Span,
    method: Method,
    started: Instant,
    metrics: Metrics,
    outcome: Option<Outcome>,
    status: Option<Status>,
    ended: bool,
    _in_flight: LevelGuard,
}

// === impl Peer ===

impl Peer {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address: Arc::from(address.ip().to_string()),
            port: address.port(),
        }
    }
}

// === impl Observation ===

impl Observation {
    /// Starts the span, as a child of the caller's.
    pub(super) fn start<B>(
        request: &Request<B>,
        method: Method,
        peer: &Peer,
        propagator: &Propagator,
        metrics: &Metrics,
    ) -> Self {
        let span = server_span(method);
        // Fails only where no span is wanted.
        drop(span.set_parent(propagator.extract(request.headers())));
        if method == Method::Unknown {
            span.set_attribute(names::RPC_METHOD_ORIGINAL, original_method(request.uri()));
        }
        if let Some(authority) = request.uri().authority() {
            span.set_attribute(names::SERVER_ADDRESS, authority.host().to_owned());
            if let Some(port) = authority.port_u16() {
                span.set_attribute(names::SERVER_PORT, i64::from(port));
            }
        }
        span.set_attribute(
            names::NETWORK_PEER_ADDRESS,
            StringValue::from(Arc::clone(&peer.address)),
        );
        span.set_attribute(names::NETWORK_PEER_PORT, i64::from(peer.port));
        Self {
            span,
            method,
            started: Instant::now(),
            metrics: metrics.clone(),
            outcome: None,
            status: None,
            ended: false,
            _in_flight: metrics.call_in_flight(method.name()),
        }
    }

    /// The server span.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// Takes note of what the answer will be: an error, or how the success is known.
    pub(super) fn expect(&mut self, status: Option<Status>, succeeded: Option<Outcome>) {
        self.outcome = status
            .as_ref()
            .and_then(status::failure)
            .map(|failure| failure.outcome().into())
            .or(succeeded);
        self.status = status;
    }

    /// The answer has been sent, with this code.
    pub(super) fn end(mut self, code: Code) {
        self.settle(code);
    }

    fn settle(&mut self, code: Code) {
        self.ended = true;
        let code = status::code_name(code);
        let error_type = names::is_server_error(code).then_some(code);
        let failure = self.status.as_ref().and_then(status::failure);
        let span = &self.span;
        span.set_attribute(names::RPC_STATUS_CODE, code);
        if let Some(outcome) = self.outcome {
            span.set_attribute(names::ACTION_OUTCOME, outcome.as_str());
        }
        if let Some(failure) = failure {
            span.set_attribute(names::FAILURE_REASON, status::reason(failure));
        }
        if let Some(error_type) = error_type {
            span.set_attribute(names::ERROR_TYPE, error_type);
            span.set_status(SpanStatus::error(""));
        }
        log(span, code, error_type.is_some(), failure, self.started);
        // An attempt that goes on without its caller keeps a handle of this span;
        // the call itself ends here.
        span.context().span().end();
        let method = self.method.name();
        self.metrics
            .server_call(method, code, error_type, self.started.elapsed());
        if self.method == Method::ExecuteResponseAction {
            // A caller who left has not been told anything.
            let outcome = self.outcome.unwrap_or(Outcome::Unknown);
            self.metrics.action_outcome(outcome, code);
        }
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        if !self.ended {
            self.settle(Code::Cancelled);
        }
    }
}

fn server_span(method: Method) -> Span {
    // A span's name is part of its static metadata, hence one macro for each.
    match method {
        Method::ExecuteResponseAction => tracing::info_span!(
            parent: None,
            "incidentgate.v1.IncidentTaskService/ExecuteResponseAction",
            otel.kind = "server",
            { names::RPC_SYSTEM_NAME } = names::RPC_SYSTEM_GRPC,
            { names::RPC_METHOD } = Method::ExecuteResponseAction.name(),
        ),
        Method::Infrastructure | Method::Unknown => tracing::info_span!(
            parent: None,
            "grpc",
            otel.kind = "server",
            { names::RPC_SYSTEM_NAME } = names::RPC_SYSTEM_GRPC,
            { names::RPC_METHOD } = names::OTHER,
        ),
    }
}

fn original_method(uri: &Uri) -> String {
    let path = uri.path();
    path.strip_prefix('/')
        .unwrap_or(path)
        .chars()
        .take(MAX_METHOD_BYTES)
        .collect()
}

/// One line for each failed call, and one for debugging each other call.
fn log(span: &Span, code: &str, is_error: bool, failure: Option<&Failure>, started: Instant) {
    let duration_ms = started.elapsed().as_secs_f64() * 1e3;
    let Some(failure) = failure else {
        tracing::debug!(parent: span, code, duration_ms, "call ended");
        return;
    };
    let reply = failure.reply.as_deref();
    macro_rules! failed {
        ($level:ident) => {
            tracing::$level!(
                parent: span,
                code,
                outcome = failure.outcome().as_str(),
                reason = status::reason(failure),
                http_status = reply.map(|reply| reply.status),
                graph_request_id = reply.and_then(|reply| reply.request_id.as_deref()),
                client_request_id = failure.client_request_id.as_deref(),
                attempts = failure.attempts,
                duration_ms,
                error = failure as &dyn std::error::Error,
                "call failed"
            )
        };
    }
    if is_error {
        failed!(warn);
    } else {
        failed!(info);
    }
}
