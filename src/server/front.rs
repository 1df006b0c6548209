//! What happens to a request before and after its service, in this order:
//!
//! ```text
//! is it gRPC -> span -> draining? -> deadline -> who calls? -> service -> encoding
//! ```

use std::{panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use http::{Method as HttpMethod, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until, timeout_at},
};
use tonic::{Code, Status, body::Body, service::Routes};

use super::{
    Limits, grpc_timeout,
    lifecycle::Lifecycle,
    method::{Method, TaskMethod},
    observation::{Observation, Remote},
    reply::{self, Held, ReplyBody},
    services::Services,
    wire::OpenStream,
};
use crate::{
    caller::Caller,
    callers::{Callers, Presented, Rpc},
    deadline::Deadline,
    failure::{Effect, Failure, Kind, Outcome},
    rpc::{CallContext, Place, PlaceLimits, Places, StreamContext, Succeeded, overloaded, status},
    telemetry::{Metrics, Propagator},
};

/// A call that has begun answers by its own deadline. One that has not begun this
/// much later is stuck before its service: a request whose message never ends.
const STUCK: Duration = Duration::from_millis(100);
/// Streams of health and reflection, and requests that are no calls, which all connections
/// may have open together beyond those that each has of its own. One costs up to 15 KiB.
const SHARED_SEATS: usize = 8192;
/// The longest deadline of a watch that is kept: a connection does not live as long.
const MAX_WATCH: Duration = Duration::from_secs(7 * 24 * 3600);
/// The most pages of tasks at a time, from before they are asked for until they are taken.
/// One costs up to 10 MiB on its way through.
const MAX_PAGES: usize = 8;
const MESSAGE_LATE: &str = "the deadline passed before the request's message had arrived";
const NOT_KNOWN: &str = "the deadline passed before it was known who calls";
const NOT_BEGUN: &str = "the deadline passed before the request's message had arrived, or while the call waited for a place";

/// The services and everything in front of them.
#[derive(Debug)]
pub struct Front {
    services: Services,
    limits: Limits,
    places: Places,
    /// Seats for streams beside the calls.
    beside: Arc<Semaphore>,
    /// Seats for those who follow a task.
    watchers: Arc<Semaphore>,
    /// Places for calls that list tasks.
    pages: Places,
    callers: Callers,
    lifecycle: Lifecycle,
    propagator: Propagator,
    metrics: Metrics,
}

impl Front {
    /// Puts the limits in front of the services.
    pub fn new(
        services: Services,
        limits: Limits,
        callers: Callers,
        lifecycle: Lifecycle,
        propagator: Propagator,
        metrics: Metrics,
    ) -> Self {
        let closing = lifecycle.closing().clone();
        Self {
            services,
            pages: Places::new(
                PlaceLimits {
                    max_in_flight: MAX_PAGES,
                    ..limits.places
                },
                closing.clone(),
                metrics.clone(),
            ),
            places: Places::new(limits.places, closing, metrics.clone()),
            watchers: Arc::new(Semaphore::new(limits.max_watchers)),
            limits,
            beside: Arc::new(Semaphore::new(SHARED_SEATS)),
            callers,
            lifecycle,
            propagator,
            metrics,
        }
    }

