//! Throttling that lasts, and that lengthens when it is not obeyed.

use std::time::Duration;

use tokio::time::Instant;

/// The longest that throttling may grow to.
const MAX_PERIOD: Duration = Duration::from_secs(24 * 60 * 60);

/// A time before which every request is refused.
#[derive(Debug)]
pub(super) struct Throttle {
    until: Instant,
    /// What each request that comes too early adds.
    penalty: Duration,
}

impl Throttle {
    pub(super) fn new(retry_after: u32, extends: bool, now: Instant) -> Throttle {
        let period = Duration::from_secs(retry_after.into()).min(MAX_PERIOD);
        Throttle {
            until: now + period,
            penalty: if extends { period } else { Duration::ZERO },
        }
    }

    /// The seconds that are left, if it is too early.
    pub(super) fn refuse(&mut self, now: Instant) -> Option<u32> {
        let left = self
            .until
            .checked_duration_since(now)
            .filter(|left| !left.is_zero())?;
        let left = (left + self.penalty).min(MAX_PERIOD);
        self.until = now + left;
        // Rounded up: whoever waits as long as it is told must not be too early.
        u32::try_from(left.as_millis().div_ceil(1_000)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_ends_when_it_is_obeyed_and_lengthens_when_it_is_not() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut patient = Throttle::new(2, false, start);
        assert_eq!(patient.refuse(start + second / 2), Some(2));
        assert_eq!(patient.refuse(start + second), Some(1));
        assert_eq!(patient.refuse(start + 2 * second), None);

        let mut strict = Throttle::new(2, true, start);
        assert_eq!(strict.refuse(start + second), Some(3));
        assert_eq!(strict.refuse(start + 2 * second), Some(4));
        assert_eq!(strict.refuse(start + 6 * second), None);
    }
}
