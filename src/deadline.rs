//! Until when a call must be answered.

use std::time::Duration;

use tokio::time::Instant;

/// At most this much of a call's time is kept for the answer's way back. 50 ms
/// is ample for one hop inside a data centre.
const MAX_RESERVE: Duration = Duration::from_millis(50);

/// The moment at which the caller stops waiting, and the slightly earlier one by
/// which the gateway must answer so that its own answer, which knows whether the
/// action was started, arrives first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    expires: Instant,
    answer_by: Instant,
    timeout: Duration,
}

impl Deadline {
    /// The deadline of a call that arrived at `now` and may take `timeout`. A
    /// tenth of the time is kept as a reserve, 50 ms at most.
    pub fn new(now: Instant, timeout: Duration) -> Self {
        Self {
            expires: now + timeout,
            answer_by: now + timeout.saturating_sub(MAX_RESERVE.min(timeout / 10)),
            timeout,
        }
    }

    /// When the caller stops waiting.
    pub fn expires(&self) -> Instant {
        self.expires
    }

    /// When the gateway must answer.
    pub fn answer_by(&self) -> Instant {
        self.answer_by
    }

    /// When to look at the task of a POST that is made `now`, should nothing else have
    /// said by then whether the action was started: `share` before the answer is due, or a
    /// quarter of the whole time if that is less. A late POST has half of what is left.
    pub fn look_at(&self, share: Duration, now: Instant) -> Instant {
        let share = share.min(self.timeout / 4).min(self.remaining(now) / 2);
        // Never before the call's begin: a quarter and the reserve are less than the whole.
        self.answer_by.checked_sub(share).unwrap_or(self.answer_by)
    }

    /// How much time is left for work.
    pub fn remaining(&self, now: Instant) -> Duration {
        self.answer_by.saturating_duration_since(now)
    }

    /// Whether it is too late to begin anything.
    pub fn has_passed(&self, now: Instant) -> bool {
        now >= self.answer_by
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_a_tenth_of_the_time_but_50_ms_at_most() {
        let now = Instant::now();
        for (timeout_ms, work_ms) in [(0, 0), (10, 9), (100, 90), (500, 450), (10_000, 9_950)] {
            let deadline = Deadline::new(now, Duration::from_millis(timeout_ms));
            assert_eq!(
                deadline.answer_by() - now,
                Duration::from_millis(work_ms),
                "{timeout_ms} ms"
            );
            assert_eq!(deadline.expires() - now, Duration::from_millis(timeout_ms));
        }
    }

    #[test]
    fn the_look_has_its_share_but_a_quarter_and_half_of_the_rest_at_most() {
        let now = Instant::now();
        for (timeout_ms, share_ms, made_ms, look_at_ms) in [
            (0, 2000, 0, 0),
            (1000, 2000, 0, 700),
            (1000, 100, 0, 850),
            (30_000, 2000, 0, 27_950),
            (30_000, 2000, 25_950, 27_950),
            // Made late.
            (30_000, 2000, 27_950, 28_950),
            (30_000, 2000, 29_950, 29_950),
            (30_000, 2000, 40_000, 29_950),
        ] {
            let ms = Duration::from_millis;
            let deadline = Deadline::new(now, ms(timeout_ms));
            let look_at = deadline.look_at(ms(share_ms), now + ms(made_ms));
            assert_eq!(
                look_at - now,
                ms(look_at_ms),
                "{timeout_ms} ms, made at {made_ms} ms"
            );
        }
    }

    #[test]
    fn a_deadline_of_nothing_has_passed() {
        let now = Instant::now();
        assert!(Deadline::new(now, Duration::ZERO).has_passed(now));
        assert!(!Deadline::new(now, Duration::from_millis(1)).has_passed(now));
    }
}
