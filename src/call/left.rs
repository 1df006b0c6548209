//! Why nobody waits for a call's work any longer, and what was told then.

use crate::{
    failure::{Failure, Kind},
    graph::Departed,
};

/// Why nobody waits for the work any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// The caller has gone away, and was told nothing.
    Cancelled,
    /// The caller has been told what was known then.
    Answered(Interruption),
}

/// What ends a call before its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interruption {
    /// The caller's time is up.
    DeadlinePassed,
    /// The gateway has to end.
    GatewayEnds,
}

/// The gRPC status of a call whose caller has gone away.
pub(super) const CANCELLED: &str = "CANCELLED";

impl Interruption {
    /// What the caller is told, after so many POSTs. `departed` tells whether one has
    /// left whose outcome is not known.
    pub(super) fn failure(self, departed: Departed, sent: u32) -> Failure {
        let (kind, message) = match (self, departed) {
            (Self::DeadlinePassed, Departed::Never) if sent == 0 => (
                Kind::DeadlineBeforeSend,
                "the deadline passed before anything was sent to Graph",
            ),
            (Self::DeadlinePassed, Departed::Never) => (
                Kind::DeadlineBeforeSend,
                "the deadline passed before Graph, which had refused the call for the moment, could be asked again",
            ),
            (Self::DeadlinePassed, Departed::NotYet | Departed::Yes) => (
                Kind::DeadlineAfterSend,
                "the deadline passed before Graph answered, and the action may have been started",
            ),
            (Self::GatewayEnds, Departed::Never) => (
                Kind::GatewayDraining,
                "this gateway is shutting down, and the action was not started; send the call again",
            ),
            (Self::GatewayEnds, Departed::NotYet | Departed::Yes) => (
                Kind::ResponseLost,
                "this gateway had to end before Graph answered, and the action may have been started",
            ),
        };
        let mut failure = Failure::new(kind, message);
        failure.attempts = sent;
        failure
    }
}
