//! Which row of the status table an error of Graph's is: by status and code
//! first, by message second.
//!
//! The message matters because the published page of executeResponseAction names
//! no code, only "Currently {actionType} is not supported"; its drafts name
//! `UnsupportedActionType` and `ActionAlreadyInProgress`.

use http::StatusCode;

use super::{error_body::ErrorBody, text};
use crate::{authorization::TokenOwner, failure::Kind};

const MAX_ACTION_TYPE_BYTES: usize = 64;

/// The kind of an answer that is no success. `has_retry_after` is whether a valid
/// `Retry-After` came with it.
pub(super) fn kind(
    status: StatusCode,
    error: &ErrorBody,
    has_retry_after: bool,
    owner: TokenOwner,
) -> Kind {
    match status.as_u16() {
        400 | 422 => bad_request(error),
        401 => match owner {
            TokenOwner::Caller => Kind::CallerTokenRejected,
            TokenOwner::Gateway => Kind::GatewayCredentialRejected,
        },
        403 => Kind::Forbidden,
        404 | 410 => Kind::NotFound,
        408 => Kind::ServerFault,
        409 => Kind::Conflict,
        412 | 423 => Kind::PreconditionFailed,
        429 => Kind::Throttled,
        500 => Kind::InternalError,
        501 => Kind::NotImplemented,
        // Graph names a time when it refuses. A proxy on the way answers a bare
        // 503 also after it has lost a request that it had sent.
        503 if has_retry_after => Kind::Unavailable,
        507 | 509 => Kind::QuotaExhausted,
        300..=399 => Kind::UnexpectedReply,
        // A registered 4xx says that the request was refused. An unregistered one
        // (499, 460) is some proxy's word for having given up waiting.
        400..=499 if status.canonical_reason().is_some() => Kind::UnexpectedReply,
        _ => Kind::ServerFault,
    }
}

/// The action's type, where the message names it.
pub(super) fn action_type(message: &str) -> Option<String> {
    let named = message
        .strip_prefix("Currently ")
        .and_then(|rest| rest.split_once(" is not supported"))
        .map(|(action_type, _)| action_type)
        .or_else(|| {
            let (_, rest) = message.split_once("Action type '")?;
            Some(rest.split_once('\'')?.0)
        })?;
    text::identifier(named, MAX_ACTION_TYPE_BYTES)
}

fn bad_request(error: &ErrorBody) -> Kind {
    let code = error.code.as_deref().unwrap_or_default();
    if code.eq_ignore_ascii_case("UnsupportedActionType") {
        return Kind::UnsupportedActionType;
    }
    if code.eq_ignore_ascii_case("ActionAlreadyInProgress") {
        return Kind::ActionAlreadyInProgress;
    }
    let message = error.message.as_deref().unwrap_or_default();
    let lower = message.to_ascii_lowercase();
    if lower.starts_with("resource not found for the segment") {
        Kind::GraphApiNotFound
    } else if lower.contains("already in progress") {
        Kind::ActionAlreadyInProgress
    } else if lower.starts_with("currently ") && lower.contains(" is not supported") {
        Kind::UnsupportedActionType
    } else if names_the_task_id(&lower) {
        Kind::InvalidTaskId
    } else {
        Kind::BadRequest
    }
}

/// "Invalid incidentTask id {id}", "The task ID must be a valid GUID", "incident
/// task ID isn't a valid GUID" (drafts of the page).
fn names_the_task_id(lower: &str) -> bool {
    lower.contains("incidenttask id")
        || lower.contains("incidenttaskid")
        || lower.contains("task id")
        || lower.contains("taskid")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str, message: &str) -> ErrorBody {
        ErrorBody {
            code: Some(code.to_owned()).filter(|code| !code.is_empty()),
            message: Some(message.to_owned()),
            ..ErrorBody::default()
        }
    }

    #[test]
    fn a_bad_request_is_told_by_code_first_then_by_message() {
        for (code, message, want) in [
            ("UnsupportedActionType", "", Kind::UnsupportedActionType),
            ("ActionAlreadyInProgress", "", Kind::ActionAlreadyInProgress),
            (
                "UnsupportedActionType",
                "already in progress",
                Kind::UnsupportedActionType,
            ),
            (
                "BadRequest",
                "Currently text is not supported",
                Kind::UnsupportedActionType,
            ),
            (
                "",
                "Response action is already in progress.",
                Kind::ActionAlreadyInProgress,
            ),
            (
                "BadRequest",
                "Action is already in progress",
                Kind::ActionAlreadyInProgress,
            ),
            (
                "BadRequest",
                "Invalid incidentTask id x",
                Kind::InvalidTaskId,
            ),
            (
                "BadRequest",
                "The task ID must be a valid GUID",
                Kind::InvalidTaskId,
            ),
            (
                "BadRequest",
                "Resource not found for the segment 'incidentTasks'.",
                Kind::GraphApiNotFound,
            ),
            (
                "BadRequest",
                "The currently used client is not supported",
                Kind::BadRequest,
            ),
            ("BadRequest", "", Kind::BadRequest),
            ("", "", Kind::BadRequest),
        ] {
            let kind = kind(
                StatusCode::BAD_REQUEST,
                &error(code, message),
                false,
                TokenOwner::Caller,
            );
            assert_eq!(kind, want, "{code} {message}");
        }
    }

    #[test]
    fn the_action_type_is_read_from_either_dialect() {
        for (message, want) in [
            (
                "Currently submitIocRule is not supported",
                Some("submitIocRule"),
            ),
            (
                "Action type 'text' is not supported for automated execution.",
                Some("text"),
            ),
            ("Currently a b is not supported", None),
            ("Action type 'text", None),
            ("", None),
        ] {
            assert_eq!(action_type(message).as_deref(), want, "{message}");
        }
    }

    #[test]
    fn every_status_has_a_kind_and_only_refusals_are_not_started() {
        use crate::failure::Outcome;
        let nothing = ErrorBody::default();
        for code in (100..1000).filter(|code| !(200..300).contains(code)) {
            let status = StatusCode::from_u16(code).unwrap();
            let kind = kind(status, &nothing, false, TokenOwner::Gateway);
            let may_have_run = matches!(code, 100..=199 | 408 | 500 | 502..=506 | 508 | 510..)
                || ((400..500).contains(&code) && status.canonical_reason().is_none());
            let want = if may_have_run {
                Outcome::Unknown
            } else {
                Outcome::NotStarted
            };
            assert_eq!(kind.outcome(), want, "{code}: {kind:?}");
        }
    }
}
