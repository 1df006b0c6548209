//! Every telemetry name that this program emits, in one file.
//!
//! The names follow the OpenTelemetry semantic conventions 1.45, whose RPC part is stable
//! since that version; no published crate carries them yet. Own names start with
//! `incidentgate.`.

use std::borrow::Cow;

use crate::failure::Kind;

/// The instrumentation scope of every span and metric.
pub const SCOPE: &str = "incidentgate";
/// The version of the semantic conventions that the names below follow.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.45.0";
/// The `service.name` of a process whose environment gives none.
pub const DEFAULT_SERVICE_NAME: &str = "incidentgate";
/// Spans whose target starts with this belong to this program and become OpenTelemetry spans.
pub const SPAN_TARGET: &str = "incidentgate";

// === attributes of the process ===

/// Resource: the logical name of the service.
pub const SERVICE_NAME: &str = "service.name";
/// Resource: the version of the service.
pub const SERVICE_VERSION: &str = "service.version";
/// Resource: what tells one process of the service from another.
pub const SERVICE_INSTANCE_ID: &str = "service.instance.id";

// === attributes of both sides ===

/// Why an operation failed: a low-cardinality word, absent when it did not fail.
pub const ERROR_TYPE: &str = "error.type";
/// Server span: the host of `:authority`. Client span: the host that is called.
pub const SERVER_ADDRESS: &str = "server.address";
/// The port that belongs to [`SERVER_ADDRESS`].
pub const SERVER_PORT: &str = "server.port";
/// The address of the socket's other end.
pub const NETWORK_PEER_ADDRESS: &str = "network.peer.address";
/// How the other end is connected, where that is not TCP: [`TRANSPORT_UNIX`].
pub const NETWORK_TRANSPORT: &str = "network.transport";
/// The value of [`NETWORK_TRANSPORT`] for a unix socket, whose other end has neither an
/// address nor a port.
pub const TRANSPORT_UNIX: &str = "unix";
/// The port of the socket's other end.
pub const NETWORK_PEER_PORT: &str = "network.peer.port";
/// The HTTP version that was spoken: `1.1` or `2`.
pub const NETWORK_PROTOCOL_VERSION: &str = "network.protocol.version";

// === attributes of the gRPC server span ===

/// Which RPC system; always [`RPC_SYSTEM_GRPC`] here.
pub const RPC_SYSTEM_NAME: &str = "rpc.system.name";
/// The value of [`RPC_SYSTEM_NAME`].
pub const RPC_SYSTEM_GRPC: &str = "grpc";
/// `package.Service/Method`, or [`OTHER`] when the server does not know the method.
pub const RPC_METHOD: &str = "rpc.method";
/// Span only: the method as the caller spelled it, when [`RPC_METHOD`] is [`OTHER`].
pub const RPC_METHOD_ORIGINAL: &str = "rpc.method_original";
/// The gRPC status as its upper-case name, `OK` included.
pub const RPC_STATUS_CODE: &str = "rpc.status_code";

// === attributes of the HTTP client span ===

/// The HTTP method.
pub const HTTP_REQUEST_METHOD: &str = "http.request.method";
/// The HTTP status that came back.
pub const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
/// How many times this request had been sent before; absent on the first attempt.
pub const HTTP_REQUEST_RESEND_COUNT: &str = "http.request.resend_count";
/// The whole URL; here always with ids replaced by their placeholders.
pub const URL_FULL: &str = "url.full";
/// The path with placeholders in place of ids.
pub const URL_TEMPLATE: &str = "url.template";

// === own attributes ===

