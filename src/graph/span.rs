//! The client span and the metric of one request, as the OpenTelemetry semantic
//! conventions for HTTP clients ask: one CLIENT span per request on the wire.

use std::sync::Arc;

use http::{HeaderMap, Version};
use opentelemetry::{KeyValue, Value};
use tokio::time::Instant;
use tracing::Span;

use super::exchange::{Answer, Exchange};
use crate::telemetry::{ActiveSpan, ClientRequest, Metrics, Propagator, Upstream, names};

/// The routes below the Graph root; they are part of the spans' names.
const EXECUTE_TEMPLATE: &str = "/security/incidentTasks/{incidentTaskId}/executeResponseAction";
const TASK_TEMPLATE: &str = "/security/incidentTasks/{incidentTaskId}";
const TASKS_TEMPLATE: &str = "/security/incidentTasks";

/// Which request of Graph's API it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Start a task's action.
    Execute,
    /// Read a task.
    Read,
    /// Change a task.
    Update,
    /// Read the tasks.
    List,
}

/// What the telemetry of every request has in common.
#[derive(Debug)]
pub(super) struct RequestTelemetry {
    upstream: Upstream,
    /// The URLs with the template in place of the id: ids stay out of spans.
    execute_url: Arc<str>,
    task_url: Arc<str>,
    tasks_url: Arc<str>,
    propagator: Propagator,
    metrics: Metrics,
}

/// One request under observation, from before it is sent to its end. Dropped
/// before [`RequestSpan::end`], it counts as cancelled.
#[derive(Debug)]
pub(super) struct RequestSpan<'a> {
    telemetry: &'a RequestTelemetry,
    operation: Operation,
    span: ActiveSpan,
    started: Instant,
    ended: bool,
}

// === impl Operation ===

impl Operation {
    fn method(self) -> &'static str {
        match self {
            Self::Execute => "POST",
            Self::Read | Self::List => "GET",
            Self::Update => "PATCH",
        }
    }

    fn template(self) -> &'static str {
        match self {
            Self::Execute => EXECUTE_TEMPLATE,
            Self::Read | Self::Update => TASK_TEMPLATE,
            Self::List => TASKS_TEMPLATE,
        }
    }

    /// A span's name is part of its static metadata, hence one macro for each.
    fn span(self, parent: &Span) -> Span {
        match self {
            Self::Execute => tracing::info_span!(
                parent: parent,
                "POST /security/incidentTasks/{incidentTaskId}/executeResponseAction",
                otel.kind = "client",
            ),
            Self::Read => tracing::info_span!(
                parent: parent,
                "GET /security/incidentTasks/{incidentTaskId}",
                otel.kind = "client",
            ),
            Self::Update => tracing::info_span!(
                parent: parent,
                "PATCH /security/incidentTasks/{incidentTaskId}",
                otel.kind = "client",
            ),
            Self::List => tracing::info_span!(
                parent: parent,
                "GET /security/incidentTasks",
                otel.kind = "client",
            ),
        }
    }
}

// === impl RequestTelemetry ===

impl RequestTelemetry {
    /// `url` is the root of Graph; `address` and `port` are its host's.
    pub(super) fn new(
        url: &str,
        address: &str,
        port: u16,
        propagator: Propagator,
        metrics: Metrics,
    ) -> Self {
        Self {
            upstream: Upstream::new(address, port),
            execute_url: Arc::from(format!("{url}{EXECUTE_TEMPLATE}")),
            task_url: Arc::from(format!("{url}{TASK_TEMPLATE}")),
            tasks_url: Arc::from(format!("{url}{TASKS_TEMPLATE}")),
            propagator,
            metrics,
        }
    }

    /// Starts the span of one request as a child of `parent`. `number` is 1 for the first
    /// one of its call.
    pub(super) fn start(
        &self,
        parent: &Span,
        operation: Operation,
        number: u32,
    ) -> RequestSpan<'_> {
        let span = ActiveSpan::begin(operation.span(parent));
        span.add(|| self.request_attributes(operation, number));
        RequestSpan {
            telemetry: self,
            operation,
            span,
            started: Instant::now(),
            ended: false,
        }
    }

    /// What is known of a request when it begins. As fields of the `tracing` span it
    /// would be copied into strings for every call, sampled or not.
    fn request_attributes(
        &self,
        operation: Operation,
        number: u32,
    ) -> impl Iterator<Item = KeyValue> {
        let url_full = match operation {
            Operation::Execute => &self.execute_url,
            Operation::Read | Operation::Update => &self.task_url,
            Operation::List => &self.tasks_url,
        };
        let resent = (number > 1).then(|| i64::from(number - 1));
        [
            KeyValue::new(names::HTTP_REQUEST_METHOD, operation.method()),
            KeyValue::new(names::URL_FULL, Value::from(Arc::clone(url_full))),
            KeyValue::new(names::URL_TEMPLATE, operation.template()),
            KeyValue::new(names::SERVER_ADDRESS, self.upstream.address()),
            KeyValue::new(names::SERVER_PORT, self.upstream.port()),
        ]
        .into_iter()
        .chain(resent.map(|count| KeyValue::new(names::HTTP_REQUEST_RESEND_COUNT, count)))
    }
}

// === impl RequestSpan ===

impl RequestSpan<'_> {
    /// Puts the trace context into the request's headers.
    pub(super) fn inject(&self, headers: &mut HeaderMap) {
        self.telemetry
            .propagator
            .inject(self.span.context(), headers);
    }

    /// Ends the span and records the metric.
    pub(super) fn end<T: Answer>(mut self, exchange: &Exchange<T>) {
        let status = exchange.status();
        let version = exchange.version.map(protocol_version);
        self.settle(status, version, exchange.error_type, || {
            let graph_request_id = exchange.graph_request_id().map(str::to_owned);
            [
                T::finding(&exchange.result),
                graph_request_id.map(|id| KeyValue::new(names::GRAPH_REQUEST_ID, id)),
            ]
        });
    }

    fn settle(
        &mut self,
        status: Option<u16>,
        version: Option<&'static str>,
        error_type: Option<&'static str>,
        further: impl FnOnce() -> [Option<KeyValue>; 2],
    ) {
        self.ended = true;
        self.span.add(|| {
            let error_type = error_type
                .map(Into::into)
                .or_else(|| names::error_type_of_status(status?));
            if error_type.is_some() {
                self.span.fail();
            }
            let attributes = [
                status.map(|status| {
                    KeyValue::new(names::HTTP_RESPONSE_STATUS_CODE, i64::from(status))
                }),
                version.map(|version| KeyValue::new(names::NETWORK_PROTOCOL_VERSION, version)),
                error_type.map(|error_type| KeyValue::new(names::ERROR_TYPE, error_type)),
            ];
            attributes.into_iter().chain(further()).flatten()
        });
        self.span.end();
        self.telemetry.metrics.client_request(
            ClientRequest {
                upstream: &self.telemetry.upstream,
                method: self.operation.method(),
                status,
                error_type,
                protocol_version: version,
            },
            self.started.elapsed(),
        );
    }
}

impl Drop for RequestSpan<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.settle(None, None, Some(names::ERROR_CANCELLED), || [None, None]);
        }
    }
}

/// As `network.protocol.version` spells it.
fn protocol_version(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}
