//! What `execute` prints: the outcome first, then what it rests on, then what to do.

use std::fmt;

use serde::Serialize;
use tonic::Status;

use super::{
    FAILURE, UNKNOWN,
    said::{Said, write_line},
    unreachable::Unreachable,
};
use crate::pb;

/// One answered call.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmation: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action_status: Option<String>,
    #[serde(flatten)]
    said: Said,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    provider_warnings: Vec<String>,
    next: String,
}

/// Whether the action was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Outcome {
    Started,
    AlreadyStarted,
    NotStarted,
    Unknown,
}

// === impl Report ===

impl Report {
    /// The gateway answered OK.
    pub(super) fn started(response: pb::ExecuteResponseActionResponse, id: &str) -> Self {
        let confirmation = match response.confirmation() {
            pb::ExecutionConfirmation::Accepted => "ACCEPTED",
            pb::ExecutionConfirmation::Observed => "OBSERVED",
            pb::ExecutionConfirmation::Unspecified => "UNSPECIFIED",
        };
        let action_status = action_status(response.action_status());
        let mut said = Said::ok();
        said.graph_request_id = Some(response.graph_request_id).filter(|id| !id.is_empty());
        said.client_request_id = Some(response.client_request_id);
        let attempts = response.attempts.to_string();
        said.metadata.insert("attempts".to_owned(), attempts);
        Self {
            outcome: Outcome::Started,
            confirmation: Some(confirmation),
            action_status,
            said,
            provider_warnings: response
                .provider_warnings
                .into_iter()
                .map(|warning| {
                    format!(
                        "{}/{}: {}",
                        warning.vendor, warning.provider, warning.status_code
                    )
                })
                .collect(),
            next: format!(
                "follow the task to its end: incidentgate watch {}",
                argument(id)
            ),
        }
    }

    /// The gateway, or something before it, answered an error.
    pub(super) fn failed(status: &Status, id: &str) -> Self {
        let said = Said::of(status);
        let outcome = match said.metadata.get("actionOutcome").map(String::as_str) {
            Some("NOT_STARTED") => Outcome::NotStarted,
            Some("ALREADY_STARTED") => Outcome::AlreadyStarted,
            // Whoever gave no outcome (a proxy, a lost connection) does not know it.
            _ => Outcome::Unknown,
        };
        let next = match outcome {
            Outcome::NotStarted => said.next_step(),
            Outcome::AlreadyStarted | Outcome::Started => {
                "look at the task's actionStatus; there is nothing to send again".to_owned()
            }
            Outcome::Unknown => look_first(id),
        };
        Self::without_confirmation(outcome, said, next)
    }

    /// Nobody has shown that they are a gateway, so the call was not sent.
    pub(super) fn unreachable(error: &Unreachable) -> Self {
        let said = Said::unreachable(error);
        let next = said.next_step();
        Self::without_confirmation(Outcome::NotStarted, said, next)
    }

    /// The task cannot be followed, which was asked for, so that the call was not sent.
    pub(super) fn not_followed(said: Said) -> Self {
        let next = if said.code == "PERMISSION_DENIED" {
            "the task may not be followed, so that the call was not sent: ask for the permission, or leave --wait out".to_owned()
        } else {
            said.next_step()
        };
        Self::without_confirmation(Outcome::NotStarted, said, next)
    }

    /// Nobody waits any more, and the call was not sent yet.
    pub(super) fn not_sent() -> Self {
        let said = Said::local("CANCELLED", "interrupted before the call was sent");
        Self::without_confirmation(Outcome::NotStarted, said, "call again".to_owned())
    }

    /// Nobody waits for the answer any more.
    pub(super) fn interrupted(id: &str) -> Self {
        let said = Said::local("CANCELLED", "interrupted before the gateway had answered");
        Self::without_confirmation(Outcome::Unknown, said, look_first(id))
    }

    /// Whether the action runs, or has run.
    pub(super) fn is_started(&self) -> bool {
        matches!(self.outcome, Outcome::Started | Outcome::AlreadyStarted)
    }

    /// The same where the task is followed, if its action runs.
    pub(super) fn followed(mut self) -> Self {
        if self.is_started() {
            "the task is followed; Ctrl-C leaves the action running".clone_into(&mut self.next);
        }
        self
    }

    fn without_confirmation(outcome: Outcome, said: Said, next: String) -> Self {
        Self {
            outcome,
            confirmation: None,
            action_status: None,
            said,
            provider_warnings: Vec::new(),
            next,
        }
    }

    /// One JSON object.
    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// 0 only when the action was started, by this call as far as anyone can tell.
    pub(super) fn exit_code(&self) -> u8 {
        match self.outcome {
            Outcome::Started => 0,
            Outcome::NotStarted => FAILURE,
            Outcome::AlreadyStarted => 3,
            Outcome::Unknown => UNKNOWN,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.outcome {
            Outcome::Started => "STARTED: the action was started",
            Outcome::AlreadyStarted => "ALREADY_STARTED: the action had been started before",
            Outcome::NotStarted => "NOT_STARTED: the action was not started",
            Outcome::Unknown => "UNKNOWN: the action may have been started",
        })?;
        if let Some(confirmation) = self.confirmation {
            write_line(f, "confirmation", confirmation)?;
        }
        if let Some(action_status) = &self.action_status {
            write_line(f, "actionStatus", action_status)?;
        }
        write_line(f, "code", self.said.code)?;
        for (label, value) in self.said.lines() {
            write_line(f, label, &value)?;
        }
        for warning in &self.provider_warnings {
            write_line(f, "provider warning", warning)?;
        }
        write_line(f, "next", &self.next)
    }
}

/// What to do where nobody knows.
fn look_first(id: &str) -> String {
    let id = argument(id);
    format!("look at the task's actionStatus before you send the call again: incidentgate get {id}")
}

/// An id as it can be typed; what a shell would read otherwise is left to whoever types.
pub(super) fn argument(id: &str) -> &str {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if id.bytes().all(is_plain) && !id.starts_with('-') {
        id
    } else {
        "ID"
    }
}

/// The name without the prefix that the enum's values have in common.
fn action_status(status: pb::ActionStatus) -> Option<String> {
    let name = status.as_str_name().strip_prefix("ACTION_STATUS_")?;
    (status != pb::ActionStatus::Unspecified).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_forge_a_line_or_steer_the_terminal() {
        let status = Status::unknown("lost\n  next  call again\r\u{1b}[2J");
        let text = Report::failed(&status, "213213").to_string();
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(!text.contains(['\r', '\u{1b}']), "{text:?}");
    }
}
