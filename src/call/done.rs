//! A call that reached its end: the action has been started.

use super::looks::Seen;
use crate::{
    failure::Failure,
    graph::{Accepted, ProviderWarning},
    task::ActionStatus,
    telemetry::Outcome,
};

/// The action has been started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// How this is known.
    pub confirmation: Confirmation,
    /// Graph's `request-id` of the answer that says so.
    pub graph_request_id: Option<String>,
    /// Providers behind Graph that reported trouble all the same.
    pub provider_warnings: Vec<ProviderWarning>,
    /// How many POSTs were handed to the connection.
    pub attempts: u32,
}

/// How it is known that the action has been started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// Graph answered so.
    Accepted,
    /// The answer was lost, and the task itself shows it.
    Observed(ActionStatus),
}

// === impl Done ===

impl Done {
    pub(super) fn accepted(accepted: Accepted, attempts: u32) -> Self {
        Self {
            confirmation: Confirmation::Accepted,
            graph_request_id: accepted.graph_request_id,
            provider_warnings: accepted.provider_warnings,
            attempts,
        }
    }

    pub(super) fn observed(seen: Seen, attempts: u32) -> Self {
        Self {
            confirmation: Confirmation::Observed(seen.action_status),
            graph_request_id: seen.graph_request_id,
            provider_warnings: Vec::new(),
            attempts,
        }
    }

    /// The word for it in spans, metrics and the audit log.
    pub fn outcome(&self) -> Outcome {
        match self.confirmation {
            Confirmation::Accepted => Outcome::Started,
            Confirmation::Observed(_) => Outcome::Observed,
        }
    }
}

/// Whether the action was started, by what a call came to.
pub(super) fn outcome(result: &Result<Done, Failure>) -> Outcome {
    match result {
        Ok(done) => done.outcome(),
        Err(failure) => failure.outcome().into(),
    }
}
