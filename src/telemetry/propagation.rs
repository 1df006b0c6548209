//! Trace context in from gRPC metadata, out to Graph.
//!
//! What comes in follows `OTEL_PROPAGATORS`. What goes out to Graph is W3C `traceparent`
//! and `tracestate` and nothing else: Graph reads nothing else, and a caller's baggage is
//! no business of a third party.

use data_encoding::HEXLOWER;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};

use super::b3;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// `00-{32}-{16}-{2}`.
const TRACEPARENT_LENGTH: usize = 55;

/// The formats that the process speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Propagator {
    w3c: bool,
    baggage: bool,
    b3: bool,
}

impl Propagator {
    /// The value of `OTEL_PROPAGATORS` when it is not set.
    pub const DEFAULT_NAMES: &str = "tracecontext,baggage";

    /// Reads a list such as `OTEL_PROPAGATORS`: `tracecontext`, `baggage`, `b3`, `b3multi`, `none`.
    ///
    /// Unknown names are ignored and returned. When W3C and B3 headers are both read, a
    /// valid `traceparent` wins, whatever the order of the list: a mesh rewrites the
    /// header that it knows, and those that know both keep `traceparent` current.
    pub fn from_names(list: &str) -> (Self, Vec<String>) {
        let (mut w3c, mut baggage, mut b3, mut none) = (false, false, false, false);
        let mut unknown = Vec::new();
        for name in list
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            match name.to_ascii_lowercase().as_str() {
                "tracecontext" => w3c = true,
                "baggage" => baggage = true,
                // Both forms are read in either case.
                "b3" | "b3multi" => b3 = true,
                "none" => none = true,
                _ => unknown.push(name.to_owned()),
            }
        }
        let propagator = Self {
            w3c: w3c && !none,
            baggage: baggage && !none,
            b3: b3 && !none,
        };
        (propagator, unknown)
    }

    /// The caller's context; an empty one when it sent none, never that of the current thread.
    pub fn extract(&self, headers: &HeaderMap) -> Context {
        let headers = HeaderExtractor(headers);
        let mut context = Context::new();
        // Each one overwrites the parent that the one before has found.
        if self.b3 {
            context = b3::extract(&context, &headers);
        }
        if self.w3c {
            context = TraceContextPropagator::new().extract_with_context(&context, &headers);
        }
        if self.baggage {
            context = BaggagePropagator::new().extract_with_context(&context, &headers);
        }
        context
    }

    /// Writes `traceparent` and `tracestate` of the context's span into a request to Graph.
    ///
    /// Values that the headers already hold are replaced, or removed where the span has none.
    pub fn inject(&self, context: &Context, headers: &mut HeaderMap) {
        headers.remove(TRACEPARENT);
        headers.remove(TRACESTATE);
        let span = context.span();
        let span_context = span.span_context();
        if !(self.w3c || self.b3) || !span_context.is_valid() {
            return;
        }
        let mut traceparent = String::with_capacity(TRACEPARENT_LENGTH);
        traceparent.push_str("00-");
        HEXLOWER.encode_append(&span_context.trace_id().to_bytes(), &mut traceparent);
        traceparent.push('-');
        HEXLOWER.encode_append(&span_context.span_id().to_bytes(), &mut traceparent);
        let is_sampled = span_context.is_sampled();
        traceparent.push_str(if is_sampled { "-01" } else { "-00" });
        if let Ok(mut value) = HeaderValue::try_from(traceparent) {
            // Each request has its own: HTTP/2's compression table is for what comes again.
            value.set_sensitive(true);
            headers.insert(TRACEPARENT, value);
        }
        let tracestate = span_context.trace_state().header();
        if tracestate.is_empty() {
            return;
        }
        if let Ok(value) = HeaderValue::try_from(tracestate) {
            headers.insert(TRACESTATE, value);
        }
    }
}

