//! From serving to gone: the drain, which always ends.
//!
//! ```text
//! NOT_SERVING -> delay -> GOAWAY, no new calls -> calls in flight and attempts
//! without a caller finish -> connections close -> whatever is left is answered
//! without an outcome, then cut
//! ```

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

use super::health::Health;

/// Once all calls are answered, the last bytes have this long to leave, and peers that
/// have connected have this long to say what for.
const FLUSH: Duration = Duration::from_secs(1);
/// The same where nobody wants to wait any more.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// What every part of the server knows of its end. Clones are the same lifecycle.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    closing: CancellationToken,
    ending: CancellationToken,
    cut: CancellationToken,
    calls: TaskTracker,
    connections: TaskTracker,
}

/// The wish to stop.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Drain, then stop.
    pub graceful: CancellationToken,
    /// Stop at once.
    pub immediate: CancellationToken,
}

/// How long the parts of a drain take.
#[derive(Debug, Clone, Copy)]
pub struct DrainTimes {
    /// From `NOT_SERVING` to GOAWAY: load balancers notice in this time.
    pub delay: Duration,
    /// From GOAWAY to the hard end.
    pub timeout: Duration,
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// The calls, and the attempts without a caller, that had not ended in time.
    pub cut_short: usize,
}

// === impl Lifecycle ===

impl Lifecycle {
    /// The tasks and calls that the drain waits for.
    pub fn calls(&self) -> &TaskTracker {
        &self.calls
    }

    /// Takes a call in, or nothing when the server takes no calls any more.
    #[must_use = "the drain waits for the call only while the token lives"]
    pub(super) fn admit(&self) -> Option<TaskTrackerToken> {
        // The token first: a call that still passes the check below is one that the
        // drain waits for.
        let token = self.calls.token();
        (!self.closing.is_cancelled()).then_some(token)
    }

    /// Resolves when connections must say GOAWAY.
    pub fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// Resolves when calls must be answered with what is known at that moment: a
    /// connection that is cut instead looks like UNAVAILABLE to the caller's library,
    /// which may send the call again.
    pub fn ending(&self) -> &CancellationToken {
        &self.ending
    }

    /// Resolves when connections must end at once.
    pub(super) fn cut(&self) -> &CancellationToken {
        &self.cut
    }

    pub(super) fn connections(&self) -> &TaskTracker {
        &self.connections
    }

    /// Waits for the wish to stop, then drains. Afterwards no call is being
    /// handled and no connection is open.
    pub async fn drain(&self, health: &Health, times: DrainTimes, shutdown: Shutdown) -> Drained {
        let Shutdown {
            graceful,
            immediate,
        } = shutdown;
        tokio::select! {
            () = graceful.cancelled() => {}
            () = immediate.cancelled() => {}
        }
        tracing::info!(
            delay = %humantime::format_duration(times.delay),
            timeout = %humantime::format_duration(times.timeout),
            "draining: not serving any more"
        );
        health.stop_serving();
        tokio::select! {
            () = sleep(times.delay) => {}
            () = immediate.cancelled() => {}
        }
        let hard_end = Instant::now() + times.timeout;
        self.closing.cancel();
        self.calls.close();
        self.connections.close();
        // Counted only where the wait was cut: a call that comes late holds a token for
        // the moment in which it is refused, and has an outcome.
        let cut_short = tokio::select! {
            biased;
            () = self.calls.wait() => 0,
            () = sleep_until(hard_end) => self.calls.len(),
            () = immediate.cancelled() => self.calls.len(),
        };
        if cut_short == 0 {
            tokio::select! {
                () = self.connections.wait() => {}
                () = sleep(FLUSH) => {}
                () = immediate.cancelled() => {}
            }
            tracing::info!("drained");
        } else {
            tracing::error!(
                calls = cut_short,
                "drain cut short: these calls have no known outcome"
            );
            self.ending.cancel();
            tokio::select! {
                () = self.connections.wait() => {}
                () = sleep(LAST_WORDS) => {}
            }
        }
        self.cut.cancel();
        self.connections.wait().await;
        // Those without a connection: each still writes its last record.
        tokio::select! {
            () = self.calls.wait() => {}
            () = sleep(LAST_WORDS) => {}
        }
        Drained { cut_short }
    }
}
