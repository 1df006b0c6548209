//! `grpc.health.v1`: Check, List and Watch, as the protocol and gRFC A90 have
//! them. It starts `NOT_SERVING`, and every Watch ends with the drain.
//!
//! Beside the services there is a detail, `incidentgate.graph.throttle`: `NOT_SERVING`
//! while Graph has asked a credential to wait. It is there to be looked at, and never
//! changes the status of a service: one credential that waits must not take the others'
//! server away.

use std::{collections::HashMap, pin::Pin};

use futures_util::{Stream, StreamExt as _, stream};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::pb::health::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
    health_check_response::ServingStatus, health_server,
};

/// The services that health is asked for: the server as a whole, and the one that
/// it is there for. They serve or do not serve together.
const SERVICES: [&str; 2] = ["", "incidentgate.v1.IncidentTaskService"];

/// Whether calls of all credentials go to Graph.
const THROTTLE: &str = "incidentgate.graph.throttle";

/// Whether the server takes calls, and whether Graph has asked a credential to wait.
/// Clones are the same state.
#[derive(Debug, Clone)]
pub struct Health {
    serving: watch::Sender<bool>,
    throttled_until: watch::Receiver<Option<Instant>>,
    closing: CancellationToken,
}

/// What is told of a name.
#[derive(Debug, Clone, Copy)]
struct Reading {
    status: ServingStatus,
    /// When it changes by itself.
    until: Option<Instant>,
}

// === impl Health ===

impl Health {
    /// Not serving yet. `throttled_until` is until when Graph has asked at least one
    /// credential to wait. Once `closing` is cancelled, every Watch ends.
    pub fn new(
        throttled_until: watch::Receiver<Option<Instant>>,
        closing: CancellationToken,
    ) -> Self {
        Self {
            serving: watch::Sender::new(false),
            throttled_until,
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

    fn now(&self, service: &str) -> Option<ServingStatus> {
        if service == THROTTLE {
            Some(throttle(*self.throttled_until.borrow()).status)
        } else {
            SERVICES
                .contains(&service)
                .then(|| server(*self.serving.borrow()).status)
        }
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
        self.now(&request.get_ref().service)
            .map(|status| Response::new(response(status)))
            .ok_or_else(|| Status::not_found("no such service"))
    }

    async fn list(
        &self,
        _: Request<HealthListRequest>,
    ) -> Result<Response<HealthListResponse>, Status> {
        let statuses: HashMap<_, _> = SERVICES
            .into_iter()
            .chain([THROTTLE])
            .filter_map(|name| Some((name.to_owned(), response(self.now(name)?))))
            .collect();
        Ok(Response::new(HealthListResponse { statuses }))
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let closing = self.closing.clone();
        let updates = match request.get_ref().service.as_str() {
            THROTTLE => changes(self.throttled_until.clone(), throttle, closing).boxed(),
            name if SERVICES.contains(&name) => {
                changes(self.serving.subscribe(), server, closing).boxed()
            }
            // It may come to be: the protocol keeps the stream open.
            _ => stream::once(async { ServingStatus::ServiceUnknown })
                .chain(stream::pending())
                .take_until(closing.cancelled_owned())
                .boxed(),
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
fn changes<T: Copy + Send + Sync + 'static>(
    updates: watch::Receiver<T>,
    read: fn(T) -> Reading,
    closing: CancellationToken,
) -> impl Stream<Item = ServingStatus> + Send {
    stream::unfold(
        (updates, closing, None),
        move |(mut updates, closing, told)| async move {
            loop {
                let value = *updates.borrow_and_update();
                let Reading { status, until } = read(value);
                if told != Some(status) {
                    return Some((status, (updates, closing, Some(status))));
                }
                tokio::select! {
                    biased;
                    changed = updates.changed() => changed.ok()?,
                    () = reached(until) => {}
                    () = closing.cancelled() => return None,
                }
            }
        },
    )
}

/// Returns at that moment; without one, never.
async fn reached(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

fn server(serving: bool) -> Reading {
    Reading {
        status: serving_status(serving),
        until: None,
    }
}

fn throttle(until: Option<Instant>) -> Reading {
    let until = until.filter(|&until| Instant::now() < until);
    Reading {
        status: serving_status(until.is_none()),
        until,
    }
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
