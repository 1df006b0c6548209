//! The gRPC side of a call: proto in, proto or a rich status out.

mod execution;
mod page_token;
pub mod status;
pub mod table;
mod task;
mod validate;

use std::sync::Arc;

use futures_util::{StreamExt as _, stream, stream::BoxStream};
use opentelemetry::KeyValue;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::{
    call::{Call, Calls, Showing},
    caller::Caller,
    command::{Command, ListTasks},
    credentials::Credentials,
    deadline::Deadline,
    failure::{Effect, Failure, Kind},
    graph::{Answered, Inquiry, Page},
    pb,
    pb::incident_task_service_server::IncidentTaskService,
    peer::Peer,
    telemetry::{ActiveSpan, Outcome, names},
};

pub use crate::call::{Place, PlaceLimits, Places, overloaded};

/// The largest request that is read. Most are under 320 bytes, and one with a page token
/// is under 8 KiB; the slack is for fields that later versions add.
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

/// What they know of a call whose answer is a stream, beside it.
#[derive(Debug, Clone)]
pub struct StreamContext {
    /// Until when its caller reads, if it has said so. The deadline of the call is for the
    /// first message.
    pub until: Option<Deadline>,
    /// The connection is to be closed, so that the stream has to end.
    pub closing: CancellationToken,
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
    fn call<M, W>(
        &self,
        request: Request<M>,
        validate: impl FnOnce(M) -> Result<Command<W>, Failure>,
    ) -> Result<Call<W>, Failure> {
        let (metadata, mut extensions, message) = request.into_parts();
        let CallContext {
            deadline,
            peer,
            caller,
            span,
            place,
        } = extensions.remove().ok_or_else(without_context)?;
        let command = validate(message);
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
        Ok(Call {
            command,
            credential,
            caller,
            peer,
            deadline,
            span,
            place,
        })
    }

    async fn execute(
        &self,
        request: Request<pb::ExecuteResponseActionRequest>,
    ) -> Result<Response<pb::ExecuteResponseActionResponse>, Failure> {
        let call = Arc::new(self.call(request, validate::execute)?);
        let done = async {
            take_place(&call).await?;
            self.calls.execute(Arc::clone(&call)).await
        };
        let done = done.await.map_err(|failure| marked(failure, &call))?;
        let succeeded = Succeeded(done.outcome());
        let client_request_id = call.command.client_request_id.as_str().to_owned();
        let mut response = Response::new(execution::response(done, client_request_id));
        response.extensions_mut().insert(succeeded);
        Ok(response)
    }

    /// Whatever only reads.
    async fn ask<M, I: Inquiry>(
        &self,
        request: Request<M>,
        validate: impl FnOnce(M) -> Result<Command<I>, Failure>,
    ) -> Result<(Answered<I::Found>, Command<I>), Failure> {
        let call = self.call(request, validate)?;
        let answered = async {
            take_place(&call).await?;
            self.calls.ask(&call).await
        };
        let answered = answered.await.map_err(|failure| marked(failure, &call))?;
        Ok((answered, call.command))
    }

    async fn update(
        &self,
        request: Request<pb::UpdateIncidentTaskRequest>,
    ) -> Result<pb::UpdateIncidentTaskResponse, Failure> {
        let call = Arc::new(self.call(request, validate::update)?);
        let answered = async {
            take_place(&call).await?;
            self.calls.update(Arc::clone(&call)).await
        };
        let answered = answered.await.map_err(|failure| marked(failure, &call))?;
        Ok(pb::UpdateIncidentTaskResponse {
            incident_task: Some(task::task(answered.found)),
            graph_request_id: answered.graph_request_id.unwrap_or_default(),
            client_request_id: call.command.client_request_id.as_str().to_owned(),
        })
    }

    async fn watch(
        &self,
        mut request: Request<pb::WatchIncidentTaskRequest>,
    ) -> Result<BoxStream<'static, Result<pb::WatchIncidentTaskResponse, Status>>, Failure> {
        let context = request.extensions_mut().remove();
        let StreamContext { until, closing } = context.ok_or_else(without_context)?;
        let call = self.call(request, validate::watch)?;
        let watcher = async {
            take_place(&call).await?;
            self.calls.watch(&call, until, closing).await
        };
        let watcher = watcher.await.map_err(|failure| marked(failure, &call))?;
        // What is left of the call marks its errors; its place is given back.
        let (span, id) = (call.span, call.command.client_request_id.into_string());
        let updates = stream::unfold(watcher, |mut watcher| async {
            let next = watcher.next().await?;
            Some((next, watcher))
        });
        let messages = updates.map(move |update| match update {
            Ok(update) => Ok(watched(&update)),
            Err(mut failure) => {
                // The readings have ids of their own.
                failure.client_request_id = Some(id.clone());
                tracing::info!(
                    parent: span.span(),
                    reason = status::reason(&failure),
                    client_request_id = id,
                    error = &failure as &dyn std::error::Error,
                    "a watch has ended before its task"
                );
                Err(status::from_failure(failure))
            }
        });
        Ok(messages.boxed())
    }
}

