//! A failure becomes a rich gRPC status: `google.rpc.Status` with its details,
//! inside a byte budget.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tonic::{
    Code, Status,
    metadata::{AsciiMetadataValue, MetadataMap},
};
use tonic_types::{
    ErrorDetails, FieldViolation, PreconditionViolation, QuotaViolation, StatusExt as _,
};

use super::{
    MAX_REQUEST_BYTES,
    table::{Extra, Reason, Row, code, row},
};
use crate::failure::{Effect, Failure, GraphReply, Kind, Outcome, Violation};

/// The whole trailer block, counted as HTTP/2 counts it. grpc-java drops a call
/// whose trailers pass 8 KiB; proxies on the way add their own.
const MAX_TRAILER_BYTES: usize = 6 * 1024;
/// The encoded `google.rpc.Status`.
pub const MAX_STATUS_BYTES: usize = 4 * 1024;
/// gRFC A6: how long a client library must wait before it retries by itself; a
/// negative value tells it not to. Stock clients read this, not `RetryInfo`.
const PUSHBACK: &str = "grpc-retry-pushback-ms";
/// The claims challenge of a 401, for the caller to take to Entra.
const CLAIMS: &str = "claims";

const RESOURCE_TYPE: &str = "microsoft.graph.security.incidentTask";
const API_PAGE: &str =
    "https://learn.microsoft.com/graph/api/security-incidenttask-executeresponseaction";
/// AIP-193: a reason has at most 63 characters.
const MAX_REASON_BYTES: usize = 63;

/// The status of a failure. The failure itself stays with it as its source.
pub fn from_failure(failure: Failure) -> Status {
    let mut status = encode(&failure, &failure.message, Extent::Full);
    if !fits(&status) {
        // Texts are capped where they come in, so this is a second line of defence.
        status = encode(&failure, &shortened(&failure.message), Extent::Lean);
    }
    status.set_source(Arc::new(failure));
    status
}

/// A status that tonic made before the service was reached, in the form that every
/// error has. A message that cannot be read is a malformed request. An unknown
/// compression stays UNIMPLEMENTED, and its metadata says which ones are known. `rpc` is the
/// name of the one that was called.
pub fn adopt(status: &Status, rpc: &str, effect: Effect) -> Status {
    if status.code() != Code::Unimplemented {
        let why = format!("the request's message cannot be read: {}", status.message());
        let mut failure = Failure::new(Kind::InvalidRequest, why);
        failure.violations = Box::new([Violation {
            field: "request",
            description: format!(
                "must be the message {rpc}Request, in {} KiB at most",
                MAX_REQUEST_BYTES / 1024
            ),
        }]);
        return from_failure(failure.with_effect(effect));
    }
    let failure = Failure::new(Kind::InvalidRequest, status.message()).with_effect(effect);
    let with_message = |message: &str| {
        let details = details(&failure, &row(failure.kind), Extent::Lean);
        let metadata = status.metadata().clone();
        Status::with_error_details_and_metadata(status.code(), message, details, metadata)
    };
    let mut adopted = with_message(&failure.message);
    if !fits(&adopted) {
        // tonic quotes the caller's own header.
        adopted = with_message(&shortened(&failure.message));
    }
    adopted.set_source(Arc::new(failure));
    adopted
}

/// The failure behind a status that this crate has made.
pub fn failure(status: &Status) -> Option<&Failure> {
    std::error::Error::source(status)?.downcast_ref()
}

/// The reason that `from_failure` gives, for logs and spans.
pub fn reason(failure: &Failure) -> String {
    match row(failure.kind).reason {
        Reason::Fixed(reason) => reason.to_owned(),
        Reason::FromGraphCode => graph_reason(failure.reply.as_deref()),
    }
}

/// A failure's code, by name, and its reason, for the audit log.
pub fn describe(failure: &Failure) -> (&'static str, String) {
    (
        code_name(code(failure.kind, failure.effect)),
        reason(failure),
    )
}

