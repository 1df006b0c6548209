//! How far a call has come, for its work and for whoever waits for it.

use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use super::left::Left;
use crate::graph::{Departed, Departure};

/// Shared by the work of one call and by the call that awaits it: what a caller may
/// be told can be said at any moment. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// The POST under way.
    attempt: Mutex<Option<Departure>>,
    /// POSTs that may have left and are not under way any more.
    sent: AtomicU32,
    in_doubt: AtomicBool,
    left: OnceLock<Left>,
}

// === impl Progress ===

impl Progress {
    /// A POST is about to be made; the departure is its own.
    pub(super) fn begin(&self) -> Departure {
        let departure = Departure::default();
        *self.attempt() = Some(departure.clone());
        departure
    }

    /// The POST under way has ended; `in_doubt`: without a word on its outcome.
    pub(super) fn end(&self, in_doubt: bool) {
        if in_doubt {
            self.0.in_doubt.store(true, Ordering::Release);
        }
        let mut attempt = self.attempt();
        if may_have_left(attempt.as_ref()) {
            self.0.sent.fetch_add(1, Ordering::AcqRel);
        }
        *attempt = None;
    }

    /// Whether anything has left whose outcome is not known. [`Departed::Never`] says
    /// that the action has not been started by this call.
    pub(super) fn departed(&self) -> Departed {
        if self.in_doubt() {
            return Departed::Yes;
        }
        match &*self.attempt() {
            Some(departure) => departure.state(),
            None => Departed::Never,
        }
    }

    /// Whether the outcome of an earlier POST is unknown.
    pub(super) fn in_doubt(&self) -> bool {
        self.0.in_doubt.load(Ordering::Acquire)
    }

    /// How many POSTs have been handed to the wire.
    pub(super) fn sent(&self) -> u32 {
        let under_way = may_have_left(self.attempt().as_ref());
        self.0.sent.load(Ordering::Acquire) + u32::from(under_way)
    }

    /// From now on nobody waits: nothing more is to be begun.
    pub(super) fn leave(&self, left: Left) {
        // The first reason is what the caller was told.
        let _first = self.0.left.set(left).is_ok();
    }

    /// Why nobody waits any more, if so.
    pub(super) fn left(&self) -> Option<Left> {
        self.0.left.get().copied()
    }

    fn attempt(&self) -> MutexGuard<'_, Option<Departure>> {
        self.0
            .attempt
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn may_have_left(attempt: Option<&Departure>) -> bool {
    attempt.is_some_and(|departure| departure.state() != Departed::Never)
}

#[cfg(test)]
mod tests {
    use super::{super::left::Interruption, *};

    #[test]
    fn a_call_is_as_far_as_its_posts() {
        let progress = Progress::default();
        assert_eq!((progress.departed(), progress.sent()), (Departed::Never, 0));

        drop(progress.begin().body());
        assert_eq!((progress.departed(), progress.sent()), (Departed::Never, 0));
        progress.end(false);

        let body = progress.begin().body();
        assert_eq!(progress.departed(), Departed::NotYet);
        http_body::Body::is_end_stream(&body);
        assert_eq!((progress.departed(), progress.sent()), (Departed::Yes, 1));
        progress.end(false);
        assert_eq!((progress.departed(), progress.sent()), (Departed::Never, 1));

        http_body::Body::is_end_stream(&progress.begin().body());
        progress.end(true);
        assert_eq!((progress.departed(), progress.sent()), (Departed::Yes, 2));
        drop(progress.begin().body());
        progress.end(false);
        assert_eq!(
            (progress.departed(), progress.sent()),
            (Departed::Yes, 2),
            "a doubt stays, whatever comes after it"
        );
    }

    #[test]
    fn the_first_reason_to_leave_holds() {
        let progress = Progress::default();
        assert_eq!(progress.left(), None);
        let deadline = Left::Answered(Interruption::DeadlinePassed);
        progress.leave(deadline);
        progress.leave(Left::Cancelled);
        assert_eq!(progress.left(), Some(deadline));
    }
}
