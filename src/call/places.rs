//! The places of the calls in flight, and the queue for them.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    deadline::Deadline,
    failure::{Failure, Kind},
    telemetry::Metrics,
};

/// As much again as the usual delay, in milliseconds.
const MAX_SPREAD_MS: u64 = 1000;

/// How many calls may run, and how many may wait for that, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceLimits {
    /// Action calls that are open at a time on all connections together, those included
    /// whose message has not come yet: a bound for the memory, not for the work.
    pub max_open: usize,
    /// Action calls at a time on all connections together, attempts without a caller
    /// included.
    pub max_in_flight: usize,
    /// Calls that wait for a place at a time; further ones are refused at once.
    pub max_waiting: usize,
    /// The longest wait for a place.
    pub max_wait: Duration,
}

/// All places that there are. Clones are the same places.
#[derive(Debug, Clone)]
pub struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    open: Arc<Semaphore>,
    /// Fair: a place that is given back goes to whoever waits longest, and a newcomer
    /// gets one only while nobody waits.
    places: Arc<Semaphore>,
    /// Who finds no seat does not wait.
    seats: Semaphore,
    max_wait: Duration,
    closing: CancellationToken,
    metrics: Metrics,
}

// === impl Places ===

impl Places {
    /// As many places and seats as `limits` say, all free. Once `closing` is cancelled,
    /// nobody waits any more.
    pub fn new(limits: PlaceLimits, closing: CancellationToken, metrics: Metrics) -> Self {
        Self(Arc::new(Shared {
            open: Arc::new(Semaphore::new(limits.max_open)),
            places: Arc::new(Semaphore::new(limits.max_in_flight)),
            seats: Semaphore::new(limits.max_waiting),
            max_wait: limits.max_wait,
            closing,
            metrics,
        }))
    }

    /// Lets a call in that has not sent its message yet, if it is not one too many. It
    /// counts as open until the permit is dropped.
    pub fn open(&self) -> Result<OwnedSemaphorePermit, Failure> {
        Arc::clone(&self.0.open).try_acquire_owned().map_err(|_| {
            self.0.metrics.call_without_place();
            too_many_calls()
        })
    }

    /// See [`Place::take`](super::Place::take).
    pub(super) async fn take(&self, deadline: Deadline) -> Result<OwnedSemaphorePermit, Failure> {
        match Arc::clone(&self.0.places).try_acquire_owned() {
            Ok(place) => Ok(place),
            // Boxed: every call would have the room for it, and few wait.
            Err(_) => self.wait(deadline).boxed().await,
        }
    }

    async fn wait(&self, deadline: Deadline) -> Result<OwnedSemaphorePermit, Failure> {
        let Shared {
            places,
            seats,
            max_wait,
            closing,
            metrics,
            open: _,
        } = &*self.0;
        let Ok(_seat) = seats.try_acquire() else {
            metrics.call_without_place();
            return Err(too_many_calls());
        };
        let _waiting = metrics.call_waiting();
        let until = deadline.answer_by().min(Instant::now() + *max_wait);
        tokio::select! {
            biased;
            // Nobody closes the semaphore.
            Ok(place) = Arc::clone(places).acquire_owned() => Ok(place),
            () = closing.cancelled() => Err(draining()),
            () = sleep_until(until) => {
                metrics.call_without_place();
                Err(if until == deadline.answer_by() {
                    deadline_passed()
                } else {
                    too_many_calls()
                })
            }
        }
    }
}

fn too_many_calls() -> Failure {
    overloaded("this gateway is handling as many calls as it may; send the call again later")
}

/// Client libraries wait for exactly the time that they are told: a random part keeps those
/// who are refused together from coming back together.
pub fn overloaded(message: &str) -> Failure {
    let kind = Kind::GatewayOverloaded;
    Failure::new(kind, message).with_retry_after(kind.usual_delay() + spread())
}

/// Whole milliseconds: the trailer that client libraries read has no more.
pub(super) fn spread() -> Duration {
    Duration::from_millis(rand::random_range(0..MAX_SPREAD_MS))
}

fn draining() -> Failure {
    Failure::new(
        Kind::GatewayDraining,
        "this gateway is shutting down and had no place for the call yet; send the call again",
    )
}

fn deadline_passed() -> Failure {
    Failure::new(
        Kind::DeadlineBeforeSend,
        "the deadline passed while the call waited for a place among the calls in flight",
    )
}

#[cfg(test)]
mod tests {
    use futures_util::future::{BoxFuture, join_all};
    use tokio::time::advance;

    use super::*;
    use crate::call::Place;

    const MAX_WAIT: Duration = Duration::from_secs(1);
    const LONG: Duration = Duration::from_secs(30);

    struct Gate {
        places: Places,
        closing: CancellationToken,
    }

    impl Gate {
        fn new(max_in_flight: usize, max_waiting: usize) -> Self {
            let limits = PlaceLimits {
                max_open: 1000,
                max_in_flight,
                max_waiting,
                max_wait: MAX_WAIT,
            };
            let closing = CancellationToken::new();
            let metrics = Metrics::disabled();
            Self {
                places: Places::new(limits, closing.clone(), metrics),
                closing,
            }
        }

        /// A call that comes now and may take so long, and has been polled once.
        fn comes(&self, timeout: Duration) -> Call {
            let place = Place::new(self.places.clone());
            let deadline = Deadline::new(Instant::now(), timeout);
            let mut call = async move { place.take(deadline).await.map(|()| place) }.boxed();
            match (&mut call).now_or_never() {
                Some(result) => Call::Decided(result),
                None => Call::Waits(call),
            }
        }

