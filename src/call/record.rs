//! What the audit log says of one call.

use super::{
    Call,
    done::{Done, outcome},
    left::{CANCELLED, Left},
    progress::Progress,
};
use crate::{
    audit::{Act, Audit, Caller, Entry, Intent, Outcome},
    authorization::Authorization,
    command::TaskId,
    failure::{Failure, Kind},
    graph::Departed,
    telemetry,
};

/// Where each call is written down that may change something, and in which words.
#[derive(Debug, Clone)]
pub struct Auditing {
    /// The log.
    pub log: Audit,
    /// How a failure is told to a caller.
    pub describe: Describe,
}

/// Says how a failure is told to a caller: the gRPC code's name and the reason. The
/// gRPC side knows.
pub type Describe = fn(&Failure) -> (&'static str, String);

/// A recorded intent that gets its outcome however the work ends: with a result, or
/// dropped because its caller left before anything was sent.
#[derive(Debug)]
pub(super) struct Record {
    entry: Option<Entry>,
    progress: Progress,
    describe: Describe,
}

// === impl Auditing ===

impl Auditing {
    /// The intent stands in the log before anything leaves.
    pub(super) async fn record(&self, intent: impl FnOnce() -> Intent) -> Result<Entry, Failure> {
        self.log.intent(intent).await.map_err(|error| {
            Failure::new(
                Kind::AuditUnavailable,
                format!("{error}, and nothing is sent to Graph unrecorded"),
            )
            .because(error)
        })
    }
}

// === impl Call ===

impl<W> Call<W> {
    /// What the log says of the call before anything leaves. `given`: the caller's own
    /// token for Graph, if that is what Graph is shown.
    pub(super) fn intent(
        &self,
        act: Act,
        task_id: &TaskId,
        given: Option<&Authorization>,
    ) -> Intent {
        Intent {
            act,
            task_id: task_id.as_str().to_owned(),
            client_request_id: self.command.client_request_id.as_str().to_owned(),
            caller: Caller {
                peer: self.peer.text().to_owned(),
                names: self.caller.identities().map(ToString::to_string).collect(),
                allowed_by: self.caller.pattern().map(str::to_owned),
                claims: given
                    .and_then(|token| self.peer.last_claims.of(token))
                    .unwrap_or_default(),
            },
            trace_id: self.span.trace_id(),
        }
    }
}

// === impl Record ===

impl Record {
    pub(super) fn new(entry: Entry, progress: Progress, describe: Describe) -> Self {
        Self {
            entry: Some(entry),
            progress,
            describe,
        }
    }

    /// The work has come to this.
    pub(super) fn end(mut self, result: &Result<Done, Failure>) {
        let (code, reason) = match result {
            Ok(_) => ("OK", None),
            Err(failure) => {
                let (code, reason) = (self.describe)(failure);
                (code, Some(reason))
            }
        };
        // Who has left was told then: work goes on after that only where a POST whose
        // outcome was not known had left.
        let left = self.progress.left();
        let told = left.map(|left| self.told(left, Departed::Yes).0);
        let graph_request_id = match result {
            Ok(done) => done.graph_request_id.clone(),
            Err(failure) => failure
                .reply
                .as_ref()
                .and_then(|reply| reply.request_id.clone()),
        };
        self.settle(&Outcome {
            outcome: outcome(result),
            code: told.unwrap_or(code),
            reason,
            graph_request_id,
            attempts: self.progress.sent(),
        });
    }

    /// Code and reason that a caller who left was told, or would have been, when the
    /// request was so far.
    fn told(&self, left: Left, departed: Departed) -> (&'static str, Option<String>) {
        match left {
            Left::Cancelled => (CANCELLED, None),
            Left::Answered(interruption) => {
                let failure = interruption.failure(departed, self.progress.sent());
                let (code, reason) = (self.describe)(&failure);
                (code, Some(reason))
            }
        }
    }

    fn settle(&mut self, outcome: &Outcome) {
        if let Some(entry) = self.entry.take() {
            entry.outcome(outcome);
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // Without a reason to leave it is a panic, and the entry itself says so.
        let Some(left) = self.progress.left().filter(|_| self.entry.is_some()) else {
            return;
        };
        // The request has been dropped before this, so that it has left or never will.
        let departed = self.progress.departed();
        let (code, reason) = self.told(left, departed);
        let outcome = if departed == Departed::Never {
            telemetry::Outcome::NotStarted
        } else {
            telemetry::Outcome::Unknown
        };
        self.settle(&Outcome {
            outcome,
            code,
            reason,
            graph_request_id: None,
            attempts: self.progress.sent(),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use http_body::Body as _;
    use serde_json::Value;

    use super::{super::left::Interruption, *};
    use crate::{
        audit::{AuditOptions, Fsync, Medium, OnFailure},
        failure::Outcome::Unknown,
        telemetry::Metrics,
    };

    fn intent() -> Intent {
        Intent {
            act: Act::Execute,
            task_id: "213213".to_owned(),
            client_request_id: "a2f0b4a6-7d3c-4c5e-9a52-0f6f2f6d9d11".to_owned(),
            caller: Caller {
                peer: "127.0.0.1:4711".to_owned(),
                names: Vec::new(),
                allowed_by: None,
                claims: crate::authorization::Claims::default(),
            },
            trace_id: None,
        }
    }

    fn describe(failure: &Failure) -> (&'static str, String) {
        let is_unknown = failure.outcome() == Unknown;
        let code = if is_unknown { "UNKNOWN" } else { "UNAVAILABLE" };
        (code, format!("{:?}", failure.kind))
    }

    /// The outcome that stands in the log once `work` has done its part with the record, as
    /// `outcome code reason`.
    async fn recorded(work: impl FnOnce(Record, &Progress)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let audit = Audit::open(AuditOptions {
            medium: Medium::File(path.clone()),
            fsync: Fsync::Always,
            on_failure: OnFailure::Refuse,
            metrics: Metrics::disabled(),
        })
        .unwrap();
        let progress = Progress::default();
        let entry = audit.intent(intent).await.unwrap();
        work(Record::new(entry, progress.clone(), describe), &progress);
        assert!(audit.flush(Duration::from_secs(60)).await);
        let log = fs::read_to_string(path).unwrap();
        let outcome: Value = serde_json::from_str(log.lines().nth(1).unwrap()).unwrap();
        let text = |key: &str| outcome[key].as_str().unwrap_or("-").to_owned();
        ["outcome", "code", "reason"].map(text).join(" ")
    }

    #[tokio::test]
    async fn the_code_is_what_the_caller_was_told_whatever_came_later() {
        let refused = Err(Failure::new(Kind::Throttled, ""));
        for (left, want) in [
            (None, "NOT_STARTED UNAVAILABLE Throttled"),
            (Some(Left::Cancelled), "NOT_STARTED CANCELLED Throttled"),
            (
                Some(Left::Answered(Interruption::GatewayEnds)),
                "NOT_STARTED UNKNOWN Throttled",
            ),
        ] {
            let outcome = recorded(|record, progress| {
                progress.begin().body().is_end_stream();
                if let Some(left) = left {
                    progress.leave(left);
                }
                progress.end(false);
                record.end(&refused);
            })
            .await;
            assert_eq!(outcome, want, "{left:?}");
        }
    }

    #[tokio::test]
    async fn work_that_is_dropped_says_how_far_it_was() {
        let ends = Left::Answered(Interruption::GatewayEnds);
        for (departs, left, want) in [
            (false, Some(Left::Cancelled), "NOT_STARTED CANCELLED -"),
            (true, Some(Left::Cancelled), "UNKNOWN CANCELLED -"),
            (false, Some(ends), "NOT_STARTED UNAVAILABLE GatewayDraining"),
            (true, Some(ends), "UNKNOWN UNKNOWN ResponseLost"),
            // It has panicked.
            (false, None, "UNKNOWN INTERNAL GATEWAY_FAULT"),
        ] {
            let outcome = recorded(|record, progress| {
                let body = progress.begin().body();
                if departs {
                    body.is_end_stream();
                }
                drop(body);
                if let Some(left) = left {
                    progress.leave(left);
                }
                drop(record);
            })
            .await;
            assert_eq!(outcome, want, "{departs} {left:?}");
        }
    }
}
