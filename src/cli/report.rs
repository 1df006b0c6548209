//! What `execute` prints: the outcome first, then what it rests on, then what to do.

use std::{collections::BTreeMap, fmt, process::ExitCode, time::Duration};

use serde::Serialize;
use tonic::Status;
use tonic_types::StatusExt as _;

use super::{UNKNOWN, peer::message_of, unreachable::Unreachable};
use crate::{pb, rpc::status::code_name, scan};

/// One answered call.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmation: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action_status: Option<String>,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    graph_request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    /// The trailer `claims`: what Entra wants before it issues another token, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    claims: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
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
    pub(super) fn started(response: pb::ExecuteResponseActionResponse) -> Self {
        let confirmation = match response.confirmation() {
            pb::ExecutionConfirmation::Accepted => "ACCEPTED",
            pb::ExecutionConfirmation::Observed => "OBSERVED",
            pb::ExecutionConfirmation::Unspecified => "UNSPECIFIED",
        };
        Self {
            outcome: Outcome::Started,
            confirmation: Some(confirmation),
            action_status: action_status(response.action_status()),
            code: "OK",
            reason: None,
            domain: None,
            message: String::new(),
            graph_request_id: Some(response.graph_request_id).filter(|id| !id.is_empty()),
            client_request_id: Some(response.client_request_id),
            retry_after_ms: None,
            claims: None,
            metadata: BTreeMap::from([("attempts".to_owned(), response.attempts.to_string())]),
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
            next: "follow the task's actionStatus in Microsoft Defender or Graph".to_owned(),
        }
    }

    /// The gateway, or something before it, answered an error.
    pub(super) fn failed(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let metadata: BTreeMap<_, _> = info
            .map(|info| info.metadata.clone().into_iter().collect())
            .unwrap_or_default();
        let outcome = match metadata.get("actionOutcome").map(String::as_str) {
            Some("NOT_STARTED") => Outcome::NotStarted,
            Some("ALREADY_STARTED") => Outcome::AlreadyStarted,
            // Whoever gave no outcome (a proxy, a lost connection) does not know it.
            _ => Outcome::Unknown,
        };
        let retry_after = details.retry_info().and_then(|retry| retry.retry_delay);
        let retry_after_ms =
            retry_after.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
        let claims = status.metadata().get("claims");
        let claims = claims.and_then(|claims| Some(claims.to_str().ok()?.to_owned()));
        Self {
            outcome,
            confirmation: None,
            action_status: None,
            code: code_name(status.code()),
            reason: info.map(|info| info.reason.clone()),
            domain: info.map(|info| info.domain.clone()),
            message: message_of(status),
            graph_request_id: metadata.get("graphRequestId").cloned(),
            client_request_id: metadata.get("clientRequestId").cloned(),
            retry_after_ms,
            next: next_step(outcome, retry_after_ms, claims.is_some()),
            claims,
            metadata,
            provider_warnings: Vec::new(),
        }
    }

    /// Nobody has shown that they are a gateway, so the call was not sent.
    pub(super) fn unreachable(error: &Unreachable) -> Self {
        Self {
            outcome: Outcome::NotStarted,
            confirmation: None,
            action_status: None,
            code: "UNAVAILABLE",
            reason: None,
            domain: None,
            message: error.to_string(),
            graph_request_id: None,
            client_request_id: None,
            retry_after_ms: None,
            claims: None,
            metadata: BTreeMap::new(),
            provider_warnings: Vec::new(),
            next: if error.has_mend() {
                "mend the connection as the message says; the call was not sent"
            } else {
                "start the gateway, or name another one by --endpoint"
            }
            .to_owned(),
        }
    }

    /// One JSON object.
    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// 0 only when the action was started, by this call as far as anyone can tell.
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.outcome {
            Outcome::Started => 0,
            Outcome::NotStarted => 1,
            Outcome::AlreadyStarted => 3,
            Outcome::Unknown => UNKNOWN,
        })
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
        let reason = match (&self.reason, &self.domain) {
            (Some(reason), Some(domain)) => Some(format!("{reason} ({domain})")),
            _ => None,
        };
        let lines = [
            ("confirmation", self.confirmation),
            ("actionStatus", self.action_status.as_deref()),
            ("code", Some(self.code)),
            ("reason", reason.as_deref()),
            (
                "message",
                Some(self.message.as_str()).filter(|text| !text.is_empty()),
            ),
            ("Graph request-id", self.graph_request_id.as_deref()),
            ("client-request-id", self.client_request_id.as_deref()),
            (
                "attempts",
                self.metadata.get("attempts").map(String::as_str),
            ),
            ("claims", self.claims.as_deref()),
        ];
        for (label, value) in lines {
            if let Some(value) = value {
                // Whoever answered, the lines are ours, and so is the terminal.
                let value = value.replace(scan::steers, " ");
                write!(f, "\n  {label:<18} {value}")?;
            }
        }
        for warning in &self.provider_warnings {
            write!(f, "\n  {:<18} {warning}", "provider warning")?;
        }
        write!(f, "\n  {:<18} {}", "next", self.next)
    }
}

/// The name without the prefix that the enum's values have in common.
fn action_status(status: pb::ActionStatus) -> Option<String> {
    let name = status.as_str_name().strip_prefix("ACTION_STATUS_")?;
    (status != pb::ActionStatus::Unspecified).then(|| name.to_owned())
}

fn next_step(outcome: Outcome, retry_after_ms: Option<u64>, is_challenged: bool) -> String {
    let step = match (outcome, retry_after_ms) {
        (Outcome::NotStarted, Some(ms)) => {
            let wait = humantime::format_duration(Duration::from_millis(ms));
            return format!("send the same call again in {wait} or later");
        }
        (Outcome::NotStarted, None) if is_challenged => {
            "get a token from Entra with these claims (base64), then send the call with it"
        }
        (Outcome::NotStarted, None) => "mend the cause; the same call will fail again",
        (Outcome::AlreadyStarted | Outcome::Started, _) => {
            "look at the task's actionStatus; there is nothing to send again"
        }
        (Outcome::Unknown, _) => "look at the task's actionStatus before you send the call again",
    };
    step.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_forge_a_line_or_steer_the_terminal() {
        let status = Status::unknown("lost\n  next  call again\r\u{1b}[2J");
        let text = Report::failed(&status).to_string();
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(!text.contains(['\r', '\u{1b}']), "{text:?}");
    }
}