/// A code's canonical name, as in `NOT_FOUND`.
pub const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Which details go into a status.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// All that the table says.
    Full,
    /// Those that a caller decides by: `ErrorInfo`, `RequestInfo`, `RetryInfo`.
    Lean,
}

fn encode(failure: &Failure, message: &str, extent: Extent) -> Status {
    let row = row(failure.kind);
    let details = details(failure, &row, extent);
    let code = code(failure.kind, failure.effect);
    Status::with_error_details_and_metadata(code, message, details, metadata(failure))
}

fn details(failure: &Failure, row: &Row, extent: Extent) -> ErrorDetails {
    let mut details = ErrorDetails::with_error_info(
        reason(failure),
        row.origin.domain(),
        error_metadata(failure),
    );
    let graph_request_id = failure
        .reply
        .as_ref()
        .and_then(|reply| reply.request_id.as_deref());
    let request_id = graph_request_id.or(failure.client_request_id.as_deref());
    details.set_request_info(request_id.unwrap_or_default(), "");
    if let Some(delay) = failure.retry_after() {
        details.set_retry_info(Some(delay));
    }
    match row.extra.filter(|_| extent == Extent::Full) {
        Some(Extra::BadRequest) => {
            let violations: Vec<_> = failure
                .violations
                .iter()
                .map(|violation| FieldViolation::new(violation.field, &violation.description))
                .collect();
            details.set_bad_request(violations);
        }
        Some(Extra::PreconditionFailure) => {
            details.set_precondition_failure(vec![PreconditionViolation::new(
                "ACTION_TYPE",
                failure
                    .reply
                    .as_ref()
                    .and_then(|reply| reply.action_type.as_deref())
                    .unwrap_or("actionType"),
                "the API can start actions of other types only; start this one by hand",
            )]);
        }
        Some(Extra::QuotaFailure) => {
            details.set_quota_failure(vec![QuotaViolation::new(
                "graph.microsoft.com",
                "Microsoft Graph's limit on the calls of this application and tenant",
            )]);
        }
        Some(Extra::ResourceInfo) => {
            // The name would be the caller's own id again; it knows it. Graph's own words
            // are enough: the status has the whole message. It stands here, too, where Graph
            // has said nothing, for those who show details alone.
            let reply = failure.reply.as_deref();
            let said = reply.and_then(|reply| reply.message.as_deref());
            let said = said.unwrap_or(&failure.message);
            details.set_resource_info(RESOURCE_TYPE, "", "", said);
        }
        Some(Extra::Help) => {
            details.set_help(vec![tonic_types::HelpLink::new(
                "Whether this Graph version still has the API",
                API_PAGE,
            )]);
        }
        None => {}
    }
    details
}

/// `ErrorInfo.metadata`. A key, once here, must never disappear.
fn error_metadata(failure: &Failure) -> HashMap<String, String> {
    let reply = failure.reply.as_deref();
    let attempts = (failure.attempts > 0).then(|| failure.attempts.to_string());
    let known = [
        ("actionOutcome", Some(failure.outcome().as_str().to_owned())),
        ("updateOutcome", update_outcome(failure).map(str::to_owned)),
        ("graphCode", reply.and_then(|reply| reply.code.clone())),
        (
            "graphInnerCode",
            reply.and_then(|reply| reply.inner_code.clone()),
        ),
        ("httpStatus", reply.map(|reply| reply.status.to_string())),
        (
            "graphRequestId",
            reply.and_then(|reply| reply.request_id.clone()),
        ),
        ("clientRequestId", failure.client_request_id.clone()),
        ("attempts", attempts),
        (
            "actionType",
            reply.and_then(|reply| reply.action_type.clone()),
        ),
    ];
    let mut metadata = HashMap::with_capacity(known.len());
    let known = known.into_iter();
    metadata.extend(known.filter_map(|(key, value)| Some((key.to_owned(), value?))));
    metadata
}

