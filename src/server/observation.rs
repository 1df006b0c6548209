//! The server span and the metrics of one call, from its headers to the last
//! byte of its answer, or to the moment when its caller went away.

use std::{sync::Arc, time::Duration};

use http::{Request, Uri};
use opentelemetry::{KeyValue, StringValue, Value};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tracing::Span;

use super::method::{Method, TaskMethod};
use crate::{
    caller::Caller,
    failure::Failure,
    peer::{Peer, PeerAddress},
    rpc::status,
    telemetry::{ActiveSpan, LevelGuard, Metrics, Outcome, Propagator, address_of_host, names},
};

/// An unknown method's name is the caller's text; this much of it is kept.
const MAX_METHOD_CHARS: usize = 128;
/// So is the authority. A longer one is no name of this server's (RFC 1035, section
/// 2.3.4), and is left out.
const MAX_ADDRESS_BYTES: usize = 255;

/// The other end of a connection, and how spans name it.
#[derive(Debug)]
pub(super) struct Remote {
    peer: Arc<Peer>,
    closing: CancellationToken,
    /// Its IP address and port, the address as text that is made once for a connection;
    /// none for a unix socket.
    socket: Option<(Arc<str>, u16)>,
}

/// One call under observation. Dropped before [`Observation::end`], it counts as
/// cancelled.
#[derive(Debug)]
pub(super) struct Observation {
    span: ActiveSpan,
    method: Method,
    started: Instant,
    metrics: Metrics,
    outcome: Option<Outcome>,
    status: Option<Status>,
    peer: Arc<Peer>,
    caller: Caller,
    ended: bool,
    _in_flight: LevelGuard,
}

// === impl Remote ===

impl Remote {
    pub(super) fn new(peer: Peer) -> Self {
        let socket = match peer.address {
            PeerAddress::Tcp(socket) => Some((socket.ip().to_string().into(), socket.port())),
            PeerAddress::Unix => None,
        };
        Self {
            peer: Arc::new(peer),
            closing: CancellationToken::new(),
            socket,
        }
    }

    /// Cancelled when the connection takes no new calls any more.
    pub(super) fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    pub(super) fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }
}

// === impl Observation ===

impl Observation {
    /// Starts the span, as a child of the caller's.
    pub(super) fn start<B>(
        request: &Request<B>,
        method: Method,
        remote: &Remote,
        propagator: &Propagator,
        metrics: &Metrics,
    ) -> Self {
        let caller = propagator.extract(request.headers());
        let span = ActiveSpan::begin_within(server_span(method), caller);
        span.add(|| request_attributes(request.uri(), method, remote));
        Self {
            span,
            method,
            started: Instant::now(),
            metrics: metrics.clone(),
            outcome: None,
            status: None,
            peer: Arc::clone(remote.peer()),
            caller: Caller::anonymous(),
            ended: false,
            _in_flight: metrics.call_in_flight(method.name()),
        }
    }

    /// The server span.
    pub(super) fn span(&self) -> &ActiveSpan {
        &self.span
    }

    /// Takes note of who calls, as far as it is proven.
    pub(super) fn called_by(&mut self, caller: &Caller) {
        self.caller = caller.clone();
        self.span.add(|| {
            let names = caller.identities().map(|name| name.to_string().into());
            let names: Vec<StringValue> = names.collect();
            let names = (!names.is_empty()).then(|| Value::Array(names.into()));
            names.map(|names| KeyValue::new(names::CALLER_NAMES, names))
        });
    }

    /// Takes note of what the answer will be: an error, or how the success is known.
    pub(super) fn expect(&mut self, status: Option<Status>, succeeded: Option<Outcome>) {
        // Of a call that can start none nothing is to be told.
        self.outcome = status
            .as_ref()
            .and_then(status::failure)
            .filter(|failure| !failure.effect.is_idempotent())
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
        let duration = self.started.elapsed();
        self.span.add(|| {
            let attributes = [
                Some(KeyValue::new(names::RPC_STATUS_CODE, code)),
                self.outcome
                    .map(|outcome| KeyValue::new(names::ACTION_OUTCOME, outcome.as_str())),
                failure
                    .map(|failure| KeyValue::new(names::FAILURE_REASON, status::reason(failure))),
                error_type.map(|error_type| KeyValue::new(names::ERROR_TYPE, error_type)),
            ];
            attributes.into_iter().flatten()
        });
        if error_type.is_some() {
            self.span.fail();
        }
        // An attempt that goes on without its caller keeps a handle of this span;
        // the call itself ends here.
        self.span.end();
        if let Some(failure) = failure {
            self.log_failure(code, error_type.is_some(), failure, duration);
        } else {
            tracing::debug!(
                parent: self.span.span(),
                method = self.method.name(),
                code,
                outcome = self.outcome.map(Outcome::as_str),
                duration_ms = milliseconds(duration),
                "call ended"
            );
        }
        let method = self.method.name();
        self.metrics.server_call(method, code, error_type, duration);
        // What becomes of a call whose caller left is counted when it is known.
        if let Some(outcome) = self.outcome {
            self.metrics.action_outcome(outcome, code);
        }
    }