/// Whether the action was started; see [`Outcome`](super::labels::Outcome).
pub const ACTION_OUTCOME: &str = "incidentgate.action.outcome";
/// Server span only: the names that the caller has proven to have.
pub const CALLER_NAMES: &str = "incidentgate.caller.names";
/// Why a POST was sent again; see [`ResendCause`](super::labels::ResendCause).
pub const RESEND_CAUSE: &str = "incidentgate.resend.cause";
/// What was fetched; see [`FetchOf`](super::labels::FetchOf).
pub const FETCH_OF: &str = "incidentgate.fetch.of";
/// What a look at the task showed; see [`Reconciled`](super::labels::Reconciled).
pub const RECONCILED: &str = "incidentgate.reconciliation.result";
/// Span only: the `actionStatus` of a task that was read.
pub const ACTION_STATUS: &str = "incidentgate.action.status";
/// Span only: the `request-id` of Graph's answer.
pub const GRAPH_REQUEST_ID: &str = "incidentgate.graph.request_id";
/// Span only: the `client-request-id` that was sent to Graph.
pub const GRAPH_CLIENT_REQUEST_ID: &str = "incidentgate.graph.client_request_id";
/// The reason of a failure, as it also stands in the status details: `GRAPH_THROTTLED`, ….
pub const FAILURE_REASON: &str = "incidentgate.failure.reason";
/// Which of its call's two audit records: `intent` or `outcome`.
pub const AUDIT_EVENT: &str = "incidentgate.audit.event";
/// What became of an audit record; see [`AuditResult`](super::labels::AuditResult).
pub const AUDIT_RESULT: &str = "incidentgate.audit.result";
/// Whose files have changed; see [`Reloaded`](super::labels::Reloaded).
pub const RELOAD_WHAT: &str = "incidentgate.reload.what";
/// Whether changed files are in use: [`RELOAD_OK`] or [`RELOAD_FAILED`].
pub const RELOAD_RESULT: &str = "incidentgate.reload.result";
/// The new content is in use.
pub const RELOAD_OK: &str = "ok";
/// The new content is of no use, and the old one stays in use.
pub const RELOAD_FAILED: &str = "failed";

// === values of error.type that no status gives ===

/// The conventions' word for "a value outside the known set".
pub const OTHER: &str = "_OTHER";
/// No connection came about: name resolution, TCP or TLS.
pub const ERROR_CONNECT: &str = "connect";
/// The attempt's time was up.
pub const ERROR_TIMEOUT: &str = "timeout";
/// HTTP/2: the server promised not to have processed the request, by a reset with
/// `REFUSED_STREAM` or by a GOAWAY that leaves its stream out (RFC 9113, section 8.7).
pub const ERROR_REFUSED_STREAM: &str = "refused_stream";
/// The connection ended, or the answer was garbled, after the request had left.
pub const ERROR_RESPONSE_LOST: &str = "response_lost";
/// Nobody waited for the answer any longer.
pub const ERROR_CANCELLED: &str = "cancelled";
/// An answer arrived that is not one of Graph's.
pub const ERROR_UNEXPECTED_RESPONSE: &str = "unexpected_response";

// === metrics ===

/// Histogram of the server's calls, in seconds.
pub const RPC_SERVER_CALL_DURATION: &str = "rpc.server.call.duration";
/// Histogram of the single requests to Graph and Entra, in seconds.
pub const HTTP_CLIENT_REQUEST_DURATION: &str = "http.client.request.duration";
/// Counter of finished action calls by outcome and status.
pub const ACTION_OUTCOMES: &str = "incidentgate.action.outcomes";
/// Counter of POSTs that were sent again for the same call, by cause.
pub const ATTEMPT_RESENDS: &str = "incidentgate.attempt.resends";
/// Counter of connections that ended before a call was possible.
pub const CONNECTIONS_REFUSED: &str = "incidentgate.connections.refused";
/// Why a connection was refused: a word such as `certificate_expired`.
pub const REFUSED_REASON: &str = "incidentgate.refused.reason";
/// Histogram of fetching a token or signing keys; `error.type` where none came.
pub const FETCH_DURATION: &str = "incidentgate.fetch.duration";
/// Counter of looks at the task after, or instead of, an answer, by what they showed.
pub const RECONCILIATIONS: &str = "incidentgate.reconciliations";
/// Calls that are being served now.
pub const CALLS_IN_FLIGHT: &str = "incidentgate.calls.in_flight";
/// Attempts that go on although their caller has left.
pub const CALLS_DETACHED: &str = "incidentgate.calls.detached";
/// Tasks that are read for those who follow them: one loop each.
pub const WATCH_TASKS: &str = "incidentgate.watch.tasks";
/// Credentials that Graph has asked to wait and that wait now.
pub const THROTTLE_CLOSED: &str = "incidentgate.throttle.closed";
/// Counter of calls that were refused because their credential waits.
pub const THROTTLE_REFUSED: &str = "incidentgate.throttle.refused";

