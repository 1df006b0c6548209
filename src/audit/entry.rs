//! A recorded intent, and the promise that an outcome follows.

use std::time::SystemTime;

use tokio::time::Instant;

use super::{
    queue::{Item, Line, Queue},
    record::{Event, Intent, Outcome, Subject},
};
use crate::telemetry;

/// One recorded intent that waits for its outcome.
///
/// Dropped without one, which only a panic or a bug does, it records `UNKNOWN`: an
/// intent alone in the log marks a crash of the process and nothing else.
#[must_use = "its outcome is to be recorded"]
#[derive(Debug)]
pub struct Entry(Option<Open>);

#[derive(Debug)]
struct Open {
    subject: Subject,
    begun: Instant,
    stage: Stage,
    /// Whether the intent stands in the log, so that an outcome must follow.
    owed: bool,
    queue: Queue,
}

/// How far the call got; what a drop means depends on it.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// Whoever waited for the intent is not there any more: nothing was sent.
    Recording,
    /// The call has it, and its request may have left.
    Claimed,
}

impl Entry {
    /// The entry of a log that is off.
    pub(super) const fn silent() -> Self {
        Self(None)
    }

    /// An entry whose intent is on its way to the log, and its line. Until it is
    /// [claimed](Self::claimed), dropping it says that nothing was sent.
    pub(super) fn new(intent: &Intent, queue: Queue) -> (Self, Line) {
        // From this thread's generator: the kernel's costs a system call.
        let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
        let subject = Subject::new(id, intent);
        let line = Line {
            text: subject.intent_line(SystemTime::now()),
            event: Event::Intent,
            owed: false,
        };
        let open = Open {
            subject,
            begun: Instant::now(),
            stage: Stage::Recording,
            owed: true,
            queue,
        };
        (Self(Some(open)), line)
    }

    /// The caller has it, and its request may leave.
    pub(super) fn claimed(mut self) -> Self {
        if let Some(open) = &mut self.0 {
            open.stage = Stage::Claimed;
        }
        self
    }

    /// The call goes on although its intent does not stand in the log.
    pub(super) fn unrecorded(mut self) -> Self {
        if let Some(open) = &mut self.0 {
            open.owed = false;
        }
        self
    }

    /// The call is refused, and its intent does not stand in the log: there is nothing
    /// to add.
    pub(super) fn forget(mut self) {
        self.0 = None;
    }

    /// The call is refused, but its intent stands in the log.
    pub(super) fn refuse(mut self) {
        if let Some(open) = self.0.take() {
            let outcome = telemetry::Outcome::NotStarted;
            open.end(&bare(outcome, "UNAVAILABLE", "AUDIT_UNAVAILABLE"));
        }
    }

    /// Records what became of the call. It never blocks; the line stands in the log
    /// behind the intent.
    pub fn outcome(mut self, outcome: &Outcome) {
        if let Some(open) = self.0.take() {
            open.end(outcome);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            let outcome = open.stage.outcome();
            open.end(&outcome);
        }
    }
}

impl Stage {
    fn outcome(self) -> Outcome {
        use telemetry::Outcome::{NotStarted, Unknown};
        match self {
            Self::Recording => bare(NotStarted, "CANCELLED", "ENDED_BEFORE_SEND"),
            Self::Claimed => bare(Unknown, "INTERNAL", "GATEWAY_FAULT"),
        }
    }
}

impl Open {
    fn end(self, outcome: &Outcome) {
        let elapsed = self.begun.elapsed();
        let text = self
            .subject
            .outcome_line(SystemTime::now(), outcome, elapsed);
        let line = Line {
            text,
            event: Event::Outcome,
            owed: self.owed,
        };
        self.queue.send(Item::Outcome(line));
    }
}

/// An outcome of which nothing is known but the word.
fn bare(outcome: telemetry::Outcome, code: &'static str, reason: &str) -> Outcome {
    Outcome {
        outcome,
        code,
        reason: Some(reason.to_owned()),
        graph_request_id: None,
        attempts: 0,
    }
}
