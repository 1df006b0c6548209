//! Zipkin's B3 headers, single (`b3`) and multiple (`x-b3-*`): meshes still send them.
//!
//! The rules are those of OpenTelemetry's B3 requirements: both forms are read, the
//! single one first; a 64-bit trace id is padded on the left; the debug flag counts as
//! sampled. Nothing is written: Graph does not read it.

use std::str::FromStr as _;

use opentelemetry::Context;
use opentelemetry::propagation::Extractor;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};

const SINGLE: &str = "b3";
const TRACE_ID: &str = "x-b3-traceid";
const SPAN_ID: &str = "x-b3-spanid";
const SAMPLED: &str = "x-b3-sampled";
const FLAGS: &str = "x-b3-flags";

/// The sampling state of a request. Without any, the caller leaves the decision to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sampling {
    Denied,
    Accepted,
}

impl std::str::FromStr for Sampling {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "0" | "false" => Ok(Self::Denied),
            "1" | "true" | "d" => Ok(Self::Accepted),
            _ => Err(()),
        }
    }
}

/// What a request's headers say.
#[derive(Debug, PartialEq, Eq)]
struct Extracted {
    ids: Option<(TraceId, SpanId)>,
    sampling: Option<Sampling>,
}

/// The context with the caller's span as the parent; as it was where there is none.
pub(super) fn extract(context: &Context, extractor: &dyn Extractor) -> Context {
    let Some(extracted) = single(extractor).or_else(|| multiple(extractor)) else {
        return context.clone();
    };
    let (trace_id, span_id) = match (extracted.ids, extracted.sampling) {
        (Some(ids), _) => ids,
        // "Do not sample" without ids. OpenTelemetry carries the decision only in a
        // parent, so one is made up; nobody exports it, and a parent-based sampler
        // obeys it.
        (None, Some(Sampling::Denied)) => (
            TraceId::from_bytes(rand::random::<u128>().max(1).to_be_bytes()),
            SpanId::from_bytes(rand::random::<u64>().max(1).to_be_bytes()),
        ),
        (None, _) => return context.clone(),
    };
    let is_sampled = extracted.sampling == Some(Sampling::Accepted);
    let flags = TraceFlags::default().with_sampled(is_sampled);
    let parent = SpanContext::new(trace_id, span_id, flags, true, TraceState::default());
    context.with_remote_span_context(parent)
}

/// `{trace id}-{span id}[-{sampling}[-{parent span id}]]`, or the sampling state alone.
fn single(extractor: &dyn Extractor) -> Option<Extracted> {
    let value = extractor.get(SINGLE)?.trim();
    if let Ok(sampling) = Sampling::from_str(value) {
        return Some(Extracted {
            ids: None,
            sampling: Some(sampling),
        });
    }
    let mut parts = value.split('-');
    let ids = (trace_id(parts.next()?)?, span_id(parts.next()?)?);
    let sampling = match parts.next() {
        None => None,
        Some(state) => Some(Sampling::from_str(state).ok()?),
    };
    if let Some(parent) = parts.next() {
        span_id(parent)?;
    }
    parts.next().is_none().then_some(Extracted {
        ids: Some(ids),
        sampling,
    })
}

/// The separate headers. A sampling header that cannot be read counts as absent.
fn multiple(extractor: &dyn Extractor) -> Option<Extracted> {
    let header = |name| extractor.get(name).map(str::trim);
    let sampling = if header(FLAGS) == Some("1") {
        Some(Sampling::Accepted)
    } else {
        header(SAMPLED).and_then(|value| Sampling::from_str(value).ok())
    };
    let ids = match (header(TRACE_ID), header(SPAN_ID)) {
        (Some(trace), Some(span)) => Some((trace_id(trace)?, span_id(span)?)),
        _ => None,
    };
    (ids.is_some() || sampling.is_some()).then_some(Extracted { ids, sampling })
}

fn trace_id(text: &str) -> Option<TraceId> {
    let id = match text.len() {
        32 => u128::from_str_radix(hexadecimal(text)?, 16).ok()?,
        16 => u128::from(u64::from_str_radix(hexadecimal(text)?, 16).ok()?),
        _ => return None,
    };
    (id != 0).then(|| TraceId::from(id))
}

fn span_id(text: &str) -> Option<SpanId> {
    if text.len() != 16 {
        return None;
    }
    let id = u64::from_str_radix(hexadecimal(text)?, 16).ok()?;
    (id != 0).then(|| SpanId::from(id))
}

