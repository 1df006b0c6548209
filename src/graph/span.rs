//! The client span and the metric of one attempt, as the OpenTelemetry semantic
//! conventions for HTTP clients ask: one CLIENT span per request on the wire.

use std::sync::Arc;

use http::{HeaderMap, Version};
use opentelemetry::{
    Context, KeyValue, Value,
    trace::{Status, TraceContextExt as _},
};
use tokio::time::Instant;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::exchange::Exchange;
use crate::telemetry::{ClientRequest, Metrics, Propagator, Upstream, names};

/// The route of the action below the Graph root; it is part of the span's name.
pub(super) const URL_TEMPLATE: &str =
    "/security/incidentTasks/{incidentTaskId}/executeResponseAction";

/// What the telemetry of every attempt has in common.
#[derive(Debug)]
pub(super) struct AttemptTelemetry {
    upstream: Upstream,
    /// The URL with the template in place of the id: ids stay out of spans.
    url_full: Arc<str>,
    propagator: Propagator,
    metrics: Metrics,
}

/// One attempt under observation, from before it is sent to its end.
#[derive(Debug)]
pub(super) struct AttemptSpan<'a> {
    telemetry: &'a AttemptTelemetry,
    /// The same span as `tracing` knows it; it lives as long as this.
    _span: Span,
    /// Looked up once, and written to in batches, and only if it is sampled.
    context: Context,
    started: Instant,
}

// === impl AttemptTelemetry ===

impl AttemptTelemetry {
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
            url_full: Arc::from(format!("{url}{URL_TEMPLATE}")),
            propagator,
            metrics,
        }
    }

    /// Starts the span of one attempt as a child of `parent`.
    pub(super) fn start(&self, parent: &Span, resend_count: u32) -> AttemptSpan<'_> {
        let span = tracing::info_span!(
            parent: parent,
            "POST /security/incidentTasks/{incidentTaskId}/executeResponseAction",
            otel.kind = "client",
        );
        let context = span.context();
        if context.span().is_recording() {
            context
                .span()
                .set_attributes(self.request_attributes(resend_count));
        }
        AttemptSpan {
            telemetry: self,
            _span: span,
            context,
            started: Instant::now(),
        }
    }

    /// What is known of an attempt when it begins. As fields of the `tracing` span it
    /// would be copied into strings for every call, sampled or not.
    fn request_attributes(&self, resend_count: u32) -> impl Iterator<Item = KeyValue> {
        let url_full = Value::from(Arc::clone(&self.url_full));
        let resent = (resend_count > 0).then(|| i64::from(resend_count));
        [
            KeyValue::new(names::HTTP_REQUEST_METHOD, "POST"),
            KeyValue::new(names::URL_FULL, url_full),
            KeyValue::new(names::URL_TEMPLATE, URL_TEMPLATE),
            KeyValue::new(names::SERVER_ADDRESS, self.upstream.address()),
            KeyValue::new(names::SERVER_PORT, self.upstream.port()),
        ]
        .into_iter()
        .chain(resent.map(|count| KeyValue::new(names::HTTP_REQUEST_RESEND_COUNT, count)))
    }
}

// === impl AttemptSpan ===

impl AttemptSpan<'_> {
    /// Puts the trace context into the request's headers.
    pub(super) fn inject(&self, headers: &mut HeaderMap) {
        self.telemetry.propagator.inject(&self.context, headers);
    }

    /// Ends the span and records the metric.
    pub(super) fn end(self, exchange: &Exchange) {
        let reply = match &exchange.result {
            Ok(accepted) => Some((accepted.status, accepted.graph_request_id.as_ref())),
            Err(failure) => failure
                .reply
                .as_ref()
                .map(|reply| (reply.status, reply.request_id.as_ref())),
        };
        let status = reply.map(|(status, _)| status);
        let version = exchange.version.map(protocol_version);
        let span = self.context.span();
        if span.is_recording() {
            let outcome = super::outcome(&exchange.result);
            let graph_request_id = reply.and_then(|(_, id)| id.cloned());
            let error_type = exchange
                .error_type
                .map(Into::into)
                .or_else(|| names::error_type_of_status(status?));
            if error_type.is_some() {
                span.set_status(Status::error(""));
            }
            let attributes = [
                Some(KeyValue::new(names::ACTION_OUTCOME, outcome.as_str())),
                status.map(|status| {
                    KeyValue::new(names::HTTP_RESPONSE_STATUS_CODE, i64::from(status))
                }),
                graph_request_id.map(|id| KeyValue::new(names::GRAPH_REQUEST_ID, id)),
                version.map(|version| KeyValue::new(names::NETWORK_PROTOCOL_VERSION, version)),
                error_type.map(|error_type| KeyValue::new(names::ERROR_TYPE, error_type)),
            ];
            span.set_attributes(attributes.into_iter().flatten());
        }
        span.end();
        self.telemetry.metrics.client_request(
            ClientRequest {
                upstream: &self.telemetry.upstream,
                method: "POST",
                status,
                error_type: exchange.error_type,
                protocol_version: version,
            },
            self.started.elapsed(),
        );
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
