//! What an answer says beside its outcome.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{
    peer::{NoAnswer, message_of},
    unreachable::Unreachable,
};
use crate::{rpc::status::code_name, scan};

/// The code of an answer, and what an error tells.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Said {
    pub(super) code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) domain: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) graph_request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry_after_ms: Option<u64>,
    /// The trailer `claims`: what Entra wants before it issues another token, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) claims: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) metadata: BTreeMap<String, String>,
    /// What to do, where that is known better than by the members above.
    #[serde(skip)]
    advice: Option<&'static str>,
}

/// What went wrong, for people.
pub(super) struct Failed<'a> {
    pub(super) what: &'a str,
    pub(super) said: &'a Said,
    pub(super) next: &'a str,
}

// === impl Said ===

impl Said {
    /// An answer that says no more than that it is good.
    pub(super) fn ok() -> Self {
        Self {
            code: "OK",
            reason: None,
            domain: None,
            message: String::new(),
            graph_request_id: None,
            client_request_id: None,
            retry_after_ms: None,
            claims: None,
            metadata: BTreeMap::new(),
            advice: None,
        }
    }

    /// The gateway, or something before it, answered an error.
    pub(super) fn of(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let metadata: BTreeMap<_, _> = info
            .map(|info| info.metadata.clone().into_iter().collect())
            .unwrap_or_default();
        let retry_after = details.retry_info().and_then(|retry| retry.retry_delay);
        let claims = status.metadata().get("claims");
        Self {
            code: code_name(status.code()),
            reason: info.map(|info| info.reason.clone()),
            domain: info.map(|info| info.domain.clone()),
            message: message_of(status),
            graph_request_id: metadata.get("graphRequestId").cloned(),
            client_request_id: metadata.get("clientRequestId").cloned(),
            retry_after_ms: retry_after
                .map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
            claims: claims.and_then(|claims| Some(claims.to_str().ok()?.to_owned())),
            // The gateway's own word has a reason; this is the clock here.
            advice: (info.is_none() && status.code() == Code::DeadlineExceeded)
                .then_some("give it more time by --timeout"),
            metadata,
        }
    }

    /// What is known here, and nobody has said.
    pub(super) fn local(code: &'static str, message: &str) -> Self {
        Self {
            code,
            message: message.to_owned(),
            ..Self::ok()
        }
    }

    /// Nobody has shown that they are a gateway, so the call was not sent.
    pub(super) fn unreachable(error: &Unreachable) -> Self {
        Self {
            code: "UNAVAILABLE",
            message: error.to_string(),
            advice: Some(if error.has_mend() {
                "mend the connection as the message says; the call was not sent"
            } else {
                "start the gateway, or name another one by --endpoint"
            }),
            ..Self::ok()
        }
    }

    /// What to do about a call that has certainly done nothing.
    pub(super) fn next_step(&self) -> String {
        if let Some(advice) = self.advice {
            return advice.to_owned();
        }
        match self.retry_after_ms {
            Some(ms) => {
                let wait = humantime::format_duration(Duration::from_millis(ms));
                format!("send the same call again in {wait} or later")
            }
            None if self.claims.is_some() => {
                "get a token from Entra with these claims (base64), then send the call with it"
                    .to_owned()
            }
            None => "mend the cause; the same call will fail again".to_owned(),
        }
    }

    /// As lines below the first one, but for the message.
    pub(super) fn lines(&self) -> Vec<(&'static str, String)> {
        let reason = match (&self.reason, &self.domain) {
            (Some(reason), Some(domain)) => Some(format!("{reason} ({domain})")),
            _ => None,
        };
        let lines = [
            ("reason", reason),
            (
                "message",
                Some(self.message.clone()).filter(|text| !text.is_empty()),
            ),
            ("Graph request-id", self.graph_request_id.clone()),
            ("client-request-id", self.client_request_id.clone()),
            ("attempts", self.metadata.get("attempts").cloned()),
            ("claims", self.claims.clone()),
        ];
        let lines = lines.into_iter();
        lines
            .filter_map(|(label, value)| Some((label, value?)))
            .collect()
    }
}

impl From<NoAnswer> for Said {
    fn from(error: NoAnswer) -> Self {
        match error {
            NoAnswer::Failed(status) => Self::of(&status),
            NoAnswer::Unreachable(error) => Self::unreachable(&error),
        }
    }
}

// === impl Failed ===

impl fmt::Display for Failed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, said, next } = self;
        f.write_str(what)?;
        write_line(f, "code", said.code)?;
        for (label, value) in said.lines() {
            write_line(f, label, &value)?;
        }
        write_line(f, "next", next)
    }
}

/// One line of a report, below its first. Whoever answered, the lines are ours, and so is
/// the terminal.
pub(super) fn write_line(f: &mut fmt::Formatter<'_>, label: &str, value: &str) -> fmt::Result {
    write!(f, "\n  {label:<18} {}", value.replace(scan::steers, " "))
}
