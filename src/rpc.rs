//! The gRPC side of a call: proto in, proto or a rich status out.

pub mod status;
pub mod table;
mod validate;

use std::sync::Arc;

use opentelemetry::KeyValue;
use tonic::{Request, Response, Status};

use crate::{
    call::{Call, Calls, Confirmation, Done},
    caller::Caller,
    credentials::Credentials,
    deadline::Deadline,
    failure::{Failure, Kind},
    graph::{ActionStatus, ProviderWarning},
    pb,
    pb::incident_task_service_server::IncidentTaskService,
    peer::Peer,
    telemetry::{ActiveSpan, Outcome, names},
};

pub use crate::call::{Place, PlaceLimits, Places};

/// The largest request that is read. A valid one is under 320 bytes; the slack is
/// for fields that later versions add.
pub const MAX_REQUEST_BYTES: usize = 16 * 1024;

/// `incidentgate.v1.IncidentTaskService`.
#[derive(Debug)]
pub struct IncidentTasks {
    calls: Calls,
    credentials: Credentials,
}

/// What the layers in front of the service know of a call; they put it into the
/// request's extensions.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// Until when the call must be answered.
    pub deadline: Deadline,
    /// The other end of the connection.
    pub peer: Arc<Peer>,
    /// Who calls, as far as it is proven.
    pub caller: Caller,
    /// The server span.
    pub span: ActiveSpan,
    /// The call's place among those in flight, not taken yet.
    pub place: Place,
}

/// How a successful call ended, in the response's extensions: for span and metric.
#[derive(Debug, Clone, Copy)]
pub struct Succeeded(pub Outcome);

// === impl IncidentTasks ===

impl IncidentTasks {
    /// Serves the calls with the given credentials.
    pub fn new(calls: Calls, credentials: Credentials) -> Self {
        Self { calls, credentials }
    }

    /// What is called for, as whom. The rest of the request is not kept: a call may wait
    /// for Graph for long.
    fn call(
        &self,
        request: Request<pb::ExecuteResponseActionRequest>,
    ) -> Result<Arc<Call>, Failure> {
        let (metadata, mut extensions, message) = request.into_parts();
        let CallContext {
            deadline,
            peer,
            caller,
            span,
            place,
        } = extensions
            .remove()
            .ok_or_else(|| Failure::new(Kind::GatewayFault, "the call has no context"))?;
        let command = validate::command(message);
        let credential = match self.credentials.of(&caller, metadata.as_ref()) {
            Ok(credential) => credential,
            Err(mut failure) => {
                // The refusal, too, can be found by the caller's id.
                failure.client_request_id = match command {
                    Ok(command) => Some(command.client_request_id.into_string()),
                    Err(malformed) => malformed.client_request_id,
                };
                return Err(failure);
            }
        };
        let command = command?;
        span.add(|| {
            let id = command.client_request_id.as_str().to_owned();
            [KeyValue::new(names::GRAPH_CLIENT_REQUEST_ID, id)]
        });
        Ok(Arc::new(Call {
            command,
            credential,
            caller,
            peer,
            deadline,
            span,
            place,
        }))
    }

    async fn execute(
        &self,
        call: Arc<Call>,
    ) -> Result<Response<pb::ExecuteResponseActionResponse>, Failure> {
        let done = async {
            // Only now: a caller who is slow to send, or has no token, holds no place.
            call.place.take(call.deadline).await?;
            self.calls.execute(Arc::clone(&call)).await
        };
        let done = done.await;
        let client_request_id = || call.command.client_request_id.as_str().to_owned();
        let done = done.map_err(|mut failure| {
            // A failure of an attempt has it already.
            let id = &mut failure.client_request_id;
            id.get_or_insert_with(client_request_id);
            failure
        })?;
        let succeeded = Succeeded(done.outcome());
        let mut response = Response::new(response(done, client_request_id()));
        response.extensions_mut().insert(succeeded);
        Ok(response)
    }
}

#[tonic::async_trait]
impl IncidentTaskService for IncidentTasks {
    async fn execute_response_action(
        &self,
        request: Request<pb::ExecuteResponseActionRequest>,
    ) -> Result<Response<pb::ExecuteResponseActionResponse>, Status> {
        let done = match self.call(request) {
            Ok(call) => self.execute(call).await,
            Err(failure) => Err(failure),
        };
        done.map_err(status::from_failure)
    }
}

fn response(done: Done, client_request_id: String) -> pb::ExecuteResponseActionResponse {
    let (confirmation, action_status) = match done.confirmation {
        Confirmation::Accepted => (
            pb::ExecutionConfirmation::Accepted,
            pb::ActionStatus::Unspecified,
        ),
        Confirmation::Observed(status) => {
            (pb::ExecutionConfirmation::Observed, action_status(status))
        }
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

fn action_status(status: ActionStatus) -> pb::ActionStatus {
    match status {
        ActionStatus::NotStarted => pb::ActionStatus::NotStarted,
        ActionStatus::InProgress => pb::ActionStatus::InProgress,
        ActionStatus::PartiallyCompleted => pb::ActionStatus::PartiallyCompleted,
        ActionStatus::Completed => pb::ActionStatus::Completed,
        ActionStatus::Failed => pb::ActionStatus::Failed,
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