    /// Further services, behind the same limits.
    #[must_use]
    pub fn with_services(mut self, add: impl FnOnce(Routes) -> Routes) -> Self {
        self.services = self.services.with(add);
        self
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Answers one request. Dropping the future is how a caller leaves.
    pub(super) async fn handle(
        self: Arc<Self>,
        request: Box<Request<Incoming>>,
        remote: Arc<Remote>,
        stream: OpenStream,
    ) -> Response<ReplyBody> {
        let mut held = Held {
            stream,
            open: None,
            page: None,
            call: None,
        };
        let is_call = request.method() == HttpMethod::POST && is_grpc(&request);
        let method = Method::of(request.uri().path());
        let is_beside = !is_call || matches!(method, Method::Health | Method::Reflection);
        if is_beside && !held.stream.sit_beside(&self.beside) {
            return refused(crowded(), held);
        }
        if request.method() != HttpMethod::POST {
            return reply::plain(
                StatusCode::METHOD_NOT_ALLOWED,
                (header::ALLOW, "POST"),
                "this is a gRPC server: only POST is allowed\n",
                held,
            );
        }
        if !is_grpc(&request) {
            return reply::plain(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                (header::ACCEPT, "application/grpc"),
                "this is a gRPC server: the content-type must be application/grpc\n",
                held,
            );
        }
        match method {
            Method::Health => return self.infrastructure(method, request, held).await,
            // Boxed: every call would have the room for it.
            Method::Reflection => return self.reflection(request, &remote, held).boxed().await,
            Method::Task(_) | Method::Unknown => {}
        }
        let mut observation =
            Observation::start(&request, method, &remote, &self.propagator, &self.metrics);
        let mut response = match self
            .answer(request, method, &mut observation, &remote, &mut held)
            .await
        {
            Ok(response) => response,
            Err(failure) => {
                let failure = failure.with_effect(method.effect());
                status::from_failure(failure).into_http()
            }
        };
        let succeeded = response.extensions_mut().remove::<Succeeded>();
        let status = response.extensions_mut().remove::<Status>();
        let failure = status.as_ref().and_then(status::failure);
        if failure.is_some() {
            reply::leave_out_of_table(response.headers_mut());
        }
        if failure.is_some_and(|failure| failure.outcome() == Outcome::Unknown) {
            response = reply::commit(response);
        }
        let in_headers = reply::code(response.headers());
        observation.expect(status, succeeded.map(|Succeeded(outcome)| outcome));
        match in_headers {
            // Nothing but the headers is sent.
            Some(code) => {
                observation.end(code);
                response.map(|body| ReplyBody::new(body, None, held))
            }
            None => response.map(|body| ReplyBody::new(body, Some(observation), held)),
        }
    }

    async fn answer(
        &self,
        mut request: Box<Request<Incoming>>,
        method: Method,
        observation: &mut Observation,
        remote: &Remote,
        held: &mut Held,
    ) -> Result<Response<Body>, Failure> {
        held.call = Some(self.lifecycle.admit().ok_or_else(draining)?);
        let deadline = self.deadline(&request)?;
        let mut place = None;
        held.open = Some(self.open(method)?);
        if let Method::Task(called) = method {
            let caller = self.identify(&request, remote, deadline).await?;
            observation.called_by(&caller);
            let caller = self.callers.permit(caller, called.rpc())?;
            if called == TaskMethod::WatchIncidentTask {
                let context = stream_context(&request, remote)?;
                request.extensions_mut().insert(context);
            }
            let is_list = called == TaskMethod::ListIncidentTasks;
            let places = if is_list { &self.pages } else { &self.places };
            let place = place.insert(Place::new(places.clone()));
            held.page = is_list.then(|| place.clone());
            request.extensions_mut().insert(CallContext {
                deadline,
                peer: Arc::clone(remote.peer()),
                caller,
                span: observation.span().clone(),
                place: place.clone(),
            });
        }
        let call = async move { self.services.call(method, request).await };
        let call = AssertUnwindSafe(call).catch_unwind();
        let mut call = pin!(call);
        let answer = match timeout_at(deadline.expires() + STUCK, &mut call).await {
            Ok(answer) => answer,
            // Where the machine stood still, this alarm can be seen before the call
            // has seen its own; what has been sent by then, only the call knows.
            Err(_elapsed) if place.as_ref().is_some_and(Place::has_begun) => call.await,
            Err(_elapsed) => return Err(Failure::new(Kind::DeadlineBeforeSend, NOT_BEGUN)),
        };
        let Ok(Ok(response)) = answer else {
            return Err(fault(method.effect()));
        };
        match (bare_error(&response), place, method) {
            (Some(status), Some(place), _) if place.has_begun() => {
                Err(fault(method.effect()).because(status))
            }
            // tonic answers so by itself before it calls the service.
            (Some(status), Some(_), Method::Task(called)) => {
                let status = status::adopt(&status, called.short_name(), method.effect());
                Ok(status.into_http())
            }
            _ => Ok(response),
        }
    }

    /// The call's part of what may be open. Whatever the method: an unknown one, too, is a
    /// call that costs memory. Watches last, and are not to take the place of actions.
    fn open(&self, method: Method) -> Result<OwnedSemaphorePermit, Failure> {
        if method != Method::Task(TaskMethod::WatchIncidentTask) {
            return self.places.open();
        }
        let watcher = Arc::clone(&self.watchers).try_acquire_owned();
        watcher.map_err(|_| {
            self.metrics.call_without_place();
            overloaded("this gateway has as many watches as it may; watch the task again later")
        })
    }

    /// Who calls, as far as it can be known in time.
    async fn identify(
        &self,
        request: &Request<Incoming>,
        remote: &Remote,
        deadline: Deadline,
    ) -> Result<Caller, Failure> {
        let peer = remote.peer();
        let presented = Presented {
            metadata: request.headers(),
            certificate: peer.certificate.as_ref(),
            is_local: peer.is_local(),
        };
        let identified = self.callers.identify(presented);
        match timeout_at(deadline.expires(), identified).await {
            Ok(identified) => identified,
            Err(_elapsed) => Err(Failure::new(Kind::DeadlineBeforeSend, NOT_KNOWN)),
        }
    }

    /// Reflection, for those who may.
    async fn reflection(
        &self,
        request: Box<Request<Incoming>>,
        remote: &Remote,
        held: Held,
    ) -> Response<ReplyBody> {
        let permitted = async {
            let deadline = self.deadline(&request)?;
            let caller = self.identify(&request, remote, deadline).await?;
            self.callers.permit(caller, Rpc::Reflection)
        };
        match permitted.await {
            Ok(_caller) => self.infrastructure(Method::Reflection, request, held).await,
            Err(failure) => {
                tracing::info!(
                    peer = %remote.peer().text(),
                    error = &failure as &dyn std::error::Error,
                    "reflection was refused"
                );
                refused(failure, held)
            }
        }
    }

    /// Health and reflection: no span, no place among the calls, but the caller's deadline.
    async fn infrastructure(
        &self,
        method: Method,
        request: Box<Request<Incoming>>,
        held: Held,
    ) -> Response<ReplyBody> {
        let deadline = match self.deadline(&request) {
            Ok(deadline) => deadline,
            Err(failure) => return refused(failure, held),
        };
        let has_deadline = request.headers().contains_key(grpc_timeout::GRPC_TIMEOUT);
        let answer = self.services.call(method, request);
        // Streams get their headers at once, so this bounds only how long a message
        // may take to arrive.
        let response = match timeout_at(deadline.expires(), answer).await {
            Ok(Ok(response)) => response,
            Err(_elapsed) => Status::deadline_exceeded(MESSAGE_LATE).into_http(),
        };
        response.map(|body| {
            let body = ReplyBody::new(body, None, held);
            if has_deadline {
                body.until(sleep_until(deadline.expires()))
            } else {
                // A Watch without a deadline lasts as long as its caller likes.
                body
            }
        })
    }

    fn deadline(&self, request: &Request<Incoming>) -> Result<Deadline, Failure> {
        let timeout = grpc_timeout::effective(
            request.headers(),
            self.limits.default_deadline,
            self.limits.max_deadline,
        )?;
        Ok(Deadline::new(Instant::now(), timeout))
    }
}

/// `application/grpc` or `application/grpc+proto`, with or without parameters. Whatever
/// else there is behind the plus, its messages are not Protocol Buffers; and
/// `application/grpc-web` is another protocol. gRPC over HTTP/2 asks for 415 then.
fn is_grpc<B>(request: &Request<B>) -> bool {
    request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.as_bytes().strip_prefix(b"application/grpc"))
        .map(|rest| rest.strip_prefix(b"+proto").unwrap_or(rest))
        .is_some_and(|rest| matches!(rest.first(), None | Some(b';')))
}

