//! Room for connections, and who gives way when there is none left.
//!
//! A connection costs the same whether it has calls or not. So that idle ones, which
//! anybody can open, keep nobody out, the one that has been idle longest gives way as soon
//! as another peer waits for its slot. A connection with a call never does.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::wire::Activity;

/// Whoever has had no call for less than this does not give way: a client has to be able
/// to connect and then call.
const MIN_IDLE: Duration = Duration::from_secs(1);
/// How long one that was asked to give way has until another one is asked, too.
const PATIENCE: Duration = Duration::from_millis(100);

/// The slots of a listener. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    free: Arc<Semaphore>,
    taken: Arc<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    occupants: Mutex<HashMap<u64, Occupant>>,
    next: AtomicU64,
}

#[derive(Debug)]
struct Occupant {
    activity: Arc<Activity>,
    leave: CancellationToken,
}

/// A connection's slot, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    id: u64,
    taken: Arc<Taken>,
    activity: Arc<Activity>,
    leave: CancellationToken,
    _permit: Option<OwnedSemaphorePermit>,
}

// === impl Slots ===

impl Slots {
    /// So many connections at a time.
    pub(super) fn new(count: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(count)),
            taken: Arc::default(),
        }
    }

    /// A slot for a connection that has come; waits until there is one, and asks idle
    /// connections to give way meanwhile. Nothing only once the process ends. Cancel-safe.
    pub(super) async fn take(&self) -> Option<Slot> {
        loop {
            let free = Arc::clone(&self.free);
            if let Ok(permit) = Arc::clone(&free).try_acquire_owned() {
                return Some(self.taken.occupy(Some(permit)));
            }
            self.taken.ask_the_longest_idle(Instant::now());
            if let Ok(permit) = timeout(PATIENCE, free.acquire_owned()).await {
                return permit.ok().map(|permit| self.taken.occupy(Some(permit)));
            }
        }
    }

    /// A slot although there may be none left.
    pub(super) fn beyond(&self) -> Slot {
        self.taken.occupy(None)
    }
}

// === impl Taken ===

impl Taken {
    fn occupy(self: &Arc<Self>, permit: Option<OwnedSemaphorePermit>) -> Slot {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (activity, leave) = (Activity::new(), CancellationToken::new());
        let occupant = Occupant {
            activity: Arc::clone(&activity),
            leave: leave.clone(),
        };
        self.occupants().insert(id, occupant);
        Slot {
            id,
            taken: Arc::clone(self),
            activity,
            leave,
            _permit: permit,
        }
    }

    /// Looks at each; an accepted connection costs more than that.
    fn ask_the_longest_idle(&self, now: Instant) {
        let mut occupants = self.occupants();
        let idle = occupants.iter().filter_map(|(id, occupant)| {
            let since = occupant.activity.idle_since()?;
            (since + MIN_IDLE <= now).then_some((since, *id))
        });
        // Once asked, it is not asked again.
        if let Some((_, id)) = idle.min()
            && let Some(occupant) = occupants.remove(&id)
        {
            occupant.leave.cancel();
        }
    }

    fn occupants(&self) -> MutexGuard<'_, HashMap<u64, Occupant>> {
        self.occupants
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Slot ===

impl Slot {
    /// What the connection is doing.
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Cancelled when the connection has to give way.
    pub(super) fn leave(&self) -> &CancellationToken {
        &self.leave
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.taken.occupants().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::time::advance;

    use super::*;

    async fn take(slots: &Slots) -> Slot {
        slots.take().await.expect("a slot")
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_idle_gives_way_and_who_has_a_call_does_not() {
        let slots = Slots::new(3);
        let busy = take(&slots).await;
        let call = busy.activity().open_stream();
        advance(MIN_IDLE).await;
        let first = take(&slots).await;
        advance(MIN_IDLE).await;
        let second = take(&slots).await;
        advance(MIN_IDLE).await;

        let mut waiting = Box::pin(slots.take());
        assert!(waiting.as_mut().now_or_never().is_none());
        let asked = [&busy, &first, &second].map(|slot| slot.leave().is_cancelled());
        assert_eq!(asked, [false, true, false]);
        drop(first);
        let third = waiting.await.expect("a slot");

        // The second does not leave when it is asked; then there is nobody to ask.
        let mut waiting = Box::pin(slots.take());
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(second.leave().is_cancelled());
        assert!(!third.leave().is_cancelled(), "it has come just now");
        advance(MIN_IDLE + PATIENCE).await;
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(third.leave().is_cancelled());
        assert!(!busy.leave().is_cancelled());
        drop(call);
        advance(MIN_IDLE + PATIENCE).await;
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(busy.leave().is_cancelled(), "its call has ended");
        drop(busy);
        assert!(waiting.await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_asked_while_there_is_room() {
        let slots = Slots::new(2);
        let first = take(&slots).await;
        advance(10 * MIN_IDLE).await;
        let second = take(&slots).await;
        assert!(!first.leave().is_cancelled());
        drop(first);
        drop(second);
        assert!(slots.taken.occupants().is_empty());
    }
}
