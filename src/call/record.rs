//! What the audit log says of one call.

use super::{
    done::{Done, outcome},
    left::{CANCELLED, Left},
    progress::Progress,
};
use crate::{
    audit::{Entry, Outcome},
    failure::Failure,
    graph::Departed,
    telemetry,
};

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
        let told = self.progress.left().map(|left| self.told(left).0);
        let graph_request_id = match result {
            Ok(done) => done.graph_request_id.clone(),
            Err(failure) => failure
                .reply
                .as_ref()
                .and_then(|reply| reply.request_id.clone()),
        };
        self.settle(Outcome {
            outcome: outcome(result),
            code: told.unwrap_or(code),
            reason,
            graph_request_id,
            attempts: self.progress.sent(),
        });
    }

    /// Code and reason that a caller who left was told, or would have been.
    fn told(&self, left: Left) -> (&'static str, Option<String>) {
        match left {
            Left::Cancelled => (CANCELLED, None),
            Left::Answered(interruption) => {
                let sent = self.progress.sent();
                let failure = interruption.failure(self.progress.departed(), sent);
                let (code, reason) = (self.describe)(&failure);
                (code, Some(reason))
            }
        }
    }

    fn settle(&mut self, outcome: Outcome) {
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
        let (code, reason) = self.told(left);
        // The request has been dropped before this, so that it has left or never will.
        let outcome = if self.progress.departed() == Departed::Never {
            telemetry::Outcome::NotStarted
        } else {
            telemetry::Outcome::Unknown
        };
        self.settle(Outcome {
            outcome,
            code,
            reason,
            graph_request_id: None,
            attempts: self.progress.sent(),
        });
    }
}
