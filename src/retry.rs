//! What to do after a failed attempt: a pure decision.

use std::time::Duration;

use crate::failure::Failure;

/// How many attempts a call may make.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// The most tries for one call, at least 1; one that finds no connection is one.
    pub max_attempts: u32,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Answer the failure to the caller.
    Stop,
    /// Wait, then send the POST again.
    Wait(Duration),
}

impl Policy {
    /// One attempt, and whatever comes of it is the answer.
    pub const SINGLE: Self = Self { max_attempts: 1 };

    /// Sends again only what was certainly not started and passes by itself, only
    /// while tries are left, and only if the wait ends within `remaining`, the
    /// time that the caller still gives. `tries` counts those already made.
    pub fn decide(self, failure: &Failure, tries: u32, remaining: Duration) -> Next {
        match failure.retry_after() {
            Some(delay) if tries < self.max_attempts && delay < remaining => Next::Wait(delay),
            _ => Next::Stop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{Kind, Outcome};

    const AMPLE: Duration = Duration::from_secs(3600);

    #[test]
    fn a_single_attempt_is_never_repeated() {
        for kind in Kind::ALL {
            let failure = Failure::new(kind, "");
            assert_eq!(
                Policy::SINGLE.decide(&failure, 1, AMPLE),
                Next::Stop,
                "{kind:?}"
            );
        }
    }

    #[test]
    fn only_what_was_not_started_is_sent_again() {
        let policy = Policy { max_attempts: 3 };
        for kind in Kind::ALL {
            let failure = Failure::new(kind, "").with_retry_after(Duration::ZERO);
            if policy.decide(&failure, 1, AMPLE) != Next::Stop {
                assert_eq!(kind.outcome(), Outcome::NotStarted, "{kind:?}");
                assert!(kind.may_be_sent_again(), "{kind:?}");
            }
        }
    }

    #[test]
    fn stops_before_a_wait_that_would_pass_the_deadline() {
        let policy = Policy { max_attempts: 3 };
        let failure = Failure::new(Kind::Throttled, "").with_retry_after(Duration::from_secs(5));
        for (attempts, remaining, want) in [
            (1, 6, Next::Wait(Duration::from_secs(5))),
            (2, 6, Next::Wait(Duration::from_secs(5))),
            (3, 6, Next::Stop),
            (1, 5, Next::Stop),
        ] {
            let next = policy.decide(&failure, attempts, Duration::from_secs(remaining));
            assert_eq!(next, want, "{attempts} {remaining}");
        }
    }
}
