//! What waits for the writer.

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{Unrecorded, entry::Entry, record::Event};

/// What the writer is asked for, in the order of the log.
#[derive(Debug)]
pub(super) enum Item {
    Intent(Box<Waiting>),
    Outcome(Line),
    /// To be answered when everything before it is durable, with whether it is.
    Flush(oneshot::Sender<bool>),
}

/// An intent that somebody waits for.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) line: Line,
    pub(super) entry: Entry,
    pub(super) answer: oneshot::Sender<Result<Entry, Unrecorded>>,
    /// Bounds how many intents wait, those included whose callers have left.
    pub(super) _place: OwnedSemaphorePermit,
}

/// A record as it is written.
#[derive(Debug)]
pub(super) struct Line {
    /// With its newline.
    pub(super) text: String,
    pub(super) event: Event,
    /// Whether it ends an intent that stands in the log, and so must not be given up.
    pub(super) owed: bool,
}

// === impl Waiting ===

impl Waiting {
    /// Whether nobody waits any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    /// Lets the call go on. Where its caller has just left, the entry comes back to be
    /// dropped here, and so to say that nothing was sent.
    pub(super) fn accept(self, entry: impl FnOnce(Entry) -> Entry) {
        drop(self.answer.send(Ok(entry(self.entry))));
    }
}