impl Default for Propagator {
    fn default() -> Self {
        Self::from_names(Self::DEFAULT_NAMES).0
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::baggage::BaggageExt as _;
    use opentelemetry::trace::SpanContext;
    use proptest::prelude::*;

    use super::*;

    const W3C: (&str, &str) = (
        "traceparent",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    );
    const B3: (&str, &str) = ("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1");
    const B3_MULTI: [(&str, &str); 2] = [
        ("x-b3-traceid", "00000000000000000000000000000001"),
        ("x-b3-spanid", "0000000000000002"),
    ];

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let parsed = |&(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        pairs.iter().map(parsed).collect()
    }

    fn parent(names: &str, pairs: &[(&'static str, &'static str)]) -> SpanContext {
        let context = Propagator::from_names(names).0.extract(&headers(pairs));
        context.span().span_context().clone()
    }

    fn trace_of(names: &str, pairs: &[(&'static str, &'static str)]) -> String {
        parent(names, pairs).trace_id().to_string()
    }

    #[test]
    fn the_list_decides_what_is_read() {
        let all = [W3C, B3, B3_MULTI[0], B3_MULTI[1]];
        let (w3c, b3) = (&W3C.1[3..35], &B3.1[..32]);
        let nothing = "0".repeat(32);
        let multi = B3_MULTI[0].1;
        for (names, pairs, expected) in [
            ("tracecontext,baggage", &all[..], w3c),
            ("tracecontext", &all[..], w3c),
            ("b3,tracecontext", &all[..], w3c),
            ("tracecontext,b3", &all[..], w3c),
            ("tracecontext,b3multi,b3", &all[1..], b3),
            (" B3 , baggage", &all[..], b3),
            ("b3", &all[2..], multi),
            ("b3multi", &all[2..], multi),
            (
                "tracecontext,b3",
                &[("traceparent", "00-nonsense"), B3][..],
                b3,
            ),
            ("tracecontext", &all[1..], &nothing),
            ("baggage", &all[..], &nothing),
            ("none", &all[..], &nothing),
            ("none,tracecontext", &all[..], &nothing),
            ("", &all[..], &nothing),
        ] {
            assert_eq!(trace_of(names, pairs), expected, "{names} {pairs:?}");
        }
    }

    #[test]
    fn unknown_names_are_reported_and_ignored() {
        let (propagator, unknown) = Propagator::from_names("jaeger,tracecontext,xray");
        assert_eq!(unknown, ["jaeger", "xray"]);
        let context = propagator.extract(&headers(&[W3C]));
        assert!(context.span().span_context().is_valid());
    }

    #[test]
    fn baggage_is_read_but_never_sent_to_graph() {
        let (propagator, _) = Propagator::from_names(Propagator::DEFAULT_NAMES);
        let state = ("tracestate", "vendor=1");
        let context = propagator.extract(&headers(&[W3C, state, ("baggage", "user=alice")]));
        assert_eq!(
            context.baggage().get("user").map(ToString::to_string),
            Some("alice".into())
        );

        let mut outbound = HeaderMap::new();
        propagator.inject(&context, &mut outbound);
        assert_eq!(outbound, headers(&[W3C, state]));
    }

    #[test]
    fn a_b3_caller_still_gives_graph_a_traceparent() {
        let (propagator, _) = Propagator::from_names("b3");
        let mut outbound = HeaderMap::new();
        propagator.inject(&propagator.extract(&headers(&[B3])), &mut outbound);
        let expected = "00-80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-01";
        assert_eq!(outbound, headers(&[("traceparent", expected)]));
    }

    #[test]
    fn nothing_stale_is_sent_when_there_is_no_span_or_no_propagation() {
        let (none, _) = Propagator::from_names("none");
        let (default, _) = Propagator::from_names(Propagator::DEFAULT_NAMES);
        let context = default.extract(&headers(&[W3C]));
        for (propagator, context) in [(&none, &context), (&default, &Context::new())] {
            let mut outbound = headers(&[W3C, ("tracestate", "a=b")]);
            propagator.inject(context, &mut outbound);
            assert_eq!(outbound, HeaderMap::new());
        }
    }

    proptest! {
        #[test]
        fn extraction_never_panics(value in prop::collection::vec(any::<u8>(), 0..120)) {
            let (propagator, _) = Propagator::from_names("tracecontext,baggage,b3,b3multi");
            let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
            let names = ["traceparent", "tracestate", "baggage", "b3", "x-b3-traceid", "x-b3-flags"];
            let headers = names.map(|name| (HeaderName::from_static(name), value.clone()));
            propagator.extract(&headers.into_iter().collect());
        }
    }
}
