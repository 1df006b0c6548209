//! Who was asked to wait by Graph is not let through to it until then.
//!
//! | file | does |
//! |---|---|
//! | `gate` | one credential: closed, then opened slowly |
//! | `table` | all of them, bounded |
//!
//! # Whose gate
//!
//! Graph throttles an application within a tenant, so these two, as the token names
//! them, share a gate; a token that does not name both has one of its own. The claims
//! are not verified. What a forged token can do:
//!
//! - Name another application to pass its own closed gate: Graph refuses the token.
//! - Name another application whose gate is closed: it is refused, as that one is. In
//!   the half minute of a slow opening it can take places from that application, which
//!   then waits longer.
//! - Close another application's gate: only if Graph answers the forged token by 429 or
//!   503 with `Retry-After`. Graph answers it by 401, which closes nothing, unless the
//!   service as a whole or the gateway's address is to wait; then the named application
//!   most likely is too, and waits an hour at the most.
//!
//! Who must rule out the last two lets only known callers reach the gateway.

mod gate;
mod table;

#[cfg(test)]
mod crowd_tests;
#[cfg(test)]
mod tests;

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use self::table::{Key, Table};
use crate::{authorization::Authorization, telemetry::Metrics};

/// The most gates at a time: about a megabyte.
const MAX_GATES: usize = 10_000;
/// The longest that a gate is closed by one answer; the same hour up to which a
/// `Retry-After` is believed.
const MAX_CLOSED: Duration = Duration::from_secs(3600);

/// The gates of all credentials. Clones share them.
#[derive(Debug, Clone)]
pub struct Gates {
    shared: Arc<Shared>,
}

/// Whether a call may go to Graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a call that is not let through must not go to Graph"]
pub enum Passage {
    /// Go now.
    Open,
    /// The gate was opened a short time ago and lets calls through one by one: wait
    /// this long, at most a second, then ask [`Gates::refuse`]; to enter again would take
    /// another place.
    After(Duration),
    /// Refused. Who comes back after this time, in whole milliseconds, finds the gate
    /// open, unless Graph asks to wait again, and comes at another moment than others;
    /// only a crowd of thousands shares moments.
    Closed(Duration),
}

#[derive(Debug)]
struct Shared {
    table: Mutex<Table>,
    /// How many gates the table holds, to be read without the lock.
    held: AtomicUsize,
    hasher: RandomState,
    /// Until when at least one gate is closed.
    closed_until: watch::Sender<Option<Instant>>,
    metrics: Metrics,
    /// Whether gates are closed at all.
    enabled: bool,
}

/// What tells a credential from others.
#[derive(Hash)]
enum Identity<'a> {
    Application { app: &'a str, tenant: &'a str },
    Token(&'a str),
}

// === impl Gates ===

impl Gates {
    /// No gate is closed yet; none ever is unless `enabled`. How many are is measured
    /// from now on.
    pub fn new(enabled: bool, metrics: Metrics) -> Self {
        let shared = Arc::new(Shared {
            table: Mutex::new(Table::new(MAX_GATES)),
            held: AtomicUsize::new(0),
            hasher: RandomState::new(),
            closed_until: watch::Sender::new(None),
            metrics,
            enabled,
        });
        // The metrics outlive the gates, and must not keep them.
        let measured = Arc::downgrade(&shared);
        shared.metrics.observe_closed_gates(move || {
            measured
                .upgrade()
                .map_or(0, |shared| shared.table().closed(Instant::now()))
        });
        Self { shared }
    }

    /// May a call with this credential go to Graph now? Costs one atomic load, and
    /// does not look at the token, unless Graph has asked somebody to wait lately.
    pub fn enter(&self, authorization: &Authorization, now: Instant) -> Passage {
        if self.shared.held.load(Ordering::Acquire) == 0 {
            return Passage::Open;
        }
        let key = self.shared.key(authorization);
        let passage = {
            let mut table = self.shared.table();
            let passage = table.enter(key, now);
            self.shared.held.store(table.len(), Ordering::Release);
            passage
        };
        if matches!(passage, Passage::Closed(_)) {
            self.shared.metrics.call_throttled();
        }
        passage
    }

    /// How long a call has to wait that was let through [`Passage::After`] a while, if
    /// the gate was closed anew in that while.
    pub fn refuse(&self, authorization: &Authorization, now: Instant) -> Option<Duration> {
        let key = self.shared.key(authorization);
        let wait = self.shared.table().refuse(key, now);
        if wait.is_some() {
            self.shared.metrics.call_throttled();
        }
        wait
    }

    /// Graph asked this credential to wait: `Retry-After` on 429 or 503. At most an
    /// hour counts, no time at all changes nothing, and a gate that is closed for
    /// longer stays so.
    pub fn close(&self, authorization: &Authorization, now: Instant, retry_after: Duration) {
        if retry_after.is_zero() || !self.shared.enabled {
            return;
        }
        let opens_at = now + retry_after.min(MAX_CLOSED);
        let key = self.shared.key(authorization);
        let was_open = {
            let mut table = self.shared.table();
            let was_open = table.close(key, opens_at, now);
            self.shared.held.store(table.len(), Ordering::Release);
            was_open
        };
        self.shared.closed_until.send_if_modified(|until| {
            let later = until.is_none_or(|until| until < opens_at);
            if later {
                *until = Some(opens_at);
            }
            later
        });
        if was_open {
            tracing::warn!(
                retry_after = %humantime::format_duration(opens_at - now),
                "Graph throttles a credential: its calls are refused until then"
            );
        }
    }

    /// Until when at least one gate is closed, now and after each change: a moment that
    /// only moves forward. Nothing while none has ever been closed.
    ///
    /// The gate that opens last never gives way to others, so this is also right when
    /// there are too many.
    pub fn closed_until(&self) -> watch::Receiver<Option<Instant>> {
        self.shared.closed_until.subscribe()
    }
}

// === impl Shared ===

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        // Whatever a panic may leave behind is at worst a gate that is forgotten.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, authorization: &Authorization) -> Key {
        let claims = authorization.claims();
        let application = claims.as_ref().and_then(|claims| {
            Some(Identity::Application {
                app: claims.app.as_deref()?,
                tenant: claims.tenant.as_deref()?,
            })
        });
        let identity = application.unwrap_or(Identity::Token(authorization.token()));
        self.hasher.hash_one(identity)
    }
}
