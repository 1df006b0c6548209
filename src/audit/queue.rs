//! What waits for the writer, and when it is woken.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    task::{Wake, Waker},
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
    bell: Ring,
}

/// Wakes the writer.
#[derive(Debug)]
struct Bell {
    writer: Waker,
    /// Whether it is going to ring.
    is_pulled: AtomicBool,
}

/// Rings when it is dropped: with the task that is to ring, or with the queue.
#[derive(Debug)]
struct Ring(Arc<Bell>);

/// Wakes a thread that is parked.
#[derive(Debug)]
struct Parked(Thread);

// === impl Queue ===

impl Queue {
    /// What goes into `items` wakes the thread that has the other end, and parks.
    pub(super) fn new(items: mpsc::Sender<Item>, writer: Thread) -> Self {
        Self::waking(items, Waker::from(Arc::new(Parked(writer))))
    }

    fn waking(items: mpsc::Sender<Item>, writer: Waker) -> Self {
        let bell = Ring(Arc::new(Bell {
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
    /// Rings once the calls that are ready to run have run, so that records which come
    /// together go out together: to wake a thread for each costs more than to write it.
    fn pull(self: &Arc<Self>) {
        if self.is_pulled.swap(true, Ordering::AcqRel) {
            return;
        }
        // A task that a runtime drops rings, too.
        let ring = Ring(Arc::clone(self));
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                yield_now().await;
                drop(ring);
            });
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // From here on a new item pulls again; the writer sees those before.
        self.0.is_pulled.swap(false, Ordering::AcqRel);
        self.0.writer.wake_by_ref();
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use futures_util::future::join_all;

    use super::*;

    /// How often it has been woken.
    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Counter {
        fn count(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[tokio::test]
    async fn calls_that_are_ready_together_wake_the_writer_once() {
        let counter = Arc::new(Counter::default());
        let (inlet, items) = mpsc::channel();
        let queue = Queue::waking(inlet, Waker::from(Arc::clone(&counter)));
        for rings in 1..=3 {
            let calls = (0..50).map(|_| {
                let queue = queue.clone();
                tokio::spawn(async move { queue.send(Item::Flush(oneshot::channel().0)) })
            });
            let calls = join_all(calls).await;
            assert!(calls.iter().all(Result::is_ok));
            while counter.count() < rings {
                yield_now().await;
            }
            assert_eq!((counter.count(), items.try_iter().count()), (rings, 50));
        }
        drop(queue);
        assert_eq!(counter.count(), 4, "its end wakes the writer, too");
    }

    #[test]
    fn what_is_sent_outside_of_a_runtime_wakes_the_writer_at_once() {
        let counter = Arc::new(Counter::default());
        let (inlet, _items) = mpsc::channel();
        let queue = Queue::waking(inlet, Waker::from(Arc::clone(&counter)));
        queue.send(Item::Flush(oneshot::channel().0));
        assert_eq!(counter.count(), 1);
    }
}
