//! When a task is read again: pure, but for the one count of all readings.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::Watching;

/// How much longer each wait is than the one before, while nothing changes.
const GROWTH: f64 = 1.5;
/// Loops that have begun together do not go on together.
const JITTER: f64 = 0.1;
/// Readings that need not wait for each other, where there were few lately.
const BURST: u32 = 10;
/// Readings that somebody waits for do not wait; those after them do, up to so long.
const MAX_DEBT: Duration = Duration::from_secs(60);

/// The waits of one loop.
#[derive(Debug)]
pub(super) struct Cadence {
    min: Duration,
    max: Duration,
    next: Duration,
}

/// How often all tasks together are read (a leaky bucket as a meter, ITU-T I.371's "virtual
/// scheduling"): `free_at` is when all readings so far are paid for.
#[derive(Debug)]
pub(super) struct Pace {
    each: Duration,
    free_at: Mutex<Option<Instant>>,
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
}

// === impl Pace ===

impl Pace {
    pub(super) fn new(per_minute: u32) -> Self {
        Self {
            each: Duration::from_secs(60) / per_minute.max(1),
            free_at: Mutex::new(None),
        }
    }

    /// Takes the next turn for a reading, and says how long to wait for it.
    pub(super) fn turn(&self, now: Instant) -> Duration {
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let free = free_at.map_or(now, |free_at| free_at.max(now));
        *free_at = Some(free + self.each);
        (free - now).saturating_sub(self.each * BURST)
    }

    /// A reading is made without a turn, since somebody waits for it.
    pub(super) fn without_turn(&self, now: Instant) {
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let free = free_at.map_or(now, |free_at| free_at.max(now));
        if free - now < MAX_DEBT {
            *free_at = Some(free + self.each);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WATCHING: Watching = Watching {
        min_interval: Duration::from_secs(1),
        max_interval: Duration::from_secs(4),
        polls_per_minute: 60,
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

    #[test]
    fn all_readings_together_are_as_many_as_allowed() {
        let pace = Pace::new(60);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        // Eleven at once: one, and the burst.
        let waits: Vec<_> = (0..14).map(|_| pace.turn(at(0)).as_secs()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3]);
        assert_eq!(pace.turn(at(3)).as_secs(), 1);
        // All is forgotten after a while.
        assert_eq!(pace.turn(at(60)), Duration::ZERO);
    }

    #[test]
    fn readings_without_a_turn_count_up_to_a_minute() {
        let pace = Pace::new(60);
        let start = Instant::now();
        for _ in 0..1000 {
            pace.without_turn(start);
        }
        assert_eq!(pace.turn(start).as_secs(), 50);
    }
}
