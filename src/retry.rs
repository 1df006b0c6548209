//! What to do after a failed attempt: a pure decision.

mod budget;

use std::time::Duration;

use crate::failure::{Failure, Kind, Outcome};

pub use budget::Budget;

/// What a call may do after a failure.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// The most tries for one call, at least 1; one that finds no connection is one.
    pub max_attempts: u32,
    /// The longest wait before the second try; it doubles with each further one.
    pub initial_backoff: Duration,
    /// The wait does not grow beyond this, unless Graph names a longer one.
    pub max_backoff: Duration,
    /// What an unknown outcome leads to.
    pub reconciliation: Reconciliation,
}

/// What to do when nobody knows whether a POST has started the action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconciliation {
    /// Answer that it is unknown.
    Off,
    /// Look at the task, and answer what it shows.
    Observe,
    /// The same, and where the task shows that nothing has been started, send the POST
    /// once more. Graph refuses a second start by itself.
    Resend,
}

/// What has just come to light.
#[derive(Debug, Clone, Copy)]
pub enum Finding<'a> {
    /// An attempt failed.
    Failed(&'a Failure),
    /// The outcome of a POST is unknown, and the task shows that nobody has started
    /// its action, as yet.
    NotStartedYet,
}

/// How far a call has come.
#[derive(Debug, Clone, Copy)]
pub struct Course {
    /// The tries so far.
    pub tries: u32,
    /// Whether the outcome of a POST of this call is unknown.
    pub doubt: Doubt,
    /// The time that the caller still gives; nothing once it has left.
    pub remaining: Duration,
    /// Whether the process as a whole may try again ([`Budget::allows`]).
    pub within_budget: bool,
    /// Whether a token that Graph refuses can be renewed, and has not been for this call.
    pub may_renew: bool,
}

/// Whether the outcome of a POST is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// All that was sent was certainly not started.
    None,
    /// It is.
    Open,
    /// It is, and a POST has been sent after that.
    Resent,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Answer the caller.
    Stop,
    /// Wait, then send the POST again.
    Wait(Duration),
    /// Get another token, then send the POST again.
    Renew,
    /// Look at the task.
    Reconcile,
}

impl Policy {
    /// Sends again only what was certainly not started and passes by itself, what the task
    /// shows not to have been started, or what can start nothing; only while tries and the process's
    /// budget are left, and only if the wait ends before the caller's time does.
    ///
    /// The wait is the one that Graph named, and a random part of the backoff ("full
    /// jitter") on top, so that those who were told the same do not come back together.
    /// `random` is from 0 to 1.
    pub fn decide(&self, finding: Finding<'_>, course: &Course, random: f64) -> Next {
        match finding {
            Finding::Failed(failure) if self.is_to_be_looked_at(failure, course) => Next::Reconcile,
            Finding::Failed(failure)
                if failure.may_be_sent_again() && course.doubt == Doubt::None =>
            {
                let floor = failure.named_delay().unwrap_or_default();
                self.again(floor, course, random)
            }
            Finding::Failed(failure) if self.is_to_be_renewed(failure, course) => Next::Renew,
            Finding::NotStartedYet
                if self.reconciliation == Reconciliation::Resend
                    && course.doubt != Doubt::Resent =>
            {
                self.again(Duration::ZERO, course, random)
            }
            Finding::Failed(_) | Finding::NotStartedYet => Next::Stop,
        }
    }

    /// Whether the task's own state can say more than the attempt did: it may resolve
    /// a doubt, also an earlier attempt's.
    fn is_to_be_looked_at(&self, failure: &Failure, course: &Course) -> bool {
        let doubtful = course.doubt != Doubt::None || failure.outcome() == Outcome::Unknown;
        doubtful
            && self.reconciliation != Reconciliation::Off
            // Time is up, or the fault is here.
            && !matches!(failure.kind, Kind::DeadlineAfterSend | Kind::GatewayFault)
    }