/// Whether a task's status was set, where that was asked for.
fn update_outcome(failure: &Failure) -> Option<&'static str> {
    (failure.effect == Effect::Update).then_some(if failure.in_doubt {
        "UNKNOWN"
    } else {
        "NOT_UPDATED"
    })
}

fn metadata(failure: &Failure) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    if failure.outcome() == Outcome::Unknown {
        metadata.insert(PUSHBACK, AsciiMetadataValue::from_static("-1"));
    } else if let Some(delay) = failure.retry_after() {
        metadata.insert(PUSHBACK, pushback(delay));
    }
    let is_the_callers = matches!(
        failure.kind,
        Kind::CallerTokenRejected | Kind::InteractionRequired
    );
    let claims = failure
        .claims
        .as_deref()
        .and_then(|claims| claims.parse().ok());
    if let (true, Some(claims)) = (is_the_callers, claims) {
        metadata.insert(CLAIMS, claims);
    }
    metadata
}

fn pushback(delay: Duration) -> AsciiMetadataValue {
    // Rounded up: who waits as long as it is told must not come too early. gRFC A6: an
    // int32.
    let millis = delay.as_nanos().div_ceil(1_000_000);
    AsciiMetadataValue::from(i32::try_from(millis).unwrap_or(i32::MAX))
}

/// `itemNotFound` -> `ITEM_NOT_FOUND`; `HTTP_404` where that gives no reason of the
/// form `[A-Z][A-Z0-9_]+[A-Z0-9]`.
fn graph_reason(reply: Option<&GraphReply>) -> String {
    let code = reply.and_then(|reply| reply.code.as_deref());
    let mut reason = String::new();
    let mut after_lower = false;
    for c in code.unwrap_or_default().chars() {
        if !c.is_ascii_alphanumeric() {
            if !reason.is_empty() && !reason.ends_with('_') {
                reason.push('_');
            }
            after_lower = false;
            continue;
        }
        if c.is_ascii_uppercase() && after_lower {
            reason.push('_');
        }
        after_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
        reason.push(c.to_ascii_uppercase());
    }
    reason.truncate(MAX_REASON_BYTES);
    let reason = reason.trim_end_matches('_');
    let begins_well = reason.starts_with(|c: char| c.is_ascii_uppercase());
    if begins_well && reason.len() >= 3 {
        reason.to_owned()
    } else {
        format!("HTTP_{}", reply.map_or(0, |reply| reply.status))
    }
}

/// What is left of a message where the budget is exceeded.
fn shortened(message: &str) -> String {
    message.chars().take(64).collect()
}

fn fits(status: &Status) -> bool {
    let is_short = || most_trailer_bytes(status) <= MAX_TRAILER_BYTES;
    status.details().len() <= MAX_STATUS_BYTES
        && (is_short() || trailer_bytes(status) <= MAX_TRAILER_BYTES)
}

/// At least as much as [`trailer_bytes`], without encoding anything.
fn most_trailer_bytes(status: &Status) -> usize {
    // `:status`, `content-type`, `grpc-status`, `grpc-message`, `grpc-status-details-bin`:
    // names, 32 bytes each, and the values of the first three.
    const FIXED: usize = 256;
    let metadata = status.metadata().as_ref().iter();
    let metadata = metadata.map(|(name, value)| name.as_str().len() + value.len() + 32);
    // A character of the message may be escaped, and four of Base64 carry three bytes.
    let (message, details) = (status.message().len(), status.details().len());
    FIXED + 3 * message + 4 * details.div_ceil(3) + metadata.sum::<usize>()
}

/// The size of the block that a status makes, as HTTP/2 counts it: 32 bytes for
/// each field beside its name and value (RFC 9113, section 6.5.2). Sent as headers
/// the block has `:status`, too.
fn trailer_bytes(status: &Status) -> usize {
    let response: http::Response<()> = status.clone().into_http();
    response
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), value.len()))
        .chain([(":status", "200".len())])
        .map(|(name, value)| name.len() + value + 32)
        .sum()
}
