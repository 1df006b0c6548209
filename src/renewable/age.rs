//! How long a fetched value is good, and how long nobody tries after a failure.

use std::time::Duration;

use tokio::time::Instant;

/// A value is renewed this long before it expires; Azure's libraries do the same.
const RENEW_BEFORE: Duration = Duration::from_secs(300);
/// A value is not used any more this long before it expires: the request that carries it
/// takes time, and clocks differ.
const MARGIN: Duration = Duration::from_secs(10);
/// The wait after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The wait does not grow beyond this.
const MAX_PAUSE: Duration = Duration::from_secs(8);
/// A wait that the other side named is not believed beyond this.
const MAX_NAMED_PAUSE: Duration = Duration::from_secs(300);

/// A value is renewed after this time, whatever its issuer says: Entra's tokens live 28
/// hours at most (Microsoft identity platform, "Continuous access evaluation"), and a
/// number without bounds is no time on the clock.
const MAX_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// A value, and how long it is good.
#[derive(Debug)]
pub struct Fetched<T> {
    /// The value.
    pub value: T,
    /// From here on it is renewed in the background.
    pub stale_at: Instant,
    /// From here on it is not used.
    pub expires_at: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    Fresh,
    Stale,
    Expired,
}

impl<T> Fetched<T> {
    /// A value that its issuer lets live for `lifetime` from `now` on. Nothing if it is
    /// dead on arrival.
    pub fn living(value: T, now: Instant, lifetime: Duration) -> Option<Self> {
        let lifetime = lifetime.min(MAX_LIFETIME);
        // Short lives are divided alike.
        let before_the_end = |share| now + lifetime.saturating_sub(share);
        let expires_at = before_the_end(MARGIN.min(lifetime / 10));
        let stale_at = before_the_end(RENEW_BEFORE.min(lifetime / 2));
        (!lifetime.is_zero()).then_some(Self {
            value,
            stale_at,
            expires_at,
        })
    }

    pub(super) fn age(&self, now: Instant) -> Age {
        if now >= self.expires_at {
            Age::Expired
        } else if now >= self.stale_at {
            Age::Stale
        } else {
            Age::Fresh
        }
    }
}

/// How long nobody tries again after a failure that followed `streak` others.
pub(super) fn pause(streak: u32, named: Option<Duration>) -> Duration {
    let usual = FIRST_PAUSE
        .saturating_mul(1 << streak.min(16))
        .min(MAX_PAUSE);
    named.map_or(usual, |named| named.clamp(usual, MAX_NAMED_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_value_lives_for_ever() {
        let now = Instant::now();
        let fetched = Fetched::living((), now, Duration::MAX).unwrap();
        assert!(fetched.expires_at <= now + MAX_LIFETIME);
        assert!(Fetched::living((), now, Duration::ZERO).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_is_fresh_then_stale_then_expired() {
        let now = Instant::now();
        let seconds = Duration::from_secs;
        for (lifetime, stale, expired) in [
            (3600, 3300, 3590),
            (600, 300, 590),
            (100, 50, 90),
            (10, 5, 9),
        ] {
            let value = Fetched::living((), now, seconds(lifetime)).unwrap();
            for (at, want) in [
                (0, Age::Fresh),
                (stale - 1, Age::Fresh),
                (stale, Age::Stale),
                (expired - 1, Age::Stale),
                (expired, Age::Expired),
                (lifetime, Age::Expired),
            ] {
                assert_eq!(value.age(now + seconds(at)), want, "{lifetime} {at}");
            }
        }
        assert!(Fetched::living((), now, Duration::ZERO).is_none());
    }

    #[test]
    fn a_pause_doubles_and_heeds_what_the_other_side_names() {
        let seconds = Duration::from_secs;
        for (streak, named, want) in [
            (0, None, 1),
            (1, None, 2),
            (3, None, 8),
            (4, None, 8),
            (u32::MAX, None, 8),
            (0, Some(0), 1),
            (0, Some(7), 7),
            (5, Some(7), 8),
            (0, Some(100_000), 300),
        ] {
            assert_eq!(
                pause(streak, named.map(seconds)),
                seconds(want),
                "{streak} {named:?}"
            );
        }
    }
}