    /// Says who has called, and what came of it.
    fn log_failure(&self, code: &str, is_error: bool, failure: &Failure, duration: Duration) {
        let reply = failure.reply.as_deref();
        let names: Vec<String> = self
            .caller
            .names()
            .iter()
            .map(ToString::to_string)
            .collect();
        macro_rules! failed {
        ($level:ident) => {
            tracing::$level!(
                parent: self.span.span(),
                method = self.method.name(),
                code,
                peer = %self.peer.text(),
                caller = (!names.is_empty()).then(|| names.join(" ")),
                outcome = self.outcome.map(Outcome::as_str),
                reason = status::reason(failure),
                http_status = reply.map(|reply| reply.status),
                graph_request_id = reply.and_then(|reply| reply.request_id.as_deref()),
                client_request_id = failure.client_request_id.as_deref(),
                attempts = failure.attempts,
                duration_ms = milliseconds(duration),
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
    macro_rules! span {
        ($name:literal) => {
            tracing::info_span!(parent: None, $name, otel.kind = "server")
        };
    }
    match method {
        Method::Task(method) => match method {
            TaskMethod::ExecuteResponseAction => {
                span!("incidentgate.v1.IncidentTaskService/ExecuteResponseAction")
            }
            TaskMethod::GetIncidentTask => {
                span!("incidentgate.v1.IncidentTaskService/GetIncidentTask")
            }
            TaskMethod::ListIncidentTasks => {
                span!("incidentgate.v1.IncidentTaskService/ListIncidentTasks")
            }
            TaskMethod::UpdateIncidentTask => {
                span!("incidentgate.v1.IncidentTaskService/UpdateIncidentTask")
            }
            TaskMethod::WatchIncidentTask => {
                span!("incidentgate.v1.IncidentTaskService/WatchIncidentTask")
            }
        },
        Method::Health | Method::Reflection | Method::Unknown => span!("grpc"),
    }
}

/// What is known of a call when it begins. As fields of the `tracing` span it would
/// be copied into strings for every call, sampled or not; and no sampler that the
/// environment can choose looks at attributes.
fn request_attributes(
    uri: &Uri,
    method: Method,
    remote: &Remote,
) -> impl Iterator<Item = KeyValue> {
    let authority = uri.authority();
    let address = authority
        .map(|authority| address_of_host(authority.host()))
        .filter(|address| address.len() <= MAX_ADDRESS_BYTES)
        .map(str::to_owned);
    let port = authority.and_then(http::uri::Authority::port_u16);
    let original = (method == Method::Unknown).then(|| original_method(uri));
    let socket = remote.socket.as_ref();
    let peer_address = socket.map(|(address, _)| StringValue::from(Arc::clone(address)));
    let peer_port = socket.map(|(_, port)| i64::from(*port));
    // TCP goes without saying.
    let transport = socket.is_none().then_some(names::TRANSPORT_UNIX);
    [
        Some(KeyValue::new(
            names::RPC_SYSTEM_NAME,
            names::RPC_SYSTEM_GRPC,
        )),
        Some(KeyValue::new(names::RPC_METHOD, method.name())),
        original.map(|original| KeyValue::new(names::RPC_METHOD_ORIGINAL, original)),
        address.map(|address| KeyValue::new(names::SERVER_ADDRESS, address)),
        port.map(|port| KeyValue::new(names::SERVER_PORT, i64::from(port))),
        peer_address.map(|address| KeyValue::new(names::NETWORK_PEER_ADDRESS, address)),
        peer_port.map(|port| KeyValue::new(names::NETWORK_PEER_PORT, port)),
        transport.map(|transport| KeyValue::new(names::NETWORK_TRANSPORT, transport)),
    ]
    .into_iter()
    .flatten()
}

fn original_method(uri: &Uri) -> String {
    let path = uri.path();
    path.strip_prefix('/')
        .unwrap_or(path)
        .chars()
        .take(MAX_METHOD_CHARS)
        .collect()
}

/// To the microsecond: the digits behind it are noise.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