    /// Whether another token may do. Claims that Entra has to be asked for on behalf of
    /// the caller are the caller's own business.
    fn is_to_be_renewed(&self, failure: &Failure, course: &Course) -> bool {
        let is_the_callers = failure.kind == Kind::CallerTokenRejected && failure.claims.is_some();
        failure.kind.refuses_token()
            && !is_the_callers
            && course.may_renew
            && course.tries < self.max_attempts
            && !course.remaining.is_zero()
    }

    fn again(&self, floor: Duration, course: &Course, random: f64) -> Next {
        let doublings = course.tries.saturating_sub(1).min(31);
        let backoff = self
            .initial_backoff
            .saturating_mul(1 << doublings)
            .min(self.max_backoff);
        let wait = floor.saturating_add(backoff.mul_f64(random.clamp(0.0, 1.0)));
        let may = course.tries < self.max_attempts && course.within_budget;
        if may && wait < course.remaining {
            Next::Wait(wait)
        } else {
            Next::Stop
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: Policy = Policy {
        max_attempts: 3,
        initial_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(1),
        reconciliation: Reconciliation::Resend,
    };
    const FIRST: Course = Course {
        tries: 1,
        doubt: Doubt::None,
        remaining: Duration::from_secs(3600),
        within_budget: true,
        may_renew: false,
    };
    const DOUBT: Course = Course {
        doubt: Doubt::Open,
        ..FIRST
    };

    fn wait_ms(ms: u64) -> Next {
        Next::Wait(Duration::from_millis(ms))
    }

    fn failed(kind: Kind) -> Failure {
        Failure::new(kind, "")
    }

    #[test]
    fn each_kind_leads_to_one_thing() {
        for kind in Kind::ALL {
            let next = POLICY.decide(Finding::Failed(&failed(kind)), &FIRST, 1.0);
            let is_final = [Kind::DeadlineAfterSend, Kind::GatewayFault].contains(&kind);
            let want = if kind.outcome() == Outcome::Unknown && !is_final {
                Next::Reconcile
            } else if kind.may_be_sent_again() {
                wait_ms(100)
            } else {
                Next::Stop
            };
            assert_eq!(next, want, "{kind:?}");
        }
    }

    #[test]
    fn a_failure_that_leaves_a_doubt_is_never_simply_sent_again() {
        for kind in Kind::ALL {
            let next = POLICY.decide(Finding::Failed(&failed(kind)), &DOUBT, 0.0);
            assert!(!matches!(next, Next::Wait(_)), "{kind:?}");
        }
    }

    #[test]
    fn the_wait_is_graphs_own_and_a_random_part_of_a_doubling_backoff() {
        let named =
            |seconds| failed(Kind::Throttled).with_retry_after(Duration::from_secs(seconds));
        for (failure, tries, random, want) in [
            (failed(Kind::Unreachable), 1, 0.0, 0),
            (failed(Kind::Unreachable), 1, 0.5, 50),
            (failed(Kind::Unreachable), 1, 1.0, 100),
            (failed(Kind::Unreachable), 2, 1.0, 200),
            // Graph named none: its usual delay is for callers, not for this.
            (failed(Kind::Throttled), 1, 1.0, 100),
            (named(0), 1, 0.5, 50),
            (named(7), 1, 0.0, 7000),
            (named(7), 2, 0.5, 7100),
        ] {
            let course = Course { tries, ..FIRST };
            let next = POLICY.decide(Finding::Failed(&failure), &course, random);
            assert_eq!(next, wait_ms(want), "{failure:?} {tries} {random}");
        }
        let patient = Policy {
            max_attempts: 100,
            ..POLICY
        };
        let late = Course { tries: 99, ..FIRST };
        let next = patient.decide(Finding::Failed(&failed(Kind::Unreachable)), &late, 1.0);
        assert_eq!(next, wait_ms(1000), "max_backoff");
    }

    #[test]
    fn it_stops_at_each_limit() {
        let failure = failed(Kind::Throttled).with_retry_after(Duration::from_secs(5));
        let seconds = |remaining| Course {
            remaining: Duration::from_secs(remaining),
            ..FIRST
        };
        for (course, want) in [
            (seconds(6), wait_ms(5000)),
            (seconds(5), Next::Stop),
            (seconds(0), Next::Stop),
            (Course { tries: 2, ..FIRST }, wait_ms(5000)),
            (Course { tries: 3, ..FIRST }, Next::Stop),
            (
                Course {
                    within_budget: false,
                    ..FIRST
                },
                Next::Stop,
            ),
        ] {
            let next = POLICY.decide(Finding::Failed(&failure), &course, 0.0);
            assert_eq!(next, want, "{course:?}");
        }
    }

    #[test]
    fn a_refused_token_is_renewed_once_if_it_can_be() {
        let renewable = Course {
            may_renew: true,
            ..FIRST
        };
        let claims = || Some("claims".to_owned());
        let challenged = failed(Kind::CallerTokenRejected).with_claims(claims());
        let own = failed(Kind::GatewayCredentialRejected).with_claims(claims());
        for (failure, course, want) in [
            (
                failed(Kind::GatewayCredentialRejected),
                renewable,
                Next::Renew,
            ),
            (own, renewable, Next::Renew),
            (failed(Kind::CallerTokenRejected), renewable, Next::Renew),
            (challenged, renewable, Next::Stop),
            (failed(Kind::GatewayCredentialRejected), FIRST, Next::Stop),
            (failed(Kind::Forbidden), renewable, Next::Stop),
            (
                failed(Kind::GatewayCredentialRejected),
                Course {
                    tries: 3,
                    ..renewable
                },
                Next::Stop,
            ),
            (
                failed(Kind::GatewayCredentialRejected),
                Course {
                    remaining: Duration::ZERO,
                    ..renewable
                },
                Next::Stop,
            ),
            (
                failed(Kind::GatewayCredentialRejected),
                Course {
                    doubt: Doubt::Open,
                    ..renewable
                },
                Next::Reconcile,
            ),
        ] {
            let next = POLICY.decide(Finding::Failed(&failure), &course, 1.0);
            assert_eq!(next, want, "{failure:?} {course:?}");
        }
    }

    #[test]
    fn what_the_task_shows_not_to_be_started_is_sent_once_more_if_that_is_wanted() {
        let lost = failed(Kind::ResponseLost);
        for (reconciliation, after_loss, after_look) in [
            (Reconciliation::Off, Next::Stop, Next::Stop),
            (Reconciliation::Observe, Next::Reconcile, Next::Stop),
            (Reconciliation::Resend, Next::Reconcile, wait_ms(100)),
        ] {
            let policy = Policy {
                reconciliation,
                ..POLICY
            };
            let next = policy.decide(Finding::Failed(&lost), &FIRST, 1.0);
            assert_eq!(next, after_loss, "{reconciliation:?}");
            let next = policy.decide(Finding::NotStartedYet, &DOUBT, 1.0);
            assert_eq!(next, after_look, "{reconciliation:?}");
        }
        for stopped in [
            Course {
                doubt: Doubt::Resent,
                ..DOUBT
            },
            Course { tries: 3, ..DOUBT },
            Course {
                within_budget: false,
                ..DOUBT
            },
            Course {
                remaining: Duration::ZERO,
                ..DOUBT
            },
        ] {
            let next = POLICY.decide(Finding::NotStartedYet, &stopped, 1.0);
            assert_eq!(next, Next::Stop, "{stopped:?}");
        }
    }

    proptest! {
        #[test]
        fn a_wait_is_at_least_graphs_and_ends_before_the_callers_time(
            tries in 0_u32..100,
            remaining in any::<Duration>(),
            named in any::<Duration>(),
            random in 0.0..=1.0,
            kind in proptest::sample::select(Kind::ALL.to_vec()),
        ) {
            let failure = failed(kind).with_retry_after(named);
            let course = Course { tries, remaining, ..FIRST };
            if let Next::Wait(wait) = POLICY.decide(Finding::Failed(&failure), &course, random) {
                prop_assert!(kind.may_be_sent_again());
                prop_assert_eq!(kind.outcome(), Outcome::NotStarted);
                prop_assert!(wait >= named && wait < remaining && tries < 3);
            }
        }
    }
}
