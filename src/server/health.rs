//! `grpc.health.v1`: Check, List and Watch, as the protocol and gRFC A90 have
//! them. It starts `NOT_SERVING`, and every Watch ends with the drain.

use std::{collections::HashMap, pin::Pin};

use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::pb::health::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
    health_check_response::ServingStatus, health_server,
};

/// The services that health is asked for: the server as a whole, and the one that
/// it is there for. They serve or do not serve together.
const SERVICES: [&str; 2] = ["", "incidentgate.v1.IncidentTaskService"];

/// Whether the server takes calls. Clones are the same state.
#[derive(Debug, Clone)]
pub struct Health {
    serving: watch::Sender<bool>,
    closing: CancellationToken,
}

// === impl Health ===

impl Health {
    /// Not serving yet. Once `closing` is cancelled, every Watch ends.
    pub fn new(closing: CancellationToken) -> Self {
        Self {
            serving: watch::Sender::new(false),
            closing,
        }
    }

    /// From now on the server takes calls.
    pub fn start_serving(&self) {
        self.serving.send_replace(true);
    }

    /// From now on callers should go elsewhere.
    pub fn stop_serving(&self) {
        self.serving.send_replace(false);
    }

    fn now(&self) -> HealthCheckResponse {
        response(serving_status(*self.serving.borrow()))
    }
}

#[tonic::async_trait]
impl health_server::Health for Health {
    type WatchStream =
        Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send + 'static>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if is_known(request.get_ref()) {
            Ok(Response::new(self.now()))
        } else {
            Err(Status::not_found("no such service"))
        }
    }

    async fn list(
        &self,
        _: Request<HealthListRequest>,
    ) -> Result<Response<HealthListResponse>, Status> {
        let statuses: HashMap<_, _> = SERVICES
            .into_iter()
            .map(|service| (service.to_owned(), self.now()))
            .collect();
        Ok(Response::new(HealthListResponse { statuses }))
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let closing = self.closing.clone();
        let updates = if is_known(request.get_ref()) {
            watch_serving(self.serving.subscribe(), closing).boxed()
        } else {
            // It may come to be: the protocol keeps the stream open.
            stream::once(async { ServingStatus::ServiceUnknown })
                .chain(stream::pending())
                .take_until(closing.cancelled_owned())
                .boxed()
        };
        let ended = stream::once(async {
            Err(Status::unavailable(
                "the server is shutting down; watch another one",
            ))
        });
        let stream = updates.map(|status| Ok(response(status))).chain(ended);
        Ok(Response::new(Box::pin(stream)))
    }
}

/// The status now and after each change, until `closing`. A change that came before
/// the end is told, however soon the end follows.
fn watch_serving(
    updates: watch::Receiver<bool>,
    closing: CancellationToken,
) -> impl Stream<Item = ServingStatus> + Send {
    stream::unfold(
        (updates, closing, true),
        |(mut updates, closing, first)| async move {
            if !first {
                tokio::select! {
                    biased;
                    changed = updates.changed() => changed.ok()?,
                    () = closing.cancelled() => return None,
                }
            }
            let serving = *updates.borrow_and_update();
            Some((serving_status(serving), (updates, closing, false)))
        },
    )
}

fn is_known(request: &HealthCheckRequest) -> bool {
    SERVICES.contains(&request.service.as_str())
}

fn serving_status(serving: bool) -> ServingStatus {
    if serving {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}
