//! A call's place among the calls in flight.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::OwnedSemaphorePermit;

/// Given back with the last clone: an attempt that goes on without its caller keeps
/// it, so that callers who leave early cannot pile up attempts at a Graph that hangs.
#[derive(Debug, Clone)]
pub struct Place(Arc<Taken>);

#[derive(Debug)]
struct Taken {
    begun: AtomicBool,
    _permit: OwnedSemaphorePermit,
}

// === impl Place ===

impl Place {
    /// The place that `permit` stands for.
    pub fn new(permit: OwnedSemaphorePermit) -> Self {
        Self(Arc::new(Taken {
            begun: AtomicBool::new(false),
            _permit: permit,
        }))
    }

    /// From now on something may be sent to Graph, and the call answers by its own
    /// deadline.
    pub fn begin(&self) {
        self.0.begun.store(true, Ordering::Release);
    }

    /// Whether something may have been sent to Graph for this call. Before that, it
    /// has certainly not been started.
    pub fn has_begun(&self) -> bool {
        self.0.begun.load(Ordering::Acquire)
    }
}
