//! How many more attempts the whole process may make: a token bucket after gRFC A6,
//! section "Throttling Retry Attempts".

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// A6 counts with three decimals.
const TOKEN: u32 = 1000;
/// A6's `tokenRatio`, a tenth of a token: the bucket comes back by a success in ten.
const RATIO: u32 = TOKEN / 10;

/// Full at first. An attempt that fails for a passing reason takes a token, a success
/// gives a tenth of one back, and while the bucket is half empty or more nothing is
/// sent again: a Graph that is down is not loaded further by those who try it again.
/// Clones are the same bucket.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Bucket>);

#[derive(Debug)]
struct Bucket {
    thousandths: AtomicU32,
    full: u32,
}

// === impl Budget ===

impl Budget {
    /// A full bucket of `max_tokens` (A6 allows up to 1000).
    pub fn new(max_tokens: u32) -> Self {
        let full = max_tokens.saturating_mul(TOKEN);
        Self(Arc::new(Bucket {
            thousandths: AtomicU32::new(full),
            full,
        }))
    }

    /// Whether another attempt may be made.
    pub fn allows(&self) -> bool {
        self.0.thousandths.load(Ordering::Relaxed) > self.0.full / 2
    }

    /// An attempt has failed for a reason that passes, or nobody knows its outcome.
    pub fn failed(&self) {
        self.change(|thousandths| thousandths.saturating_sub(TOKEN));
    }

    /// An attempt has succeeded.
    pub fn succeeded(&self) {
        // The usual case: full, and nothing is written that other threads read.
        if self.0.thousandths.load(Ordering::Relaxed) < self.0.full {
            self.change(|thousandths| (thousandths + RATIO).min(self.0.full));
        }
    }

    fn change(&self, to: impl Fn(u32) -> u32) {
        // Always changes something, since `to` never gives up.
        let _previous =
            self.0
                .thousandths
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |thousandths| {
                    Some(to(thousandths))
                });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_bucket_of_failures_ends_it_and_ten_successes_undo_one() {
        let budget = Budget::new(10);
        for _ in 0..4 {
            budget.failed();
            assert!(budget.allows());
        }
        budget.failed();
        assert!(!budget.allows(), "A6: only above half");
        budget.succeeded();
        assert!(budget.allows());
        budget.failed();
        for _ in 0..9 {
            assert!(!budget.allows());
            budget.succeeded();
        }
        budget.succeeded();
        assert!(budget.allows());
    }

    #[test]
    fn it_stays_between_empty_and_full() {
        let budget = Budget::new(1);
        for _ in 0..5 {
            budget.failed();
        }
        assert_eq!(budget.0.thousandths.load(Ordering::Relaxed), 0);
        for _ in 0..50 {
            budget.succeeded();
        }
        assert_eq!(budget.0.thousandths.load(Ordering::Relaxed), TOKEN);
    }
}
