//! A medium in memory, with faults.

use std::{
    io,
    sync::{Arc, Condvar, Mutex},
};

use tokio::time::Instant;

use super::{PATIENCE, summary};
use crate::audit::sink::Sink;

/// Clones share the state. One of them is the writer's.
#[derive(Clone, Default)]
pub(super) struct Medium(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

pub(super) struct State {
    log: Vec<u8>,
    /// Where the batch began.
    start: usize,
    /// How much of the log is durable.
    durable: usize,
    /// Syncs that were tried.
    pub(super) syncs: u32,
    /// Bytes until it is full.
    pub(super) room: Option<usize>,
    pub(super) sync_fails: bool,
    /// Whether it can be cut back.
    pub(super) cuts: bool,
    next_write: NextWrite,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum NextWrite {
    Free,
    Held,
    /// The writer waits in it.
    Reached,
}

/// Holds the next write up.
pub(super) struct Held<'a>(&'a Medium);

// === impl Medium ===

impl Medium {
    pub(super) fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.state.lock().unwrap());
        self.0.changed.notify_all();
    }

    pub(super) fn wait_until(&self, wanted: impl Fn(&State) -> bool) {
        let state = self.0.state.lock().unwrap();
        let outcome = self
            .0
            .changed
            .wait_timeout_while(state, PATIENCE, |state| !wanted(state));
        let is_late = outcome.unwrap().1.timed_out();
        assert!(!is_late, "it never came");
    }

    pub(super) fn hold(&self) -> Held<'_> {
        self.set(|state| state.next_write = NextWrite::Held);
        Held(self)
    }

    pub(super) fn syncs(&self) -> u32 {
        self.0.state.lock().unwrap().syncs
    }

    pub(super) fn len(&self) -> usize {
        self.0.state.lock().unwrap().log.len()
    }

    /// The records in the log.
    pub(super) fn summary(&self) -> Vec<String> {
        let state = self.0.state.lock().unwrap();
        summary(str::from_utf8(&state.log).unwrap())
    }

    /// The records that a power failure would leave.
    pub(super) fn durable(&self) -> Vec<String> {
        let state = self.0.state.lock().unwrap();
        summary(str::from_utf8(&state.log[..state.durable]).unwrap())
    }

    /// Returns when the writer is gone.
    pub(super) fn wait_for_the_end(&self) {
        let end = Instant::now() + PATIENCE;
        while Arc::strong_count(&self.0) > 1 {
            assert!(Instant::now() < end, "the writer does not end");
            std::thread::yield_now();
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            log: Vec::new(),
            start: 0,
            durable: 0,
            syncs: 0,
            room: None,
            sync_fails: false,
            cuts: true,
            next_write: NextWrite::Free,
        }
    }
}

impl Sink for Medium {
    fn begin(&mut self) -> io::Result<bool> {
        let mut state = self.0.state.lock().unwrap();
        state.start = state.log.len();
        Ok(state.log.last().is_some_and(|last| *last != b'\n'))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.set(|state| {
            if state.next_write == NextWrite::Held {
                state.next_write = NextWrite::Reached;
            }
        });
        self.wait_until(|state| state.next_write == NextWrite::Free);
        let mut state = self.0.state.lock().unwrap();
        let room = state.room.unwrap_or(usize::MAX).min(bytes.len());
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if let Some(left) = &mut state.room {
            *left -= room;
        }
        state.log.extend_from_slice(&bytes[..room]);
        Ok(room)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut result = Ok(());
        self.set(|state| {
            state.syncs += 1;
            if state.sync_fails {
                result = Err(io::ErrorKind::Other.into());
            } else {
                state.durable = state.log.len();
            }
        });
        result
    }

    fn cut_back(&mut self) -> bool {
        let mut state = self.0.state.lock().unwrap();
        if state.cuts {
            let start = state.start;
            state.log.truncate(start);
        }
        state.cuts
    }
}

// === impl Held ===

impl Held<'_> {
    /// Returns once the writer is in the write that is held.
    pub(super) fn reached(&self) {
        self.0
            .wait_until(|state| state.next_write == NextWrite::Reached);
    }

    pub(super) fn release(self) {
        self.0.set(|state| state.next_write = NextWrite::Free);
    }
}
