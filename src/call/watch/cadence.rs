//! When a task is read again: the waits of one loop, which are pure, and the turns of all.

use std::time::Duration;

use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

use super::Watching;

/// How much longer each wait is than the one before, while nothing changes.
const GROWTH: f64 = 1.5;
/// Loops that have begun together do not go on together.
const JITTER: f64 = 0.1;

/// The waits of one loop.
#[derive(Debug)]
pub(super) struct Cadence {
    min: Duration,
    max: Duration,
    next: Duration,
}

/// Turns that come one after another, at a steady rate, after some that come at once (a leaky
/// bucket as a meter, ITU-T I.371, whose "theoretical arrival time" is kept).
#[derive(Debug)]
pub(super) struct Pace {
    each: Duration,
    burst: u32,
    /// When all turns so far are paid for. Whoever holds the lock has the next turn, and
    /// gives it back by leaving.
    paid: Mutex<Option<Instant>>,
}

// === impl Cadence ===

impl Cadence {
    pub(super) fn new(watching: &Watching) -> Self {
        let Watching {
            min_interval,
            max_interval,
            ..
        } = *watching;
        Self {
            min: min_interval,
            max: max_interval.max(min_interval),
            next: min_interval,
        }
    }

    /// The wait after a reading. `random` is from 0 to 1.
    pub(super) fn after(&mut self, has_changed: bool, random: f64) -> Duration {
        if has_changed {
            self.next = self.min;
        }
        let wait = self.next;
        self.next = self.next.mul_f64(GROWTH).min(self.max);
        wait.mul_f64(1.0 - JITTER + 2.0 * JITTER * random.clamp(0.0, 1.0))
    }

    /// The wait that is next, without making it longer.
    pub(super) fn current(&self) -> Duration {
        self.next
    }
}

// === impl Pace ===

impl Pace {
    /// So many turns a minute, and so many at once.
    pub(super) fn new(per_minute: u32, burst: u32) -> Self {
        Self {
            each: Duration::from_secs(60) / per_minute.max(1),
            burst,
            paid: Mutex::new(None),
        }
    }

    /// Waits for a turn, in order of arrival. Cancel-safe: who leaves has taken none.
    pub(super) async fn turn(&self) {
        let mut paid = self.paid.lock().await;
        let now = Instant::now();
        let until = paid.map_or(now, |paid| paid.max(now));
        // Less than a burst is owed then.
        let due = until.checked_sub(self.each * self.burst).unwrap_or(now);
        sleep_until(due.max(now)).await;
        *paid = Some(until + self.each);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{sleep, timeout};

    use super::*;

    const WATCHING: Watching = Watching {
        min_interval: Duration::from_secs(1),
        max_interval: Duration::from_secs(4),
        polls_per_minute: 60,
        max_silence: Duration::from_secs(60),
    };

    #[test]
    fn waits_grow_to_the_longest_and_begin_anew_with_each_change() {
        let mut cadence = Cadence::new(&WATCHING);
        let mut waits = |changes: &[bool]| -> Vec<u128> {
            let wait = |has_changed: &bool| cadence.after(*has_changed, 0.5).as_millis();
            changes.iter().map(wait).collect()
        };
        assert_eq!(
            waits(&[true, false, false, false, false, false]),
            [1000, 1500, 2250, 3375, 4000, 4000]
        );
        assert_eq!(waits(&[true, false]), [1000, 1500]);
    }

    #[test]
    fn a_wait_is_a_tenth_shorter_or_longer() {
        for (random, ms) in [(0.0, 900), (0.5, 1000), (1.0, 1100), (7.0, 1100)] {
            let wait = Cadence::new(&WATCHING).after(true, random);
            assert_eq!(wait.as_millis(), ms);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn turns_come_at_their_rate_after_a_burst() {
        let pace = Pace::new(60, 3);
        let begun = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..7 {
            pace.turn().await;
            waits.push(begun.elapsed().as_secs());
        }
        assert_eq!(waits, [0, 0, 0, 0, 1, 2, 3]);
        // All is forgotten after a while.
        sleep(Duration::from_secs(60)).await;
        let later = Instant::now();
        pace.turn().await;
        assert_eq!(later.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_has_taken_no_turn() {
        let pace = Pace::new(60, 0);
        let begun = Instant::now();
        pace.turn().await;
        for _ in 0..100 {
            let given_up = timeout(Duration::from_millis(1), pace.turn()).await;
            assert!(given_up.is_err());
        }
        pace.turn().await;
        assert_eq!(begun.elapsed(), Duration::from_secs(1));
    }
}
