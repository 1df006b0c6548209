//! What waits for the writer, and when it is woken.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::Thread,
};

use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, oneshot},
    task::yield_now,
};

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
    /// Behind the items: it rings when they are closed.
    bell: Closing,
}

/// Wakes the writer.
#[derive(Debug)]
struct Bell {
    writer: Thread,
    /// Whether it is going to ring.
    is_pulled: AtomicBool,
}

/// Rings when it is dropped.
#[derive(Debug)]
struct Closing(Arc<Bell>);

// === impl Queue ===

impl Queue {
    /// What goes into `items` wakes the `writer`, which has the other end.
    pub(super) fn new(items: mpsc::Sender<Item>, writer: Thread) -> Self {
        let bell = Closing(Arc::new(Bell {
            writer,
            is_pulled: AtomicBool::new(false),
        }));
        Self(Arc::new(Inlet { items, bell }))
    }

    /// Never blocks. A writer that is gone, which only a panic does, drops the item.
    pub(super) fn send(&self, item: Item) {
        if self.0.items.send(item).is_ok() {
            self.0.bell.0.pull();
        }
    }
}

// === impl Bell ===

impl Bell {
    /// Rings once the calls that are ready to run have run. To wake a thread for each
    /// record costs more than to write it; so that those which come together go out
    /// together.
    fn pull(self: &Arc<Self>) {
        if self.is_pulled.swap(true, Ordering::AcqRel) {
            return;
        }
        // A task that a runtime drops rings, too.
        let closing = Closing(Arc::clone(self));
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                yield_now().await;
                drop(closing);
            });
        }
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        // From here on a new item pulls again; the writer sees those before.
        self.0.is_pulled.swap(false, Ordering::AcqRel);
        self.0.writer.unpark();
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
