//! What waits for the writer, and when it is woken.

use std::{
    sync::{Arc, mpsc},
    task::{Wake, Waker},
    thread::Thread,
};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{Unrecorded, entry::Entry, record::Event};
use crate::bell::Bell;

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
    pub(super) text: Vec<u8>,
    pub(super) event: Event,
    /// Whether it ends an intent that stands in the log, and so must not be given up.
    pub(super) owed: bool,
}

/// The end of the queue into which records go. Clones are the same end; with the last
/// one the queue is closed.
#[derive(Debug, Clone)]
pub(super) struct Queue(Arc<Inlet>);

#[derive(Debug)]
struct Inlet {
    items: mpsc::Sender<Item>,
    /// Wakes the writer. Behind the items: it rings when they are closed.
    bell: Bell,
}

/// Wakes a thread that is parked.
#[derive(Debug)]
struct Parked(Thread);

// === impl Queue ===

impl Queue {
    /// What goes into `items` wakes the thread that has the other end, and parks.
    pub(super) fn new(items: mpsc::Sender<Item>, writer: Thread) -> Self {
        let bell = Bell::new(Waker::from(Arc::new(Parked(writer))));
        Self(Arc::new(Inlet { items, bell }))
    }

    /// Never blocks. A writer that is gone, which only a panic does, drops the item.
    pub(super) fn send(&self, item: Item) {
        if self.0.items.send(item).is_ok() {
            self.0.bell.pull();
        }
    }
}

// === impl Parked ===

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
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
