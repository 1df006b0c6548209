//! Log lines of calls: found by the trace id that the caller has.

use incidentgate::sandbox::{Fault, Options, Tokens};
use tonic::Code;

use crate::support::{Gateway, RawCall, TRACE, TRACEPARENT, answer, request, within};

#[tokio::test]
async fn a_failed_call_is_one_line_with_its_trace_and_span() {
    let options = Options {
        tokens: Tokens::Only(vec!["another".to_owned()]),
        ..Options::default()
    };
    for (id, options, code, outcome, level) in [
        (
            "213215",
            Options::default(),
            "ALREADY_EXISTS",
            "ALREADY_STARTED",
            "INFO",
        ),
        ("213213", options, "UNAUTHENTICATED", "NOT_STARTED", "INFO"),
        (
            "",
            Options::default(),
            "INVALID_ARGUMENT",
            "NOT_STARTED",
            "INFO",
        ),
    ] {
        let gateway = Gateway::builder()
            .with_sandbox(options)
            .with_log_filter("info")
            .start()
            .await;
        let call = RawCall::execute(&gateway, id, &[TRACEPARENT]).await;
        let lines = gateway.logs();
        let of_call: Vec<_> = lines
            .iter()
            .filter(|line| line["trace_id"] == TRACE)
            .collect();
        assert_eq!(of_call.len(), 1, "{lines:?}");
        let line = of_call[0];
        assert_eq!(line["message"], "call failed");
        assert_eq!(line["level"], level);
        assert_eq!(line["code"], code);
        assert_eq!(line["error"], answer(&call.grpc_status()).message);
        assert_eq!(line["outcome"], outcome);
        let spans = gateway.spans();
        let server = spans.last().unwrap().span_context.span_id();
        assert_eq!(line["span_id"], server.to_string());
    }
}

#[tokio::test]
async fn an_unknown_outcome_is_a_warning() {
    let gateway = Gateway::single_attempts().start().await;
    gateway.sandbox.script("213213", [Fault::reset()]);
    gateway.execute("213213").await.unwrap_err();
    let line = gateway.logged("call failed").await;
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["outcome"], "UNKNOWN");
    assert_eq!(line["reason"], "GRAPH_RESPONSE_LOST");
}

#[tokio::test]
async fn what_became_of_an_action_without_its_caller_is_logged_with_the_callers_trace() {
    let answered = "an action was answered after its caller had left";
    for (then, outcome) in [
        (Fault::hold(), "STARTED"),
        (Fault::error(504, "timeout", "").held(), "UNKNOWN"),
        (Fault::error(404, "itemNotFound", "").held(), "NOT_STARTED"),
    ] {
        let gateway = Gateway::start().await;
        gateway.sandbox.script("213213", [then]);
        let client = gateway.client().await;
        let mut calling = client.clone();
        let mut call = request("213213");
        let traceparent = TRACEPARENT.1.parse().unwrap();
        call.metadata_mut().insert(TRACEPARENT.0, traceparent);
        let calling = async move { calling.execute_response_action(call).await.map(drop) };
        let calling = tokio::spawn(calling);
        within(gateway.sandbox.wait_for_posts("213213", 1)).await;
        calling.abort();
        let left = gateway
            .logged("the caller left before the action was answered")
            .await;
        assert_eq!(left["trace_id"], TRACE);
        assert_eq!(left["departed"], "yes");
        gateway.sandbox.release("213213");
        let line = gateway.logged(answered).await;
        assert_eq!(line["trace_id"], TRACE);
        assert_eq!(line["span_id"], left["span_id"]);
        assert_eq!(line["outcome"], outcome);
    }
}

#[tokio::test]
async fn an_action_that_outlives_its_deadline_is_logged_too() {
    let gateway = Gateway::start().await;
    gateway.sandbox.script("213213", [Fault::hold()]);
    let headers = [TRACEPARENT, ("grpc-timeout", "1S")];
    let call = RawCall::execute(&gateway, "213213", &headers).await;
    assert_eq!(call.grpc_status().code(), Code::DeadlineExceeded);
    gateway.sandbox.release("213213");
    let answered = "an action was answered after its caller had left";
    let line = gateway.logged(answered).await;
    assert_eq!(line["trace_id"], TRACE);
    assert_eq!(line["outcome"], "STARTED");
}

#[tokio::test]
async fn a_silent_log_silences_no_span() {
    let gateway = Gateway::builder().with_log_filter("off").start().await;
    gateway.execute("213215").await.unwrap_err();
    assert_eq!(gateway.log_text(), "");
    assert_eq!(gateway.spans().len(), 2);
}

#[tokio::test]
async fn a_started_action_is_a_line_for_debugging() {
    let gateway = Gateway::builder()
        .with_log_filter("incidentgate::server=debug")
        .start()
        .await;
    RawCall::execute(&gateway, "213213", &[TRACEPARENT]).await;
    let line = gateway.logged("call ended").await;
    assert_eq!(line["level"], "DEBUG");
    assert_eq!(line["trace_id"], TRACE);
    assert_eq!(line["code"], "OK");
    assert_eq!(line["outcome"], "STARTED");
    let micros = line["duration_ms"].as_f64().unwrap() * 1e3;
    assert!((micros - micros.round()).abs() < 1e-6, "{line}");
}
