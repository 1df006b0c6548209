//! What a task's own state says about its action.

use opentelemetry::KeyValue;
use serde::Deserialize;

use super::{
    classify::{BodyEnd, Reply, classify, failure, request_id},
    error_body::ErrorBody,
    exchange::Answer,
};
use crate::{
    failure::{Failure, Kind},
    telemetry::names,
};

/// The task as Graph showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// How far its action is.
    pub action_status: ActionStatus,
    /// The HTTP status.
    pub status: u16,
    /// Graph's `request-id` of this reading.
    pub graph_request_id: Option<String>,
}

/// The members of Graph's `incidentTaskActionStatus` (Graph page "incidentTask
/// resource type"). A member that is added later is none of these: what it says about
/// the action is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ActionStatus {
    /// Nobody has started it.
    NotStarted,
    /// It runs.
    InProgress,
    /// It has ended for a part of what it is about.
    PartiallyCompleted,
    /// It has ended well.
    Completed,
    /// It has ended badly.
    Failed,
}

/// The one property that matters here. Whatever else the task has may change.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IncidentTask {
    action_status: ActionStatus,
}

/// Reads the answer to a GET of the task.
///
/// The error's [`Failure::outcome`] says nothing: a reading starts nothing.
pub fn read_task(reply: &Reply<'_>) -> Result<Seen, Failure> {
    if !reply.status.is_success() {
        // Not a success, so never `Ok`.
        classify(reply)?;
    }
    let task = serde_json::from_slice::<IncidentTask>(reply.body);
    match (task, reply.body_end) {
        (Ok(task), BodyEnd::Complete) => Ok(Seen {
            action_status: task.action_status,
            status: reply.status.as_u16(),
            graph_request_id: request_id(reply.headers),
        }),
        (_, BodyEnd::Lost) => Err(failure(Kind::ResponseLost, reply, ErrorBody::default())),
        (_, BodyEnd::Complete | BodyEnd::TooLong) => {
            Err(failure(Kind::UnreadableReply, reply, ErrorBody::default()))
        }
    }
}

// === impl ActionStatus ===

impl ActionStatus {
    /// Whether someone has started the action.
    pub fn is_started(self) -> bool {
        self != Self::NotStarted
    }

    /// Graph's own word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotStarted => "notStarted",
            Self::InProgress => "inProgress",
            Self::PartiallyCompleted => "partiallyCompleted",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

// === impl Seen ===

impl Answer for Seen {
    fn status(&self) -> u16 {
        self.status
    }

    fn graph_request_id(&self) -> Option<&str> {
        self.graph_request_id.as_deref()
    }

    fn finding(result: &Result<Self, Failure>) -> Option<KeyValue> {
        let status = result.as_ref().ok()?.action_status;
        Some(KeyValue::new(names::ACTION_STATUS, status.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use http::{HeaderMap, StatusCode};
    use proptest::prelude::*;

    use super::*;
    use crate::authorization::TokenOwner;

    fn read(status: u16, body: &[u8], body_end: BodyEnd) -> Result<ActionStatus, Kind> {
        let reply = Reply {
            status: StatusCode::from_u16(status).unwrap(),
            headers: &HeaderMap::new(),
            body,
            body_end,
            token_owner: TokenOwner::Gateway,
            now: SystemTime::UNIX_EPOCH,
        };
        read_task(&reply)
            .map(|seen| seen.action_status)
            .map_err(|failure| failure.kind)
    }

    #[test]
    fn every_documented_member_is_read() {
        for status in [
            ActionStatus::NotStarted,
            ActionStatus::InProgress,
            ActionStatus::PartiallyCompleted,
            ActionStatus::Completed,
            ActionStatus::Failed,
        ] {
            let body = format!(
                r##"{{"@odata.type":"#microsoft.graph.security.incidentTask","id":"213213","responseAction":{{"a":[]}},"actionStatus":"{}"}}"##,
                status.as_str()
            );
            assert_eq!(
                read(200, body.as_bytes(), BodyEnd::Complete),
                Ok(status),
                "{body}"
            );
            assert_eq!(status.is_started(), status != ActionStatus::NotStarted);
        }
    }

    #[test]
    fn what_is_not_a_task_in_a_known_state_says_nothing() {
        let whole = r#"{"actionStatus":"completed"}"#;
        for (status, body, end, kind) in [
            (
                200,
                r#"{"actionStatus":"unknownFutureValue"}"#,
                BodyEnd::Complete,
                Kind::UnreadableReply,
            ),
            (
                200,
                r#"{"actionStatus":"Completed"}"#,
                BodyEnd::Complete,
                Kind::UnreadableReply,
            ),
            (
                200,
                r#"{"actionStatus":null}"#,
                BodyEnd::Complete,
                Kind::UnreadableReply,
            ),
            (
                200,
                r#"{"status":"completed"}"#,
                BodyEnd::Complete,
                Kind::UnreadableReply,
            ),
            (
                200,
                r#"{"actionStatus":"failed","actionStatus":"notStarted"}"#,
                BodyEnd::Complete,
                Kind::UnreadableReply,
            ),
            (200, "<html>", BodyEnd::Complete, Kind::UnreadableReply),
            (204, "", BodyEnd::Complete, Kind::UnreadableReply),
            (200, whole, BodyEnd::TooLong, Kind::UnreadableReply),
            (200, whole, BodyEnd::Lost, Kind::ResponseLost),
            (404, whole, BodyEnd::Complete, Kind::NotFound),
            (429, "", BodyEnd::Complete, Kind::Throttled),
            (500, whole, BodyEnd::Complete, Kind::InternalError),
            (302, whole, BodyEnd::Complete, Kind::UnexpectedReply),
        ] {
            assert_eq!(
                read(status, body.as_bytes(), end),
                Err(kind),
                "{status} {body}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(status in 200_u16..600, body: Vec<u8>) {
            let _result = read(status, &body, BodyEnd::Complete);
        }
    }
}
