//! An action that was started, as the proto has it.

use crate::{
    call::{Confirmation, Done},
    graph::ProviderWarning,
    pb,
};

/// The answer to an action that was started.
pub(super) fn response(done: Done, client_request_id: String) -> pb::ExecuteResponseActionResponse {
    let (confirmation, action_status) = match done.confirmation {
        Confirmation::Accepted => (
            pb::ExecutionConfirmation::Accepted,
            pb::ActionStatus::Unspecified,
        ),
        Confirmation::Observed(status) => (
            pb::ExecutionConfirmation::Observed,
            super::task::action_status(status),
        ),
    };
    pb::ExecuteResponseActionResponse {
        confirmation: confirmation.into(),
        graph_request_id: done.graph_request_id.unwrap_or_default(),
        client_request_id,
        attempts: i32::try_from(done.attempts).unwrap_or(i32::MAX),
        provider_warnings: done
            .provider_warnings
            .into_iter()
            .map(provider_warning)
            .collect(),
        action_status: action_status.into(),
    }
}

fn provider_warning(warning: ProviderWarning) -> pb::ProviderWarning {
    pb::ProviderWarning {
        vendor: warning.vendor,
        provider: warning.provider,
        status_code: warning.status_code.into(),
        latency: warning
            .latency
            .and_then(|latency| prost_types::Duration::try_from(latency).ok()),
    }
}
