//! A call's place among the calls in flight.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::OwnedSemaphorePermit;

use super::places::Places;
use crate::{deadline::Deadline, failure::Failure};

/// One call's place; it is not taken before [`Place::take`].
///
/// Given back with the last clone: an attempt that goes on without its caller keeps
/// it, so that callers who leave early cannot pile up attempts at a Graph that hangs.
#[derive(Debug, Clone)]
pub struct Place(Arc<Claim>);

#[derive(Debug)]
struct Claim {
    places: Places,
    taken: OnceLock<OwnedSemaphorePermit>,
    begun: AtomicBool,
}

// === impl Place ===

impl Place {
    /// One of `places`, not taken yet.
    pub fn new(places: Places) -> Self {
        Self(Arc::new(Claim {
            places,
            taken: OnceLock::new(),
            begun: AtomicBool::new(false),
        }))
    }

    /// Takes a place, or waits for one in order of arrival: until the deadline at the
    /// latest, and only while the gateway is not shutting down. The error says why there
    /// is none; nothing has been sent then.
    ///
    /// Cancel-safe: who stops waiting leaves nothing behind.
    pub async fn take(&self, deadline: Deadline) -> Result<(), Failure> {
        let place = self.0.places.take(deadline).await?;
        // A call has one place, however often it asks.
        self.0.taken.set(place).ok();
        Ok(())
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
