//! The gates of all credentials, a bounded number of them.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Bound,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Passage,
    gate::{Gate, RAMP},
};

/// A credential, as the keyed hash of what tells it from others. That two of them
/// meet is not to be expected, and would only let one wait for the other.
pub(super) type Key = u64;

/// Every gate that is closed or was opened a short time ago.
#[derive(Debug)]
pub(super) struct Table {
    capacity: usize,
    gates: HashMap<Key, Gate>,
    /// The same gates, the first to open first: also the order in which they are
    /// forgotten.
    by_opening: BTreeSet<(Instant, Key)>,
}

impl Table {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            gates: HashMap::new(),
            by_opening: BTreeSet::new(),
        }
    }

    /// How many gates are held.
    pub(super) fn len(&self) -> usize {
        self.gates.len()
    }

    /// How many gates are closed.
    pub(super) fn closed(&self, now: Instant) -> usize {
        let after_now = (Bound::Excluded((now, Key::MAX)), Bound::Unbounded);
        self.by_opening.range(after_now).count()
    }

    /// May a call with this credential go?
    pub(super) fn enter(&mut self, key: Key, now: Instant) -> Passage {
        self.forget(now);
        self.gates
            .get_mut(&key)
            .map_or(Passage::Open, |gate| gate.enter(now))
    }

    /// While the credential's gate is closed, how long a refused call waits.
    pub(super) fn refuse(&mut self, key: Key, now: Instant) -> Option<Duration> {
        self.gates.get_mut(&key)?.refuse(now)
    }

    /// Closes a credential's gate until `opens_at` at least, and tells whether it was
    /// open. When there are too many gates, the one that opens first gives way.
    pub(super) fn close(&mut self, key: Key, opens_at: Instant, now: Instant) -> bool {
        self.forget(now);
        let known = self.gates.get(&key).copied();
        let mut gate = known.unwrap_or_else(|| Gate::new(opens_at));
        if known.is_some() {
            self.by_opening.remove(&(gate.opens_at(), key));
            gate.close(opens_at, now);
        }
        self.by_opening.insert((gate.opens_at(), key));
        self.gates.insert(key, gate);
        if self.gates.len() > self.capacity
            && let Some((_, first)) = self.by_opening.pop_first()
        {
            self.gates.remove(&first);
        }
        known.is_none_or(|known| !known.is_closed(now))
    }

    /// Removes the gates that have been open for long enough.
    fn forget(&mut self, now: Instant) {
        while let Some(&(opens_at, key)) = self.by_opening.first()
            && now.saturating_duration_since(opens_at) >= RAMP
        {
            self.by_opening.pop_first();
            self.gates.remove(&key);
        }
    }
}
