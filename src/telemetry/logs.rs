//! Log lines on stderr: for people on a terminal, JSON otherwise.
//!
//! The layer is the outermost of the subscriber and decides for all of it: which events
//! become lines (the user's filter) and which spans exist at all (our own, whatever the
//! filter says). One decision for all layers costs a span less than a filter per layer,
//! which looks the span up at every hook.

use std::cell::RefCell;
use std::io::Write as _;
use std::sync::OnceLock;

use opentelemetry::trace::TraceContextExt as _;
use tracing::dispatcher::WeakDispatch;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;

use super::log_line::{TraceIds, write_human, write_json};
use super::log_options::{LogFormat, LogOptions};
use super::names;

/// The layer that writes events and decides which spans exist.
#[derive(Debug)]
pub(super) struct LogLayer<W> {
    filter: Targets,
    format: LogFormat,
    writer: W,
    /// The subscriber that this layer is part of. An event must not ask for the current dispatcher
    /// while it is being handled: that lookup is not re-entrant and would find none.
    dispatch: OnceLock<WeakDispatch>,
}

thread_local! {
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
}

impl<W> LogLayer<W>
where
    W: for<'writer> MakeWriter<'writer> + 'static,
{
    pub(super) fn new(options: LogOptions, writer: W) -> Self {
        Self {
            filter: options.filter,
            format: options.format,
            writer,
            dispatch: OnceLock::new(),
        }
    }

    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        if metadata.is_span() {
            *metadata.level() <= Level::INFO && metadata.target().starts_with(names::SPAN_TARGET)
        } else {
            self.filter
                .would_enable(metadata.target(), metadata.level())
        }
    }

    fn write(&self, event: &Event<'_>) {
        let ids = self.trace_ids(event);
        let written = LINE.try_with(|line| {
            // The buffer is in use when a value's own formatting logs something.
            let mut nested = String::new();
            let mut borrowed = line.try_borrow_mut();
            let line = borrowed.as_deref_mut().unwrap_or(&mut nested);
            line.clear();
            match self.format {
                LogFormat::Json => write_json(line, event, ids),
                LogFormat::Human { colors } => write_human(line, event, ids, colors),
            }
            line.push('\n');
            let mut writer = self.writer.make_writer_for(event.metadata());
            // A log line that cannot be written has nowhere to be reported.
            writer.write_all(line.as_bytes()).ok();
        });
        // Only a thread that is being torn down has no buffer any more; its line is lost.
        written.ok();
    }

    /// The ids of the OpenTelemetry span that the event happened in.
    fn trace_ids(&self, event: &Event<'_>) -> Option<TraceIds> {
        // The SDK may log while the span's data is locked; looking at the span then would deadlock.
        if event.metadata().target().starts_with("opentelemetry") {
            return None;
        }
        let dispatch = self.dispatch.get()?.upgrade()?;
        let current;
        let span = match event.parent() {
            Some(parent) => parent,
            None if event.is_contextual() => {
                current = dispatch.current_span();
                current.id()?
            }
            None => return None,
        };
        let context = tracing_opentelemetry::get_otel_context(span, &dispatch)?;
        let span = context.span();
        let span_context = span.span_context();
        span_context
            .is_valid()
            .then(|| (span_context.trace_id(), span_context.span_id()))
    }
}

