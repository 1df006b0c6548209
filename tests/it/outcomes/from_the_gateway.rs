//! The rows that the gateway answers from its own knowledge.

use incidentgate::{failure::Kind, sandbox::Fault};

use super::row::{ANSWERED, Provocation, REFUSED, Row, SENT, VALID, row};

#[expect(clippy::too_many_lines, reason = "a table is as long as its rows")]
pub(super) fn rows() -> Vec<Row> {
    vec![
        row(
            "malformed request",
            Kind::InvalidRequest,
            Provocation::MalformedFields,
            "INVALID_ARGUMENT | INVALID_REQUEST (incidentgate) | NOT_STARTED | BadRequest",
            REFUSED,
        ),
        row(
            "malformed grpc-timeout",
            Kind::InvalidRequest,
            Provocation::Timeout("1s", Fault::default()),
            "INVALID_ARGUMENT | INVALID_REQUEST (incidentgate) | NOT_STARTED | BadRequest",
            REFUSED,
        ),
        row(
            "caller unknown",
            Kind::CallerUnauthenticated,
            Provocation::NoToken,
            "UNAUTHENTICATED | CALLER_UNAUTHENTICATED (incidentgate) | NOT_STARTED | ",
            VALID,
        ),
        row(
            "gateway over its limits",
            Kind::GatewayOverloaded,
            Provocation::Overloaded,
            "RESOURCE_EXHAUSTED | GATEWAY_OVERLOADED (incidentgate) | NOT_STARTED | RetryInfo 1s to 2s",
            VALID,
        ),
        row(
            "gateway draining",
            Kind::GatewayDraining,
            Provocation::Draining,
            "UNAVAILABLE | GATEWAY_DRAINING (incidentgate) | NOT_STARTED | RetryInfo 1s",
            REFUSED,
        ),
        row(
            "audit log on a full disk",
            Kind::AuditUnavailable,
            Provocation::FullDisk,
            "UNAVAILABLE | AUDIT_UNAVAILABLE (incidentgate) | NOT_STARTED | RetryInfo 1s",
            VALID,
        ),
        row(
            "cannot connect: TCP",
            Kind::Unreachable,
            Provocation::NobodyListens,
            "UNAVAILABLE | GRAPH_UNREACHABLE (incidentgate) | NOT_STARTED | RetryInfo 1s",
            VALID,
        ),
        row(
            "cannot connect: TLS",
            Kind::Unreachable,
            Provocation::NoTls,
            "UNAVAILABLE | GRAPH_UNREACHABLE (incidentgate) | NOT_STARTED | RetryInfo 1s",
            VALID,
        ),
        row(
            "cannot connect: DNS",
            Kind::Unreachable,
            Provocation::UnknownHost,
            "UNAVAILABLE | GRAPH_UNREACHABLE (incidentgate) | NOT_STARTED | RetryInfo 1s",
            VALID,
        ),
        row(
            "connection reset after the request left",
            Kind::ResponseLost,
            Provocation::Graph(Fault::reset()),
            "UNKNOWN | GRAPH_RESPONSE_LOST (incidentgate) | UNKNOWN | ",
            SENT,
        ),
        row(
            "connection reset after the action was started",
            Kind::ResponseLost,
            Provocation::Graph(Fault::reset().committed()),
            "UNKNOWN | GRAPH_RESPONSE_LOST (incidentgate) | UNKNOWN | ",
            SENT,
        ),
        row(
            "connection closed after the request left",
            Kind::ResponseLost,
            Provocation::Graph(Fault::close().committed()),
            "UNKNOWN | GRAPH_RESPONSE_LOST (incidentgate) | UNKNOWN | ",
            SENT,
        ),
        row(
            "garbage in place of HTTP",
            Kind::ResponseLost,
            Provocation::Graph(Fault::garbage(b"\x15\x03\x01\x00\x02\x02\x28".as_slice())),
            "UNKNOWN | GRAPH_RESPONSE_LOST (incidentgate) | UNKNOWN | ",
            SENT,
        ),
        row(
            "a success that breaks off",
            Kind::ResponseLost,
            Provocation::Graph(Fault::truncate(200, 100, "{\"id\":").committed()),
            "UNKNOWN | GRAPH_RESPONSE_LOST (incidentgate) | UNKNOWN | ",
            ANSWERED,
        ),
        row(
            "HTTP/2: connection reset after the request left",
            Kind::ResponseLost,
            Provocation::Http2(Fault::reset().committed()),
            "UNKNOWN | GRAPH_RESPONSE_LOST (incidentgate) | UNKNOWN | ",
            SENT,
        ),
        row(
            "HTTP/2: connection closed after the request left",
            Kind::ResponseLost,
            Provocation::Http2(Fault::close().committed()),
            "UNKNOWN | GRAPH_RESPONSE_LOST (incidentgate) | UNKNOWN | ",
            SENT,
        ),
        row(
            "HTTP/2: garbage in place of frames",
            Kind::ResponseLost,
            Provocation::Http2(Fault::garbage(b"HTTP/1.1 204 No Content\r\n\r\n")),
            "UNKNOWN | GRAPH_RESPONSE_LOST (incidentgate) | UNKNOWN | ",
            SENT,
        ),
        row(
            "HTTP/2: a success whose stream breaks off",
            Kind::ResponseLost,
            Provocation::Http2(Fault::truncate(200, 100, "{\"id\":").committed()),
            "UNKNOWN | GRAPH_RESPONSE_LOST (incidentgate) | UNKNOWN | ",
            ANSWERED,
        ),
        row(
            "timed out after the request left",
            Kind::ResponseLost,
            Provocation::Impatient(Fault::hang().committed()),
            "UNKNOWN | GRAPH_RESPONSE_LOST (incidentgate) | UNKNOWN | ",
            SENT,
        ),
        row(
            "deadline, before the request left",
            Kind::DeadlineBeforeSend,
            Provocation::Timeout("0n", Fault::default()),
            "DEADLINE_EXCEEDED | DEADLINE_EXCEEDED (incidentgate) | NOT_STARTED | ",
            VALID,
        ),
        row(
            "deadline, after the request left",
            Kind::DeadlineAfterSend,
            Provocation::Timeout("1S", Fault::hang().committed()),
            "DEADLINE_EXCEEDED | DEADLINE_EXCEEDED (incidentgate) | UNKNOWN | ",
            SENT,
        ),
    ]
}
