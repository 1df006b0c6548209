//! What an answer of Graph's means: a pure function of status, headers and body.

use std::{borrow::Cow, time::SystemTime};

use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use serde_json::Value;

use super::{
    Accepted, challenge,
    error_body::{ErrorBody, MAX_ID_BYTES},
    error_kind, retry_after, text, warning,
};
use crate::{
    authorization::TokenOwner,
    failure::{Effect, Failure, GraphReply, Kind, Violation},
};

pub use super::body::BodyEnd;

/// Graph's own id of a request, for Microsoft's support.
const REQUEST_ID: &str = "request-id";

/// One answer, complete or not.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body, at most 64 KiB of it.
    pub body: &'a [u8],
    /// How the body ended.
    pub body_end: BodyEnd,
    /// Whose token Graph was shown.
    pub token_owner: TokenOwner,
    /// What the request may have done.
    pub effect: Effect,
    /// The wall clock, for dates in `Retry-After`.
    pub now: SystemTime,
}

/// Says whether Graph started the action, and if not, why.
///
/// Any 2xx with an empty or a JSON body is a success: the page documents 204 and
/// announces a tracking object. A 2xx with anything else, or with an error in it, is
/// not Graph's answer to this. A 400 whose words are lost may have said that the action
/// had been started before, so that it says nothing.
pub fn classify(reply: &Reply<'_>) -> Result<Accepted, Failure> {
    if reply.status.is_success() {
        return accepted(reply);
    }
    let error = ErrorBody::read(reply.body);
    let retry_after = reply
        .headers
        .get(RETRY_AFTER)
        .and_then(|value| retry_after::parse(value.as_bytes(), reply.now));
    let mut kind = error_kind::kind(
        reply.status,
        &error,
        retry_after.is_some(),
        reply.token_owner,
    );
    if kind == Kind::BadRequest && words_are_lost(reply) {
        kind = Kind::ResponseLost;
    }
    let failure = failure(kind, reply, error);
    Err(match retry_after {
        Some(delay) => failure.with_retry_after(delay),
        None => failure,
    })
}

fn accepted(reply: &Reply<'_>) -> Result<Accepted, Failure> {
    let is_blank = reply.body.trim_ascii().is_empty();
    match reply.body_end {
        BodyEnd::Lost => Err(failure(Kind::ResponseLost, reply, ErrorBody::default())),
        BodyEnd::Complete if is_blank || is_tracking_object(reply.body) => Ok(Accepted {
            status: reply.status.as_u16(),
            graph_request_id: request_id(reply.headers),
            provider_warnings: warning::parse(reply.headers),
        }),
        BodyEnd::Complete | BodyEnd::TooLong => Err(failure(
            Kind::UnreadableReply,
            reply,
            ErrorBody::read(reply.body),
        )),
    }
}

/// Whether the body broke off before Graph had said what it meant to say.
fn words_are_lost(reply: &Reply<'_>) -> bool {
    reply.body_end == BodyEnd::Lost && serde_json::from_slice::<Value>(reply.body).is_err()
}

/// JSON that is no error. What the announced object looks like is not known yet.
fn is_tracking_object(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|json| json["error"].is_null())
}

pub(super) fn failure(kind: Kind, reply: &Reply<'_>, error: ErrorBody) -> Failure {
    let message = match &error.message {
        Some(said) => format!("{}: {said}", headline(kind, reply.effect)),
        None => format!(
            "{} (HTTP {})",
            headline(kind, reply.effect),
            reply.status.as_u16()
        ),
    };
    let mut failure = Failure::new(kind, message)
        .with_effect(reply.effect)
        .with_claims(challenge::claims(reply.headers));
    if kind == Kind::InvalidTaskId {
        failure.violations = Box::new([Violation {
            field: "incident_task_id",
            description: "Graph does not take it for an incident task's id".to_owned(),
        }]);
    }
    failure.reply = Some(Box::new(GraphReply {
        status: reply.status.as_u16(),
        action_type: error.message.as_deref().and_then(error_kind::action_type),
        code: error.code,
        inner_code: error.inner_code,
        message: error.message,
        request_id: request_id(reply.headers).or(error.request_id),
    }));
    failure
}

pub(super) fn request_id(headers: &HeaderMap) -> Option<String> {
    text::identifier(headers.get(REQUEST_ID)?.to_str().ok()?, MAX_ID_BYTES)
}

/// What the caller reads before Graph's own words.
fn headline(kind: Kind, effect: Effect) -> Cow<'static, str> {
    let headline = match kind {
        Kind::UnsupportedActionType => "this type of action cannot be started by the API",
        Kind::ActionAlreadyInProgress => "the action has been started before",
        Kind::InvalidTaskId => "Graph refused the task id",
        Kind::GraphApiNotFound if effect == Effect::Action => {
            "Graph does not know the API executeResponseAction"
        }
        Kind::GraphApiNotFound => "Graph does not know the API incidentTasks",
        Kind::CallerTokenRejected => "Graph rejected the caller's token",
        Kind::GatewayCredentialRejected => "Graph rejected the gateway's own token",
        Kind::Forbidden => "Graph does not allow this",
        Kind::NotFound => "Graph knows no such task",
        Kind::UnexpectedReply => "Graph gave an answer that this API does not have",
        Kind::UnreadableReply => {
            "a success came back whose body is not a success of Graph's, so something on the way may have answered"
        }
        Kind::Conflict => "Graph reports a conflict with the task's current state",
        Kind::PreconditionFailed => "Graph reports that the task is not in a state for this",
        Kind::Throttled => "Graph throttles the calls",
        Kind::Unavailable if effect == Effect::Action => {
            "Graph is not available now and did not start the action"
        }
        Kind::Unavailable => "Graph is not available now",
        Kind::QuotaExhausted => "Graph reports an exhausted quota",
        Kind::NotImplemented => "Graph has not implemented this",
        Kind::InternalError => return doubtful("Graph failed", effect),
        Kind::ServerFault => return doubtful("Graph or a proxy before it failed", effect),
        Kind::ResponseLost => return doubtful("Graph's answer was lost", effect),
        Kind::BadRequest
        | Kind::InvalidRequest
        | Kind::CallerUnauthenticated
        | Kind::CallerNotAllowed
        | Kind::GatewayOverloaded
        | Kind::GatewayDraining
        | Kind::AuditUnavailable
        | Kind::IssuerUnavailable
        | Kind::AppOnlyToken
        | Kind::InteractionRequired
        | Kind::CredentialUnavailable
        | Kind::Unreachable
        | Kind::DeadlineBeforeSend
        | Kind::DeadlineAfterSend
        | Kind::GatewayFault => "Graph refused the request",
    };
    headline.into()
}

/// What has happened, and what may have happened by it.
pub(super) fn doubtful(what: &'static str, effect: Effect) -> Cow<'static, str> {
    match effect.doubt() {
        Some(doubt) => format!("{what}, and {doubt}").into(),
        None => what.into(),
    }
}