impl<S, W> Layer<S> for LogLayer<W>
where
    S: Subscriber,
    W: for<'writer> MakeWriter<'writer> + 'static,
{
    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        self.dispatch.get_or_init(|| subscriber.downgrade());
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.filter
            .iter()
            .map(|(_, level)| level)
            .chain(self.filter.default_level())
            // Our spans are made at this level.
            .chain([LevelFilter::INFO])
            .max()
    }

    /// Writes the event here, where it also ends: the OpenTelemetry layer below must not see it, or
    /// every log line would be exported a second time as a span event, and an ERROR line would set
    /// the span's status.
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.write(event);
        false
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use opentelemetry::trace::noop::NoopTracer;
    use opentelemetry::trace::{
        SpanContext, SpanId, TraceFlags, TraceId, TraceState, TracerProvider as _,
    };
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
    use serde_json::Value;
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;

    use super::*;
    use crate::telemetry::subscriber;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Sink {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Sink {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    /// Collects what is logged while `work` runs.
    fn logged(filter: &str, format: LogFormat, work: impl FnOnce()) -> String {
        let (sink, options) = (Sink::default(), LogOptions::new(filter, format));
        let subscriber = subscriber(NoopTracer::new(), options, sink.clone());
        tracing::subscriber::with_default(subscriber, work);
        sink.text()
    }

    fn parsed(text: &str) -> Vec<Value> {
        let lines = text.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().unwrap()
    }

    fn json(filter: &str, work: impl FnOnce()) -> Vec<Value> {
        parsed(&logged(filter, LogFormat::Json, work))
    }

    const TRACE: &str = "00000000000000000000000000000abc";

    /// A span whose caller has sent a trace context.
    fn called(flags: TraceFlags) -> tracing::Span {
        let ids = (TraceId::from(0xabc), SpanId::from(0xdef));
        let caller = SpanContext::new(ids.0, ids.1, flags, true, TraceState::default());
        let span = tracing::info_span!("call");
        let context = opentelemetry::Context::new().with_remote_span_context(caller);
        span.set_parent(context).unwrap();
        span
    }

    #[test]
    fn lines_carry_the_ids_of_their_span() {
        let exporting = SdkTracerProvider::builder()
            .with_simple_exporter(InMemorySpanExporter::default())
            .build();
        let (sink, options) = (Sink::default(), LogOptions::new("info", LogFormat::Json));
        let with_sdk = Dispatch::new(subscriber(
            exporting.tracer("test"),
            options.clone(),
            sink.clone(),
        ));
        let without = Dispatch::new(subscriber(NoopTracer::new(), options, sink.clone()));
        for dispatch in [with_sdk, without] {
            let own = tracing::dispatcher::with_default(&dispatch, || {
                let span = called(TraceFlags::SAMPLED);
                span.in_scope(|| tracing::info!(within = true, "current"));
                tracing::info!(parent: &span, within = true, "explicit");
                span.in_scope(|| {
                    tracing::info!(target: "opentelemetry", within = false, "skipped");
                    tracing::info!(parent: None, within = false, "root");
                });
                tracing::info!(within = false, "outside");
                let context = span.context();
                context.span().span_context().span_id().to_string()
            });
            for line in parsed(&sink.text()) {
                let ids = (line["trace_id"].as_str(), line["span_id"].as_str());
                if line["within"] == true {
                    assert_eq!(ids, (Some(TRACE), Some(own.as_str())), "{line}");
                } else {
                    assert_eq!(ids, (None, None), "{line}");
                }
            }
            sink.0.lock().unwrap().clear();
        }
    }

    #[test]
    fn an_unsampled_call_still_has_ids_in_its_lines() {
        let work = || called(TraceFlags::default()).in_scope(|| tracing::info!("inside"));
        assert_eq!(json("info", work)[0]["trace_id"], TRACE);
        let human = logged("info", LogFormat::Human { colors: false }, work);
        assert!(
            human.contains(&format!(" inside trace_id={TRACE} span_id=")),
            "{human}"
        );
    }

    #[test]
    fn a_json_line_holds_the_event_flat() {
        let lines = json("info", || {
            tracing::info!(
                attempts = 2,
                ratio = 0.5,
                done = true,
                error = %"said \"no\"\n",
                level = "not the level",
                "call ended"
            );
        });
        assert_eq!(lines.len(), 1);
        let line = &lines[0];
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["target"], "incidentgate::telemetry::logs::tests");
        assert_eq!(line["message"], "call ended");
        assert_eq!(line["attempts"], 2);
        assert_eq!(line["ratio"], 0.5);
        assert_eq!(line["done"], true);
        assert_eq!(line["error"], "said \"no\"\n");
        assert_eq!(line["fields.level"], "not the level");
        let timestamp = line["timestamp"].as_str().unwrap();
        assert!(
            timestamp.ends_with('Z') && timestamp.as_bytes()[10] == b'T',
            "{timestamp}"
        );
        assert!(line.get("trace_id").is_none());
    }

    #[test]
    fn a_human_line_is_one_line_and_coloured_only_on_demand() {
        let work = || tracing::warn!(path = "a b", "forged\nINFO line \x1b[31m");
        let plain = logged("info", LogFormat::Human { colors: false }, work);
        let expected = " WARN incidentgate::telemetry::logs::tests: forged\\nINFO line \\u{1b}[31m path=\"a b\"\n";
        assert!(plain.ends_with(expected), "{plain:?}");
        assert_eq!(plain.lines().count(), 1);

        let coloured = logged("info", LogFormat::Human { colors: true }, work);
        assert!(coloured.contains("\x1b[33m WARN\x1b[0m"), "{coloured:?}");
    }

    #[test]
    fn the_filter_hides_events_but_never_our_spans() {
        let lines = json("error", || {
            let span = tracing::info_span!("call");
            assert!(!span.is_disabled());
            assert!(tracing::info_span!(target: "h2", "frame").is_disabled());
            assert!(tracing::debug_span!("detail").is_disabled());
            tracing::warn!("hidden");
            tracing::error!("shown");
        });
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["message"], "shown");
    }

    #[test]
    fn libraries_stay_quiet_unless_they_are_named() {
        let chatter = || {
            tracing::error!(target: "h2::proto", "h2");
            tracing::error!(target: "hyper_util", "hyper");
            tracing::error!(target: "tonic", "tonic");
            tracing::info!(target: "opentelemetry-otlp", "export");
            tracing::warn!(target: "opentelemetry_sdk", "lost");
            tracing::trace!(target: "incidentgate::call", "own");
        };
        let messages = |filter| -> Vec<Value> {
            let lines = json(filter, chatter);
            lines
                .into_iter()
                .map(|mut line| line["message"].take())
                .collect()
        };
        assert_eq!(messages("trace"), ["lost", "own"]);
        assert_eq!(
            messages("info,h2=trace,opentelemetry=info"),
            ["h2", "export", "lost"]
        );
        assert_eq!(messages("off"), [""; 0]);
        assert_eq!(messages("off,opentelemetry=warn"), ["lost"]);
    }

    #[test]
    fn an_event_without_a_message_is_called_by_its_name() {
        let lines = json("info", || {
            tracing::warn!(name: "Export.Failed", target: "opentelemetry-otlp", retries = 3);
            tracing::info!(code = 7);
        });
        assert_eq!(lines[0]["message"], "Export.Failed");
        assert_eq!(lines[1]["message"], "");
    }

    #[test]
    fn a_value_that_logs_while_it_is_formatted_does_no_harm() {
        struct Chatty;
        impl std::fmt::Display for Chatty {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                tracing::info!("inner");
                f.write_str("value")
            }
        }
        let lines = json("info", || tracing::info!(chatty = %Chatty, "outer"));
        let last = lines.last().unwrap();
        assert_eq!(last["message"], "outer");
        assert_eq!(last["chatty"], "value");
    }
}
