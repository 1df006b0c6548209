//! What the tries of one call have left behind.

use super::access::Access;
use crate::{
    credentials::Grant,
    failure::{Failure, Kind, Outcome},
    retry::Doubt,
    telemetry::ResendCause,
};

/// What the tries of one call have left behind.
#[derive(Debug)]
pub(super) struct Trail {
    pub(super) access: Access,
    pub(super) tries: u32,
    /// The last failure that left the outcome unknown.
    pub(super) lost: Option<Failure>,
    /// Whether a POST was sent after that.
    resent: bool,
    pub(super) on_new_connection: bool,
}

impl Trail {
    pub(super) fn new(grant: Grant) -> Self {
        Self {
            access: Access::new(grant),
            tries: 0,
            lost: None,
            resent: false,
            on_new_connection: false,
        }
    }

    /// Whether the outcome of a POST is unknown.
    pub(super) fn doubt(&self) -> Doubt {
        match &self.lost {
            None => Doubt::None,
            Some(_) if self.resent => Doubt::Resent,
            Some(_) => Doubt::Open,
        }
    }

    /// The answer after the last failure. A refusal says nothing about an earlier POST
    /// that was lost: that doubt stays, unless the action is known to be started.
    pub(super) fn verdict(&self, mut last: Failure) -> Failure {
        match &self.lost {
            Some(doubt) if last.outcome() == Outcome::NotStarted => doubt.clone(),
            Some(_) if last.outcome() == Outcome::AlreadyStarted => {
                last.message = "the action has been started, by an earlier POST of this call whose answer was lost, or by another call".into();
                last
            }
            Some(_) | None => last,
        }
    }

    /// The POST is sent again after `failure`.
    pub(super) fn turn(&mut self, failure: &Failure) {
        self.resent |= self.lost.is_some();
        // "Always make new retry requests over a new HTTP connection" after a 503 (Graph
        // page "Best practices for working with Microsoft Graph").
        self.on_new_connection = matches!(failure.kind, Kind::Unavailable | Kind::ServerFault);
    }
}

/// Why the POST is sent again after `failure`.
pub(super) fn resend_cause(failure: &Failure) -> ResendCause {
    if failure.outcome() == Outcome::Unknown {
        return ResendCause::NotStarted;
    }
    if failure.kind.refuses_token() {
        ResendCause::Renewed
    } else if failure.kind == Kind::Throttled {
        ResendCause::Throttled
    } else if failure.kind == Kind::Unavailable {
        ResendCause::Unavailable
    } else {
        ResendCause::Unreachable
    }
}