        /// Free places, and free seats.
        fn free(&self) -> (usize, usize) {
            let shared = &self.places.0;
            let (places, seats) = (&shared.places, &shared.seats);
            (places.available_permits(), seats.available_permits())
        }
    }

    enum Call {
        Decided(Result<Place, Failure>),
        Waits(BoxFuture<'static, Result<Place, Failure>>),
    }

    impl Call {
        #[track_caller]
        fn placed(self) -> Place {
            match self {
                Self::Decided(result) => result.unwrap(),
                Self::Waits(_) => panic!("it waits"),
            }
        }

        #[track_caller]
        fn refused(self) -> Failure {
            match self {
                Self::Decided(result) => result.unwrap_err(),
                Self::Waits(_) => panic!("it waits"),
            }
        }

        #[track_caller]
        fn waits(self) -> BoxFuture<'static, Result<Place, Failure>> {
            match self {
                Self::Decided(result) => panic!("{result:?}"),
                Self::Waits(call) => call,
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_runs_or_waits_or_is_refused_at_once() {
        let gate = Gate::new(2, 1);
        let _running = [gate.comes(LONG).placed(), gate.comes(LONG).placed()];
        assert_eq!(gate.free(), (0, 1));
        let _waiting = gate.comes(LONG).waits();
        assert_eq!(gate.free(), (0, 0));
        let refused = gate.comes(LONG).refused();
        assert_eq!(refused.kind, Kind::GatewayOverloaded);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_with_its_limit_or_with_the_calls_own_time() {
        let gate = Gate::new(1, 3);
        let _running = gate.comes(LONG).placed();
        let ms = Duration::from_millis;
        for (timeout, ends_after, kind) in [
            (LONG, MAX_WAIT, Kind::GatewayOverloaded),
            (ms(1100), MAX_WAIT, Kind::GatewayOverloaded),
            // 50 ms are kept for the answer.
            (ms(1050), MAX_WAIT, Kind::DeadlineBeforeSend),
            (ms(1000), ms(950), Kind::DeadlineBeforeSend),
        ] {
            let began = Instant::now();
            let failure = gate.comes(timeout).waits().await.unwrap_err();
            assert_eq!(failure.kind, kind, "{timeout:?}");
            // The runtime's timer has a resolution of one millisecond.
            let waited = began.elapsed().saturating_sub(ends_after);
            assert!(waited <= ms(1), "{timeout:?}: {waited:?}");
            assert!(began.elapsed() >= ends_after, "{timeout:?}");
            assert_eq!(gate.free(), (0, 3));
        }
        let late = gate.comes(Duration::ZERO).refused();
        assert_eq!(late.kind, Kind::DeadlineBeforeSend);
    }

    #[tokio::test(start_paused = true)]
    async fn places_go_round_in_order_of_arrival_and_no_newcomer_overtakes() {
        let gate = Gate::new(1, 3);
        let running = gate.comes(LONG).placed();
        let first = gate.comes(LONG).waits();
        let second = gate.comes(LONG).waits();
        drop(running);
        // Nobody has been woken yet, and still the place is not to be had.
        let newcomer = gate.comes(LONG).waits();
        let mut place = first.await.unwrap();
        for next in [second, newcomer] {
            let mut next = next;
            assert!((&mut next).now_or_never().is_none());
            drop(place);
            place = next.await.unwrap();
        }
        drop(place);
        assert_eq!(gate.free(), (1, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_waiting_leaves_no_trace() {
        let gate = Gate::new(1, 3);
        let running = gate.comes(LONG).placed();
        let waiting = [(); 3].map(|()| gate.comes(LONG).waits());
        let [first, second, third] = waiting;
        drop(second);
        assert_eq!(gate.free(), (0, 1));
        drop(running);
        // The place has been given to it already.
        drop(first);
        let place = third.await.unwrap();
        drop(place);
        assert_eq!(gate.free(), (1, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_gateway_shuts_down_nobody_waits() {
        let gate = Gate::new(1, 3);
        let running = gate.comes(LONG).placed();
        let waiting = [gate.comes(LONG).waits(), gate.comes(LONG).waits()];
        gate.closing.cancel();
        for result in join_all(waiting).await {
            assert_eq!(result.unwrap_err().kind, Kind::GatewayDraining);
        }
        assert_eq!(gate.comes(LONG).refused().kind, Kind::GatewayDraining);
        drop(running);
        // It was let in before: the drain waits for it.
        gate.comes(LONG).placed();
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_one_however_often_it_is_taken_and_lasts_as_long_as_its_clones() {
        let gate = Gate::new(2, 0);
        let place = gate.comes(LONG).placed();
        let deadline = Deadline::new(Instant::now(), LONG);
        place.take(deadline).await.unwrap();
        assert_eq!(gate.free(), (1, 0));
        let attempt = place.clone();
        drop(place);
        advance(LONG).await;
        assert_eq!(gate.free(), (1, 0));
        drop(attempt);
        assert_eq!(gate.free(), (2, 0));
    }

    #[test]
    fn the_refused_are_told_different_times_of_one_to_two_seconds() {
        let ms = Duration::from_millis;
        let told: Vec<_> = (0..100)
            .map(|_| overloaded("later").retry_after().unwrap())
            .collect();
        assert!(told.iter().all(|time| (ms(1000)..ms(2000)).contains(time)));
        assert!(told.iter().any(|time| *time != told[0]));
    }
}
