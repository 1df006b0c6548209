//! One deed for what happens together: calls come in bursts, and to wake a thread or to write
//! a line for each of them costs more than the work itself.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
};

use tokio::{runtime::Handle, task::yield_now};

/// Wakes once for all who have pulled it, and when it is dropped.
#[derive(Debug)]
pub struct Bell(Arc<Rope>);

#[derive(Debug)]
struct Rope {
    woken: Waker,
    /// Whether it is going to ring.
    is_pulled: AtomicBool,
}

// === impl Bell ===

impl Bell {
    /// A bell that wakes `woken`.
    pub fn new(woken: Waker) -> Self {
        Self(Arc::new(Rope {
            woken,
            is_pulled: AtomicBool::new(false),
        }))
    }

    /// Rings once the tasks that are ready here have run; outside of a runtime at once.
    pub fn pull(&self) {
        let Ok(runtime) = Handle::try_current() else {
            self.0.woken.wake_by_ref();
            return;
        };
        if self.0.is_pulled.swap(true, Ordering::AcqRel) {
            return;
        }
        // A task that a runtime drops rings, too.
        let ringing = Self(Arc::clone(&self.0));
        runtime.spawn(async move {
            yield_now().await;
            drop(ringing);
        });
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        // In this order: whoever pulls before this wakes with it, and who comes later rings
        // again.
        self.0.is_pulled.swap(false, Ordering::AcqRel);
        self.0.woken.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicUsize, task::Wake};

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
    async fn tasks_that_are_ready_together_wake_once() {
        let counter = Arc::new(Counter::default());
        let bell = Arc::new(Bell::new(Waker::from(Arc::clone(&counter))));
        for rings in 1..=3 {
            let pulls = (0..50).map(|_| {
                let bell = Arc::clone(&bell);
                tokio::spawn(async move { bell.pull() })
            });
            let pulls = join_all(pulls).await;
            assert!(pulls.iter().all(Result::is_ok));
            while counter.count() < rings {
                yield_now().await;
            }
            assert_eq!(counter.count(), rings);
        }
        drop(bell);
        assert_eq!(counter.count(), 4, "its end wakes, too");
    }

    #[test]
    fn outside_of_a_runtime_and_with_its_end_it_rings_at_once() {
        let counter = Arc::new(Counter::default());
        let bell = Bell::new(Waker::from(Arc::clone(&counter)));
        bell.pull();
        assert_eq!(counter.count(), 1);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        {
            let _inside = runtime.enter();
            bell.pull();
        }
        assert_eq!(counter.count(), 1, "the runtime has not run");
        bell.pull();
        assert_eq!(counter.count(), 2, "who is outside does not wait for it");
        drop(runtime);
        assert_eq!(counter.count(), 3);
    }
}