/// `from_str_radix` alone would take a sign too.
fn hexadecimal(text: &str) -> Option<&str> {
    text.bytes()
        .all(|byte| byte.is_ascii_hexdigit())
        .then_some(text)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const LONG: &str = "80f198ee56343ba864fe8b2a57d3eff7";
    const SHORT: &str = "64fe8b2a57d3eff7";
    const SPAN: &str = "e457b5a2e4d86bd1";

    fn headers(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    fn extract(pairs: &[(&str, &str)]) -> Context {
        super::extract(&Context::new(), &headers(pairs))
    }

    /// `trace-span-flag`, or nothing.
    fn described(context: &Context) -> Option<String> {
        let span = context.span();
        let parent = span.span_context();
        parent.is_valid().then(|| {
            assert!(parent.is_remote());
            let sampled = u8::from(parent.is_sampled());
            format!("{}-{}-{sampled}", parent.trace_id(), parent.span_id())
        })
    }

    #[test]
    fn the_single_header_becomes_a_parent() {
        let padded = format!("0000000000000000{SHORT}");
        for (trace, tail, expected) in [
            (LONG, "-e457b5a2e4d86bd1-1", Some((LONG, 1))),
            (LONG, "-e457b5a2e4d86bd1-true", Some((LONG, 1))),
            (LONG, "-e457b5a2e4d86bd1-d", Some((LONG, 1))),
            (LONG, "-e457b5a2e4d86bd1-0", Some((LONG, 0))),
            (LONG, "-e457b5a2e4d86bd1", Some((LONG, 0))),
            (
                LONG,
                "-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90",
                Some((LONG, 1)),
            ),
            (SHORT, "-e457b5a2e4d86bd1-1", Some((padded.as_str(), 1))),
            (LONG, "-e457b5a2e4d86bd1-2", None),
            (LONG, "-e457b5a2e4d86bd1-1-xyz", None),
            (LONG, "-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90-1", None),
            (LONG, "-0000000000000000-1", None),
            (
                "00000000000000000000000000000000",
                "-e457b5a2e4d86bd1-1",
                None,
            ),
            (
                "+0f198ee56343ba864fe8b2a57d3eff7",
                "-e457b5a2e4d86bd1-1",
                None,
            ),
            (LONG, "", None),
            ("1", "", None),
            ("d", "", None),
            ("", "", None),
        ] {
            let value = format!("{trace}{tail}");
            let expected = expected.map(|(trace, flag)| format!("{trace}-{SPAN}-{flag}"));
            assert_eq!(
                described(&extract(&[(SINGLE, &value)])),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn separate_headers_become_a_parent() {
        let padded = format!("0000000000000000{SHORT}");
        for (trace, span, decision, expected) in [
            (LONG, SPAN, ("other", ""), Some((LONG, 0))),
            (SHORT, SPAN, (SAMPLED, "1"), Some((padded.as_str(), 1))),
            (LONG, SPAN, (SAMPLED, "1"), Some((LONG, 1))),
            (LONG, SPAN, (SAMPLED, "true"), Some((LONG, 1))),
            (LONG, SPAN, (SAMPLED, "0"), Some((LONG, 0))),
            (LONG, SPAN, (SAMPLED, "false"), Some((LONG, 0))),
            (LONG, SPAN, (SAMPLED, "maybe"), Some((LONG, 0))),
            (LONG, SPAN, (FLAGS, "1"), Some((LONG, 1))),
            (LONG, "", (SAMPLED, "1"), None),
            ("short", SPAN, (SAMPLED, "1"), None),
        ] {
            let pairs = [(TRACE_ID, trace), (SPAN_ID, span), decision];
            let expected = expected.map(|(trace, flag)| format!("{trace}-{SPAN}-{flag}"));
            assert_eq!(described(&extract(&pairs)), expected, "{pairs:?}");
        }
        assert_eq!(described(&extract(&[(TRACE_ID, LONG)])), None);
        assert_eq!(described(&extract(&[])), None);
    }

    #[test]
    fn the_single_header_goes_first_and_a_broken_one_gives_way() {
        let multi = [
            (TRACE_ID, "00000000000000000000000000000001"),
            (SPAN_ID, SPAN),
        ];
        let value = format!("{LONG}-{SPAN}-1");
        let both = extract(&[(SINGLE, &value), multi[0], multi[1]]);
        assert_eq!(described(&both), Some(value));
        let broken = extract(&[(SINGLE, "?"), multi[0], multi[1]]);
        assert_eq!(described(&broken), Some(format!("{}-{SPAN}-0", multi[0].1)));
    }

    #[test]
    fn a_denial_without_ids_becomes_an_unsampled_parent() {
        for pairs in [[(SINGLE, "0")], [(SAMPLED, "0")], [(SAMPLED, "false")]] {
            let context = extract(&pairs);
            assert!(context.span().span_context().is_valid(), "{pairs:?}");
            assert!(!context.span().span_context().is_sampled(), "{pairs:?}");
        }
    }

    proptest! {
        #[test]
        fn extraction_never_panics(
            single in "\\PC{0,80}", trace in "\\PC{0,40}", span in "\\PC{0,20}",
            sampled in "\\PC{0,5}", flags in "\\PC{0,5}",
        ) {
            let context = extract(&[
                (SINGLE, &single), (TRACE_ID, &trace), (SPAN_ID, &span),
                (SAMPLED, &sampled), (FLAGS, &flags),
            ]);
            described(&context);
        }

        #[test]
        fn every_valid_parent_is_read_from_both_forms(
            trace in 1_u128.., span in 1_u64.., sampled: bool, multiple: bool,
        ) {
            let (trace_id, span_id) = (format!("{trace:032x}"), format!("{span:016x}"));
            let flag = if sampled { "1" } else { "0" };
            let value = format!("{trace_id}-{span_id}-{flag}");
            let read = if multiple {
                extract(&[(TRACE_ID, &trace_id), (SPAN_ID, &span_id), (SAMPLED, flag)])
            } else {
                extract(&[(SINGLE, &value)])
            };
            prop_assert_eq!(described(&read), Some(value));
        }
    }
}
