//! A span as both libraries know it.

use data_encoding::HEXLOWER;
use opentelemetry::{
    Context, KeyValue,
    trace::{Status, TraceContextExt as _},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// A `tracing` span and the OpenTelemetry context that it stands for. That is looked up
/// once, and written to in batches, and only if the span is sampled. Clones are the same
/// span.
#[derive(Debug, Clone)]
pub struct ActiveSpan {
    span: Span,
    context: Context,
}

impl ActiveSpan {
    /// Begins the span, whose parent in OpenTelemetry is fixed from now on.
    pub fn begin(span: Span) -> Self {
        let context = span.context();
        Self { span, context }
    }

    /// Begins the span as a child of the caller's.
    pub fn begin_within(span: Span, caller: Context) -> Self {
        // Fails only where no span is wanted.
        drop(span.set_parent(caller));
        Self::begin(span)
    }

    /// A span that nobody sees.
    pub fn none() -> Self {
        Self {
            span: Span::none(),
            context: Context::new(),
        }
    }

    /// As `tracing` knows it: the parent of spans and log lines.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// As OpenTelemetry knows it.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Adds attributes. A span that is not sampled does not ask for them.
    pub fn add<A: IntoIterator<Item = KeyValue>>(&self, attributes: impl FnOnce() -> A) {
        let span = self.context.span();
        if span.is_recording() {
            span.set_attributes(attributes());
        }
    }

    /// What the span shows is an error.
    pub fn fail(&self) {
        self.context.span().set_status(Status::error(""));
    }

    /// Ends it now, whoever holds a clone.
    pub fn end(&self) {
        self.context.span().end();
    }

    /// The id of its trace in hexadecimal digits, if it has one.
    pub fn trace_id(&self) -> Option<String> {
        let span = self.context.span();
        let context = span.span_context();
        let id = || HEXLOWER.encode(&context.trace_id().to_bytes());
        context.is_valid().then(id)
    }
}
