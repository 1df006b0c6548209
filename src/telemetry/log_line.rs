//! How one event is written.

use std::error::Error;
use std::fmt::{self, Debug, Write as _};

use opentelemetry::trace::{SpanId, TraceId};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

use crate::{json, scan};

/// The span that an event happened in, as OpenTelemetry knows it.
pub(super) type TraceIds = (TraceId, SpanId);

/// Keys that a JSON line has of its own; an event's field of that name gets a prefix.
const RESERVED: [&str; 5] = ["timestamp", "level", "target", "trace_id", "span_id"];

/// Writes a JSON object.
pub(super) fn write_json(line: &mut String, event: &Event<'_>, ids: Option<TraceIds>) {
    let metadata = event.metadata();
    line.push_str("{\"timestamp\":\"");
    write_time(line);
    line.push_str("\",\"level\":");
    json::push_text(line, metadata.level().as_str());
    line.push_str(",\"target\":");
    json::push_text(line, metadata.target());
    let mut fields = JsonFields {
        line,
        has_message: false,
    };
    event.record(&mut fields);
    if !fields.has_message {
        fields.message(event_name(metadata));
    }
    if let Some((trace_id, span_id)) = ids {
        write!(
            line,
            ",\"trace_id\":\"{trace_id}\",\"span_id\":\"{span_id}\""
        )
        .ok();
    }
    line.push('}');
}

/// Writes a line for people.
pub(super) fn write_human(
    line: &mut String,
    event: &Event<'_>,
    ids: Option<TraceIds>,
    colors: bool,
) {
    let metadata = event.metadata();
    let paint = |code: &'static str| if colors { code } else { "" };
    let (dim, reset) = (paint("\x1b[2m"), paint("\x1b[0m"));
    let level = match *metadata.level() {
        Level::ERROR => paint("\x1b[31m"),
        Level::WARN => paint("\x1b[33m"),
        Level::INFO => paint("\x1b[32m"),
        Level::DEBUG => paint("\x1b[34m"),
        Level::TRACE => paint("\x1b[35m"),
    };
    line.push_str(dim);
    write_time(line);
    write!(
        line,
        "{reset} {level}{:>5}{reset} ",
        metadata.level().as_str()
    )
    .ok();
    write!(line, "{dim}{}:{reset}", metadata.target()).ok();
    let mut fields = HumanFields {
        line,
        has_message: false,
    };
    event.record(&mut fields);
    if !fields.has_message {
        line.push(' ');
        push_escaped(line, event_name(metadata));
    }
    if let Some((trace_id, span_id)) = ids {
        write!(line, " {dim}trace_id={trace_id} span_id={span_id}{reset}").ok();
    }
}

/// RFC 3339 in UTC, with microseconds.
fn write_time(line: &mut String) {
    let mut writer = tracing_subscriber::fmt::format::Writer::new(line);
    SystemTime.format_time(&mut writer).ok();
}

/// Some libraries put what they have to say into the event's name. The name that the macros make up
/// tells only where the code is.
fn event_name<'a>(metadata: &'a Metadata<'_>) -> &'a str {
    if metadata.name().starts_with("event ") {
        ""
    } else {
        metadata.name()
    }
}

/// Writes the fields as members of the JSON object that `line` holds so far.
struct JsonFields<'a> {
    line: &'a mut String,
    has_message: bool,
}

impl JsonFields<'_> {
    fn message(&mut self, text: &str) {
        self.line.push_str(",\"message\":");
        json::push_text(self.line, text);
        self.has_message = true;
    }

    fn key(&mut self, field: &Field) {
        let name = plain_name(field);
        self.line.push(',');
        if RESERVED.contains(&name) {
            json::push_text(self.line, &format!("fields.{name}"));
        } else {
            json::push_text(self.line, name);
            self.has_message |= name == "message";
        }
        self.line.push(':');
    }

    fn number(&mut self, field: &Field, number: impl fmt::Display) {
        self.key(field);
        write!(self.line, "{number}").ok();
    }
}

impl Visit for JsonFields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.key(field);
        // JSON has no infinity and no NaN; serde writes null for them.
        self.line.push_str(&serde_json::json!(value).to_string());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.key(field);
        json::push_text(self.line, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Formatted first: the value may itself log, or fail half-way.
        let text = format!("{value:?}");
        self.record_str(field, &text);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.record_str(field, &value.to_string());
        if let Some(causes) = causes(value) {
            self.line.push_str(",\"cause\":");
            json::push_text(self.line, &causes);
        }
    }
}

/// Writes the message, then `key=value` for every other field.
struct HumanFields<'a> {
    line: &'a mut String,
    has_message: bool,
}

impl Visit for HumanFields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.record_debug(field, &format_args!("{value}"));
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        self.line.push(' ');
        if field.name() == "message" {
            self.has_message = true;
        } else {
            self.line.push_str(plain_name(field));
            self.line.push('=');
        }
        push_escaped(self.line, &text);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.record_debug(field, &format_args!("{value}"));
        if let Some(causes) = causes(value) {
            self.line.push_str(" cause=");
            push_escaped(self.line, &causes);
        }
    }
}

/// What is behind an error, outermost first.
fn causes(error: &(dyn Error + 'static)) -> Option<String> {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    (!causes.is_empty()).then(|| causes.join(": "))
}

fn plain_name(field: &Field) -> &'static str {
    field.name().strip_prefix("r#").unwrap_or(field.name())
}

/// Appends text: a line must stay one line, and must not steer a terminal.
fn push_escaped(line: &mut String, text: &str) {
    for character in text.chars() {
        if scan::steers(character) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
}