/// Calls that wait for a place among those in flight.
pub const CALLS_WAITING: &str = "incidentgate.calls.waiting";
/// Counter of calls that got no such place.
pub const CALLS_WITHOUT_PLACE: &str = "incidentgate.calls.without_place";
/// Counter of audit records by what became of them.
pub const AUDIT_RECORDS: &str = "incidentgate.audit.records";
/// Histogram of the audit log's batches, fsync included, in seconds.
pub const AUDIT_COMMIT_DURATION: &str = "incidentgate.audit.commit.duration";
/// Counter of changes of certificates and keys, by whether they could be used.
pub const TLS_RELOADS: &str = "incidentgate.tls.reloads";

/// The unit of all histograms.
pub const UNIT_SECONDS: &str = "s";
/// The unit of counters of attempts.
pub const UNIT_ATTEMPT: &str = "{attempt}";
/// The unit of counters of reads.
pub const UNIT_READ: &str = "{read}";
/// The unit of counters of calls.
pub const UNIT_CALL: &str = "{call}";
/// The unit of a count of tasks.
pub const UNIT_TASK: &str = "{task}";
/// The unit of a count of credentials.
pub const UNIT_CREDENTIAL: &str = "{credential}";
/// The unit of counters of connections (OpenTelemetry writes them so).
pub const UNIT_CONNECTION: &str = "{connection}";
/// The unit of counters of changed files.
pub const UNIT_RELOAD: &str = "{reload}";
/// The unit of counters of audit records.
pub const UNIT_RECORD: &str = "{record}";

/// The histogram boundaries that the conventions give for durations; the SDK's own
/// defaults are meant for milliseconds and would put every call into the first two
/// buckets.
pub const DURATION_BOUNDARIES: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// `error.type` of a fetch that failed so.
pub fn error_type_of_fetch(kind: Kind) -> &'static str {
    if kind.may_be_sent_again() {
        "unavailable"
    } else if kind == Kind::InteractionRequired {
        "interaction_required"
    } else {
        "rejected"
    }
}

/// The `error.type` of an HTTP answer on the client side: the status as text from 400 on,
/// else none.
///
/// The statuses that Graph documents cost no allocation.
pub fn error_type_of_status(status: u16) -> Option<Cow<'static, str>> {
    let text = match status {
        0..400 => return None,
        400 => "400",
        401 => "401",
        403 => "403",
        404 => "404",
        409 => "409",
        412 => "412",
        422 => "422",
        423 => "423",
        429 => "429",
        500 => "500",
        501 => "501",
        502 => "502",
        503 => "503",
        504 => "504",
        507 => "507",
        509 => "509",
        other => return Some(Cow::Owned(other.to_string())),
    };
    Some(Cow::Borrowed(text))
}

/// Whether a gRPC status is an error of the server's own: span status `Error` and `error.type`.
///
/// Every other code, `CANCELLED` and `NOT_FOUND` among them, leaves the span's status unset.
pub fn is_server_error(status_code: &str) -> bool {
    matches!(
        status_code,
        "UNKNOWN"
            | "DEADLINE_EXCEEDED"
            | "UNIMPLEMENTED"
            | "INTERNAL"
            | "UNAVAILABLE"
            | "DATA_LOSS"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_statuses_from_400_on_are_client_errors() {
        for (status, expected) in [
            (200, None),
            (204, None),
            (302, None),
            (399, None),
            (400, Some("400")),
            (418, Some("418")),
            (429, Some("429")),
            (599, Some("599")),
        ] {
            assert_eq!(
                error_type_of_status(status).as_deref(),
                expected,
                "{status}"
            );
        }
    }

    #[test]
    fn six_codes_are_the_servers_own_errors() {
        let codes = [
            "OK",
            "CANCELLED",
            "UNKNOWN",
            "INVALID_ARGUMENT",
            "DEADLINE_EXCEEDED",
            "NOT_FOUND",
            "ALREADY_EXISTS",
            "PERMISSION_DENIED",
            "RESOURCE_EXHAUSTED",
            "FAILED_PRECONDITION",
            "ABORTED",
            "OUT_OF_RANGE",
            "UNIMPLEMENTED",
            "INTERNAL",
            "UNAVAILABLE",
            "DATA_LOSS",
            "UNAUTHENTICATED",
        ];
        let errors: Vec<_> = codes
            .into_iter()
            .filter(|code| is_server_error(code))
            .collect();
        assert_eq!(
            errors,
            [
                "UNKNOWN",
                "DEADLINE_EXCEEDED",
                "UNIMPLEMENTED",
                "INTERNAL",
                "UNAVAILABLE",
                "DATA_LOSS"
            ]
        );
    }
}