#[tonic::async_trait]
impl IncidentTaskService for IncidentTasks {
    async fn execute_response_action(
        &self,
        request: Request<pb::ExecuteResponseActionRequest>,
    ) -> Result<Response<pb::ExecuteResponseActionResponse>, Status> {
        let done = self.execute(request).await;
        done.map_err(status::from_failure)
    }

    async fn get_incident_task(
        &self,
        request: Request<pb::GetIncidentTaskRequest>,
    ) -> Result<Response<pb::GetIncidentTaskResponse>, Status> {
        let (answered, command) = self
            .ask(request, validate::get)
            .await
            .map_err(|failure| refused(failure, Effect::Nothing))?;
        Ok(Response::new(pb::GetIncidentTaskResponse {
            incident_task: Some(task::task(answered.found)),
            graph_request_id: answered.graph_request_id.unwrap_or_default(),
            client_request_id: command.client_request_id.into_string(),
        }))
    }

    async fn list_incident_tasks(
        &self,
        request: Request<pb::ListIncidentTasksRequest>,
    ) -> Result<Response<pb::ListIncidentTasksResponse>, Status> {
        let (answered, command) = self
            .ask(request, validate::list)
            .await
            .map_err(|failure| refused(failure, Effect::Nothing))?;
        Ok(Response::new(listed(answered, command)))
    }

    async fn update_incident_task(
        &self,
        request: Request<pb::UpdateIncidentTaskRequest>,
    ) -> Result<Response<pb::UpdateIncidentTaskResponse>, Status> {
        let updated = self.update(request).await;
        updated
            .map(Response::new)
            .map_err(|failure| refused(failure, Effect::Update))
    }

    type WatchIncidentTaskStream =
        BoxStream<'static, Result<pb::WatchIncidentTaskResponse, Status>>;

    async fn watch_incident_task(
        &self,
        request: Request<pb::WatchIncidentTaskRequest>,
    ) -> Result<Response<Self::WatchIncidentTaskStream>, Status> {
        let messages = self.watch(request).await;
        messages
            .map(Response::new)
            .map_err(|failure| refused(failure, Effect::Nothing))
    }
}

/// Only when all of the message is there: a caller who is slow to send, or has no token,
/// holds no place.
async fn take_place<W>(call: &Call<W>) -> Result<(), Failure> {
    call.place.take(call.deadline).await
}

/// A failure that no attempt has marked has the id that the call would have been sent under.
fn marked<W>(mut failure: Failure, call: &Call<W>) -> Failure {
    let id = &mut failure.client_request_id;
    id.get_or_insert_with(|| call.command.client_request_id.as_str().to_owned());
    failure
}

fn refused(failure: Failure, effect: Effect) -> Status {
    status::from_failure(failure.with_effect(effect))
}

fn without_context() -> Failure {
    Failure::new(Kind::GatewayFault, "the call has no context")
}

fn listed(answered: Answered<Page>, command: Command<ListTasks>) -> pb::ListIncidentTasksResponse {
    let Page { tasks, next } = answered.found;
    let selection = command.what.selection();
    let token = next.map(|page| page_token::encode(&selection, &page));
    pb::ListIncidentTasksResponse {
        incident_tasks: tasks.into_iter().map(task::task).collect(),
        next_page_token: token.unwrap_or_default(),
        graph_request_id: answered.graph_request_id.unwrap_or_default(),
        client_request_id: command.client_request_id.into_string(),
    }
}

fn watched(showing: &Showing) -> pb::WatchIncidentTaskResponse {
    let reading = &showing.reading;
    pb::WatchIncidentTaskResponse {
        incident_task: Some(task::task(reading.task.clone())),
        read_time: Some(task::timestamp(reading.read_at)),
        is_final: showing.is_final,
        graph_request_id: reading.graph_request_id.clone().unwrap_or_default(),
    }
}
