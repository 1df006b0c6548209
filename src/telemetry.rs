//! Log lines, spans and metrics: what the rest of the program tells the world about itself.
//!
//! | file | holds |
//! |---|---|
//! | `names` | every attribute and metric name |
//! | `settings` | the `OTEL_*` variables |
//! | `log_options`, `logs`, `log_line`, `log_writer` | log lines on stderr, and which spans exist |
//! | `metrics`, `instruments`, `bound`, `labels` | what is measured, and what tells their values apart |
//! | `active_span` | a span as both libraries know it |
//! | `propagation`, `b3` | trace context in and out |
//! | `export`, `http_collector` | providers, OTLP, shutdown |
//!
//! The program makes `tracing` spans of level INFO and fills them by
//! `tracing_opentelemetry::OpenTelemetrySpanExt`. Without an exporter the OpenTelemetry
//! layer is there all the same, with a tracer that does nothing: a span then has the
//! context of its caller, which therefore still reaches Graph and the log lines.

mod active_span;
mod b3;
mod bound;
mod export;
mod http_collector;
mod instruments;
pub mod labels;
mod log_line;
pub mod log_options;
mod log_writer;
mod logs;
pub mod metrics;
pub mod names;
pub mod propagation;
pub mod settings;
#[cfg(test)]
mod wire_tests;

use std::io::{Stderr, stderr};
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::Tracer;
use opentelemetry::trace::noop::NoopTracer;
use tracing::{Dispatch, Subscriber};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::{LookupSpan, Registry};

pub use self::active_span::ActiveSpan;
pub use self::labels::{
    AuditResult, ClientRequest, FetchOf, Outcome, Reconciled, Reloaded, ResendCause, Upstream,
    address_of_host,
};
pub use self::log_options::{LogFormat, LogOptions};
pub use self::metrics::{LevelGuard, Metrics};
pub use self::propagation::Propagator;
pub use self::settings::{Exporter, Protocol, Settings};

use self::export::Pipeline;
use self::log_writer::{Lines, LogWriter};
use self::logs::LogLayer;

/// The telemetry of the process. It exports until [`shutdown`](Self::shutdown).
#[derive(Debug)]
pub struct Telemetry {
    pipeline: Pipeline,
    metrics: Metrics,
    propagator: Propagator,
    warnings: Vec<String>,
    /// Log lines that are not written yet.
    lines: Option<Arc<Lines<Stderr>>>,
}

impl Telemetry {
    /// Builds everything and makes it the subscriber of the whole process, logging to stderr.
    ///
    /// Nothing here refuses to start: see [`warnings`](Self::warnings).
    pub fn init(settings: Settings, logs: LogOptions) -> Self {
        // The SDK and the exporter complain about variables while they are built.
        let early = Dispatch::new(subscriber(NoopTracer::new(), logs.clone(), stderr));
        let mut telemetry = tracing::dispatcher::with_default(&early, || Self::new(settings));
        drop(early);
        telemetry.warnings.extend_from_slice(logs.warnings());
        let writer = LogWriter::new(stderr());
        telemetry.lines = Some(writer.lines());
        let dispatch = telemetry.dispatch(logs, writer);
        if tracing::dispatcher::set_global_default(dispatch).is_err() {
            let warning = "another subscriber is installed: no logs and no spans come from here";
            telemetry.warnings.push(warning.to_owned());
        }
        telemetry
    }

    /// Builds everything and installs nothing.
    pub fn new(settings: Settings) -> Self {
        let mut warnings = settings.warnings.clone();
        let pipeline = Pipeline::build(&settings, &mut warnings);
        Self {
            metrics: pipeline.metrics(),
            propagator: settings.propagator,
            pipeline,
            warnings,
            lines: None,
        }
    }

    /// The subscriber that [`init`](Self::init) installs, for a scope or a writer of the caller's.
    pub fn dispatch<W>(&self, logs: LogOptions, writer: W) -> Dispatch
    where
        W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
    {
        match self.pipeline.tracer() {
            Some(tracer) => Dispatch::new(subscriber(tracer, logs, writer)),
            None => Dispatch::new(subscriber(NoopTracer::new(), logs, writer)),
        }
    }

    /// The instruments.
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// How trace context is read and written.
    pub fn propagator(&self) -> Propagator {
        self.propagator.clone()
    }

    /// What was wrong with the settings, for the caller to log; no warning holds a value.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Sends what is queued and stops exporting, within `limit`; whether all of it was delivered.
    /// Log lines of before are written, too.
    ///
    /// It blocks the calling thread for at most `limit`, whatever the collector does, and
    /// until a stderr that blocks has taken the lines.
    pub fn shutdown(self, limit: Duration) -> bool {
        let delivered = self.pipeline.shutdown(limit);
        if let Some(lines) = self.lines {
            lines.write();
        }
        delivered
    }
}

