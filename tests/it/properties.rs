//! What holds for every answer that Graph could give, however strange.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use incidentgate::{
    failure::{Effect, Kind},
    graph::MAX_RETRY_AFTER,
    rpc::status,
    telemetry::Propagator,
};
use opentelemetry::trace::{TraceContextExt as _, TraceId};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::json;
use tonic::{Code, Status};

use crate::promises::{
    Contract, Given, TOKEN, at_full_length, block_bytes, grpc_timeout, keeps_every_promise,
    retry_after, warnings_are_bounded,
};

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        // A failing case is worth a test of its own, not a file.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_reply_is_a_success_or_one_error_that_keeps_every_promise(given in given()) {
        given.keeps_every_promise();
    }

    #[test]
    fn every_kind_of_failure_keeps_every_promise_at_full_length(
        kind in select(&Kind::ALL[..]),
        text in full_text(),
        delay in 0_u64..=MAX_RETRY_AFTER.as_secs(),
        attempts: u32,
    ) {
        keeps_every_promise(&at_full_length(kind, &text, Duration::from_secs(delay), attempts));
    }

    #[test]
    fn a_message_beyond_all_caps_costs_details_but_neither_outcome_nor_delay(
        kind in select(&Kind::ALL[..]),
        message in long_text(),
    ) {
        let mut failure = at_full_length(kind, "x", Duration::from_secs(7), 1);
        failure.message = message.into();
        keeps_every_promise(&failure);
    }

    #[test]
    fn a_status_that_the_library_made_is_adopted_within_the_budget(
        code in 1..=16_i32,
        message in prop_oneof![any::<String>(), long_text()],
    ) {
        let adopted = status::adopt(&Status::new(code.into(), message), "Get", Effect::Nothing);
        let contract = Contract::of(&adopted);
        block_bytes(adopted.into_http::<()>().headers());
        let unimplemented = code == i32::from(Code::Unimplemented);
        let want = if unimplemented { Code::Unimplemented } else { Code::InvalidArgument };
        prop_assert_eq!(contract.code, want);
        prop_assert_eq!(contract.outcome, "NOT_STARTED");
    }

    #[test]
    fn a_grpc_timeout_is_read_by_its_grammar_or_not_at_all(
        value in prop_oneof![vec(any::<u8>(), 0..12), "[0-9]{0,10}[HMSmun]?".prop_map(String::into_bytes)],
    ) {
        grpc_timeout(&value);
    }

    #[test]
    fn a_retry_after_is_a_bounded_wait_or_nothing(
        value in prop_oneof![vec(any::<u8>(), 0..40), "[0-9]{1,30}".prop_map(String::into_bytes)],
    ) {
        retry_after(&value);
    }

    #[test]
    fn warnings_are_bounded_and_without_control_characters(values in vec(header_value(), 0..40)) {
        warnings_are_bounded(&values);
    }

    #[test]
    fn a_trace_is_continued_from_a_valid_traceparent_only(
        value in prop_oneof![
            header_value(),
            "(00|01|ff)-[0-9a-f]{32}-[0-9a-f]{16}-0[01]".prop_map(|text| HeaderValue::try_from(text).unwrap()),
        ],
    ) {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", value.clone());
        let context = Propagator::default().extract(&headers);
        let trace_id = context.span().span_context().trace_id();
        if trace_id != TraceId::INVALID {
            prop_assert!(value.to_str().unwrap().contains(&trace_id.to_string()));
        }
    }
}

#[test]
fn the_largest_answer_is_tested_and_fits() {
    let largest = Kind::ALL
        .into_iter()
        .map(|kind| {
            let failure = at_full_length(kind, &"端".repeat(1000), MAX_RETRY_AFTER, u32::MAX);
            block_bytes(status::from_failure(failure).into_http::<()>().headers())
        })
        .max();
    // Less would mean that the strategies above do not come near the budget.
    assert!(largest > Some(4 * 1024), "{largest:?}");
}

/// Printable text, long enough for every field.
fn full_text() -> impl Strategy<Value = String> {
    prop_oneof!["\\PC{20}", "[a-zA-Z_]{20}", "[端末🔒ü]{20}"].prop_map(|text| text.repeat(25))
}

/// Printable text, longer than any budget.
fn long_text() -> impl Strategy<Value = String> {
    ("\\PC{1,20}", 100_usize..500).prop_map(|(text, times)| text.repeat(times))
}

/// Text as a service might send it: of any kind and length, now and then with a token.
fn text() -> impl Strategy<Value = String> {
    let token = ["", " ", "\n", "x", "\u{0}", "é"].map(|before| format!("{before}{TOKEN}"));
    prop_oneof![
        any::<String>(),
        full_text(),
        "[A-Za-z]{0,80}",
        "[\\x00-\\x20\\x7f-\\xa0]{0,40}",
        "(Currently [a-z]{0,80} is not supported|Invalid incidentTask id|Action is already in progress)",
        (any::<String>(), select(token.to_vec())).prop_map(|(text, token)| text + &token),
        (290_usize..330).prop_map(|length| format!("{} {TOKEN}", "x".repeat(length))),
    ]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let envelope = (text(), text(), vec(text(), 0..4), "[\\x20-\\x7e]{0,80}")
        .prop_map(|(code, message, inner, request_id)| {
            let inner = inner.into_iter().fold(
                json!({}),
                |inner, code| json!({"code": code, "request-id": request_id, "innerError": inner}),
            );
            json!({"error": {"code": code, "message": message, "innerError": inner}})
                .to_string()
                .into_bytes()
        })
        .boxed();
    prop_oneof![
        4 => envelope.clone(),
        1 => (envelope, any::<prop::sample::Index>()).prop_map(|(mut body, at)| {
            body.truncate(at.index(body.len()));
            body
        }),
        1 => vec(any::<u8>(), 0..200),
        1 => Just(Vec::new()),
        1 => Just(b"{\"id\":\"7\"}".to_vec()),
    ]
}

fn header_value() -> impl Strategy<Value = HeaderValue> {
    let bytes = prop_oneof![
        vec(any::<u8>(), 0..80),
        "[\\x20-\\x7e]{0,200}".prop_map(String::into_bytes),
        "[0-9]{1,20}".prop_map(String::into_bytes),
        (
            "[a-zü{} ]{0,9}/[a-z]{0,9}/[0-9]{1,6}/[0-9]{0,12}",
            1_usize..20
        )
            .prop_map(|(item, times)| {
                format!("199 - \"{}{item}\", ", "x".repeat(7 * times))
                    .repeat(times)
                    .into_bytes()
            }),
        (1000_usize..1030).prop_map(|length| {
            format!("Bearer realm=\"\", claims=\"{}\"", "Q".repeat(length)).into_bytes()
        }),
        Just(b"Fri, 31 Dec 9999 23:59:59 GMT".to_vec()),
    ];
    bytes.prop_filter_map("not a header's value", |bytes| {
        HeaderValue::from_bytes(&bytes).ok()
    })
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    let names = [
        "retry-after",
        "request-id",
        "www-authenticate",
        "warning",
        "content-type",
        "location",
    ];
    vec((select(names.to_vec()), header_value()), 0..8).prop_map(|fields| {
        let fields = fields
            .into_iter()
            .map(|(name, value)| (HeaderName::from_static(name), value));
        fields.collect()
    })
}

fn given() -> impl Strategy<Value = Given> {
    let status = prop_oneof![100_u16..1000, 200_u16..300, 400_u16..600];
    (status, headers(), body()).prop_map(|(status, headers, body)| Given {
        status: StatusCode::from_u16(status).unwrap(),
        headers,
        body,
    })
}