/// An error without the details that every error of the service has: an unreadable
/// message, an unknown method.
fn bare_error(response: &Response<Body>) -> Option<Status> {
    let headers = response.headers();
    let is_bare = reply::code(headers).is_some_and(|code| code != Code::Ok)
        && !headers.contains_key(reply::GRPC_STATUS_DETAILS);
    is_bare.then(|| Status::from_header_map(headers)).flatten()
}

fn refused(failure: Failure, held: Held) -> Response<ReplyBody> {
    let response = status::from_failure(failure).into_http();
    response.map(|body| ReplyBody::new(body, None, held))
}

fn crowded() -> Failure {
    Failure::new(
        Kind::GatewayOverloaded,
        "this connection has as many streams of health and reflection open as it may; end some, or use another connection",
    )
    .with_retry_after(Kind::GatewayOverloaded.usual_delay())
}

fn draining() -> Failure {
    Failure::new(
        Kind::GatewayDraining,
        "this gateway is shutting down and takes no more calls; send the call again",
    )
}

/// Until when the caller of a stream reads, and what ends it before.
fn stream_context(request: &Request<Incoming>, remote: &Remote) -> Result<StreamContext, Failure> {
    let asked = grpc_timeout::asked(request.headers())?;
    let until = asked.map(|timeout| Deadline::new(Instant::now(), timeout.min(MAX_WATCH)));
    let closing = remote.closing().clone();
    Ok(StreamContext { until, closing })
}

fn fault(effect: Effect) -> Failure {
    let what = "the gateway failed while it handled the call";
    let message = match effect.doubt() {
        Some(doubt) => format!("{what}, and {doubt}"),
        None => what.to_owned(),
    };
    let mut failure = Failure::new(Kind::GatewayFault, message);
    failure.in_doubt = effect == Effect::Update;
    failure
}