/// Composes log lines and OpenTelemetry spans.
///
/// Spans of this program, from level INFO up, always exist; all others never do. Events become log
/// lines by the filter of `logs`, and never span events.
pub fn subscriber<T, W>(
    tracer: T,
    logs: LogOptions,
    writer: W,
) -> impl Subscriber + for<'span> LookupSpan<'span> + Send + Sync
where
    T: Tracer + Send + Sync + 'static,
    T::Span: Send + Sync,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    // Everything that would put an attribute on a span by itself is off: the names are ours alone.
    // Contexts are passed explicitly, so entering a span need not push one on the thread.
    let spans = OpenTelemetryLayer::new(tracer)
        .with_location(false)
        .with_threads(false)
        .with_level(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false)
        .with_error_fields_to_exceptions(false)
        .with_error_records_to_exceptions(false)
        .with_error_events_to_exceptions(false)
        .with_error_events_to_status(false);
    // The log layer has to be the outermost: it decides for the layer below.
    Registry::default()
        .with(spans)
        .with(LogLayer::new(logs, writer))
}

#[cfg(test)]
mod tests {
    use opentelemetry::Context;
    use opentelemetry::trace::{
        SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
        TraceState, TracerProvider as _,
    };
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;

    use super::*;

    fn remote(flags: TraceFlags) -> Context {
        let state = TraceState::from_key_value([("vendor", "1")]).unwrap();
        let parent = SpanContext::new(
            TraceId::from(0xabc),
            SpanId::from(0xdef),
            flags,
            true,
            state,
        );
        Context::new().with_remote_span_context(parent)
    }

    fn quiet() -> LogOptions {
        LogOptions::new("off", LogFormat::Json)
    }

    #[test]
    fn without_an_exporter_the_callers_context_passes_through() {
        let subscriber = subscriber(NoopTracer::new(), quiet(), std::io::sink);
        tracing::subscriber::with_default(subscriber, || {
            for flags in [TraceFlags::SAMPLED, TraceFlags::default()] {
                let caller = remote(flags);
                let server = tracing::info_span!("server");
                server.set_parent(caller.clone()).unwrap();
                let client = tracing::info_span!(parent: &server, "client");
                for span in [server, client] {
                    let context = span.context();
                    assert_eq!(context.span().span_context(), caller.span().span_context());
                }
            }
            let alone = tracing::info_span!("no caller").context();
            assert!(!alone.span().span_context().is_valid());
        });
    }

    fn in_memory() -> (SdkTracerProvider, InMemorySpanExporter) {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .build();
        (provider, exporter)
    }

    #[test]
    fn a_span_holds_what_it_was_given_and_nothing_else() {
        let (provider, exporter) = in_memory();
        let tracer = provider.tracer(names::SCOPE);
        let loud = LogOptions::new("trace", LogFormat::Json);
        let subscriber = subscriber(tracer, loud, std::io::sink);
        tracing::subscriber::with_default(subscriber, || {
            let server = tracing::info_span!("call", otel.kind = "server", otel.name = "a.B/C");
            server.set_parent(remote(TraceFlags::SAMPLED)).unwrap();
            let client = tracing::info_span!(parent: &server, "attempt", otel.kind = "client");
            client.set_attribute(names::HTTP_RESPONSE_STATUS_CODE, 503);
            client.set_status(Status::error(""));
            server.in_scope(|| tracing::error!(error = "a log line", "no span event"));
            tracing::error_span!(target: "h2", "not ours").in_scope(|| ());
        });
        let spans = exporter.get_finished_spans().unwrap();
        let by_kind = |kind| spans.iter().find(|span| span.span_kind == kind).unwrap();
        let (server, client) = (by_kind(SpanKind::Server), by_kind(SpanKind::Client));
        assert_eq!(spans.len(), 2);

        assert_eq!(server.name, "a.B/C");
        assert_eq!(server.span_context.trace_id(), TraceId::from(0xabc));
        assert_eq!(server.parent_span_id, SpanId::from(0xdef));
        assert!(server.parent_span_is_remote);
        assert_eq!(server.status, Status::Unset);
        assert!(server.attributes.is_empty(), "{:?}", server.attributes);
        assert!(server.events.is_empty(), "{:?}", server.events);

        assert_eq!(client.name, "attempt");
        assert_eq!(client.parent_span_id, server.span_context.span_id());
        assert_eq!(client.status, Status::error(""));
        let attributes: Vec<_> = client
            .attributes
            .iter()
            .map(|pair| pair.key.as_str())
            .collect();
        assert_eq!(attributes, [names::HTTP_RESPONSE_STATUS_CODE]);
    }
}
