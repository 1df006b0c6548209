//! The services, and how a request finds its own.

use std::{convert::Infallible, sync::Arc};

use futures_util::{FutureExt as _, future::BoxFuture};
use http::{Request, Response};
use hyper::body::Incoming;
use tonic::{body::Body, service::Routes};
use tower::Service;

use super::method::Method;
use crate::pb::incident_task_service_server::{IncidentTaskService, IncidentTaskServiceServer};

/// What a service makes of a request.
type Answer = BoxFuture<'static, Result<Response<Body>, Infallible>>;

/// All services. Calls are handed to their own directly: [`Routes`] would look for its
/// path once more, and box its body on the way in and on the way out.
pub struct Services {
    tasks: Arc<dyn Fn(Request<Incoming>) -> Answer + Send + Sync>,
    routes: Routes,
}

// === impl Services ===

impl Services {
    /// The gateway's own service.
    pub fn new(tasks: IncidentTaskServiceServer<impl IncidentTaskService>) -> Self {
        let routes = Routes::new(tasks.clone());
        Self {
            tasks: Arc::new(move |request| tasks.clone().call(request)),
            routes: routes.prepare(),
        }
    }

    /// Further ones beside it.
    #[must_use]
    pub fn with(mut self, add: impl FnOnce(Routes) -> Routes) -> Self {
        self.routes = add(self.routes).prepare();
        self
    }

    /// The box is gone when this returns.
    pub(super) fn call(&self, method: Method, request: Box<Request<Incoming>>) -> Answer {
        match method {
            Method::Task(_) => (self.tasks)(*request),
            Method::Health | Method::Reflection | Method::Unknown => {
                self.routes.clone().call(*request).boxed()
            }
        }
    }
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services")
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}
