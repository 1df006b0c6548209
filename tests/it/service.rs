//! What the server makes of a service that has begun a call: no outcome is guessed
//! from the clock or from the form of an answer.

use std::{future::poll_fn, pin::pin, sync::Arc, time::Duration};

use futures_util::stream;
use incidentgate::{
    pb::{
        self, ExecuteResponseActionRequest, ExecuteResponseActionResponse,
        incident_task_service_client::IncidentTaskServiceClient,
        incident_task_service_server::{IncidentTaskService, IncidentTaskServiceServer},
    },
    rpc::{CallContext, PlaceLimits},
    server::{self, Front, Lifecycle, Limits, Services},
    telemetry::{Metrics, Propagator},
};
use tokio::{net::TcpListener, time::sleep_until};
use tonic::{Request, Response, Status, transport::Channel};

use crate::support::{answer, request};

/// A service of which one RPC is called.
#[tonic::async_trait]
trait Execute: Send + Sync + 'static {
    async fn execute(
        &self,
        request: Request<ExecuteResponseActionRequest>,
    ) -> Result<Response<ExecuteResponseActionResponse>, Status>;
}

struct Only<S>(S);

#[tonic::async_trait]
impl<S: Execute> IncidentTaskService for Only<S> {
    async fn execute_response_action(
        &self,
        request: Request<ExecuteResponseActionRequest>,
    ) -> Result<Response<ExecuteResponseActionResponse>, Status> {
        self.0.execute(request).await
    }

    async fn get_incident_task(
        &self,
        _: Request<pb::GetIncidentTaskRequest>,
    ) -> Result<Response<pb::GetIncidentTaskResponse>, Status> {
        Err(not_called())
    }

    async fn list_incident_tasks(
        &self,
        _: Request<pb::ListIncidentTasksRequest>,
    ) -> Result<Response<pb::ListIncidentTasksResponse>, Status> {
        Err(not_called())
    }

    async fn update_incident_task(
        &self,
        _: Request<pb::UpdateIncidentTaskRequest>,
    ) -> Result<Response<pb::UpdateIncidentTaskResponse>, Status> {
        Err(not_called())
    }

    type WatchIncidentTaskStream = stream::Empty<Result<pb::WatchIncidentTaskResponse, Status>>;

    async fn watch_incident_task(
        &self,
        _: Request<pb::WatchIncidentTaskRequest>,
    ) -> Result<Response<Self::WatchIncidentTaskStream>, Status> {
        Err(not_called())
    }
}

fn not_called() -> Status {
    Status::unimplemented("not called")
}

/// Answers at its deadline, but its thread stands still just after it has looked at
/// the clock.
struct Stalling;

#[tonic::async_trait]
impl Execute for Stalling {
    async fn execute(
        &self,
        mut request: Request<ExecuteResponseActionRequest>,
    ) -> Result<Response<ExecuteResponseActionResponse>, Status> {
        let CallContext {
            deadline, place, ..
        } = request.extensions_mut().remove().unwrap();
        place.begin();
        let mut deadline = pin!(sleep_until(deadline.answer_by()));
        let mut polls = 0;
        poll_fn(|cx| {
            let polled = deadline.as_mut().poll(cx);
            polls += 1;
            if polls == 1 {
                // Now all timers of the call are set.
                cx.waker().wake_by_ref();
            } else if polls == 2 {
                // Longer than what lies between this alarm and the server's.
                std::thread::sleep(Duration::from_millis(600));
            }
            polled
        })
        .await;
        Ok(Response::new(ExecuteResponseActionResponse::default()))
    }
}

/// Fails without a word of what has become of the action.
struct Terse {
    begins: bool,
}

#[tonic::async_trait]
impl Execute for Terse {
    async fn execute(
        &self,
        mut request: Request<ExecuteResponseActionRequest>,
    ) -> Result<Response<ExecuteResponseActionResponse>, Status> {
        let context: CallContext = request.extensions_mut().remove().unwrap();
        if self.begins {
            context.place.begin();
        }
        Err(Status::internal("a bug"))
    }
}

fn limits() -> Limits {
    let long = Duration::from_secs(60);
    Limits {
        max_connections: 1,
        max_concurrent_streams: 1,
        max_watchers: 1,
        max_header_list_size: 16 * 1024,
        places: PlaceLimits {
            max_open: 16,
            max_in_flight: 1,
            max_waiting: 0,
            max_wait: Duration::ZERO,
        },
        handshake_timeout: long,
        idle_timeout: long,
        max_connection_age: long,
        max_connection_age_grace: long,
        keepalive_interval: long,
        keepalive_timeout: long,
        default_deadline: Duration::from_millis(300),
        max_deadline: Duration::from_millis(300),
    }
}

async fn serving(service: impl Execute) -> IncidentTaskServiceClient<Channel> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let lifecycle = Lifecycle::default();
    let front = Front::new(
        Services::new(IncidentTaskServiceServer::new(Only(service))),
        limits(),
        incidentgate::callers::Callers::open(),
        lifecycle.clone(),
        Propagator::default(),
        Metrics::disabled(),
    );
    tokio::spawn(server::serve(listener, None, Arc::new(front), lifecycle));
    IncidentTaskServiceClient::connect(url).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_a_machine_that_stood_still_only_the_call_says_what_was_sent() {
    let mut client = serving(Stalling).await;
    client
        .execute_response_action(request("213213"))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_error_without_details_is_unknown_once_something_may_have_been_sent() {
    for (begins, reason, outcome) in [
        (false, "INVALID_REQUEST", "NOT_STARTED"),
        (true, "GATEWAY_FAULT", "UNKNOWN"),
    ] {
        let mut client = serving(Terse { begins }).await;
        let error = client.execute_response_action(request("213213")).await;
        let error = answer(&error.unwrap_err());
        assert_eq!((&*error.reason, &*error.outcome), (reason, outcome));
    }
}
