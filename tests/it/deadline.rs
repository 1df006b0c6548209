//! The caller's deadline: the answer comes before it, and is true.

use std::time::Duration;

use http::StatusCode;
use incidentgate::sandbox::Fault;
use tokio::time::Instant;
use tonic::Code;

use crate::support::{
    Answer, EXECUTE, Gateway, GatewayBuilder, RawCall, Stub, Wire, answer, execute_message, head,
    request, stub, within,
};

const ID: &str = "213213";

#[track_caller]
fn assert_before_send(error: &Answer) {
    assert_eq!(error.code, Code::DeadlineExceeded);
    assert_eq!(error.reason, "DEADLINE_EXCEEDED");
    assert_eq!(error.domain, "incidentgate");
    assert_eq!(error.outcome, "NOT_STARTED");
    assert_eq!(error.pushback, None);
    assert!(error.details.retry_info().is_none());
}

#[track_caller]
fn assert_after_send(error: &Answer) {
    assert_eq!(error.code, Code::DeadlineExceeded);
    assert_eq!(error.reason, "DEADLINE_EXCEEDED");
    assert_eq!(error.domain, "incidentgate");
    assert_eq!(error.outcome, "UNKNOWN");
    assert_eq!(error.metadata["attempts"], "1");
    assert_eq!(error.pushback.as_deref(), Some("-1"));
    assert!(error.details.retry_info().is_none());
}

#[tokio::test]
async fn after_the_post_has_left_the_outcome_is_unknown_and_the_post_goes_on() {
    for http2 in ["false", "true"] {
        let mut gateway = Gateway::builder()
            .with("graph.http2_prior_knowledge", http2)
            .start()
            .await;
        gateway.sandbox.script(ID, [Fault::hold()]);
        let started = Instant::now();
        let call = RawCall::execute(&gateway, ID, &[("grpc-timeout", "300m")]).await;
        assert!(started.elapsed() >= Duration::from_millis(270), "too early");
        assert_eq!(call.status, StatusCode::OK);
        assert!(!call.headers.contains_key("grpc-status"), "{call:?}");
        assert!(!call.headers.contains_key("grpc-retry-pushback-ms"));
        assert!(call.trailers.is_some(), "{call:?}");
        assert_after_send(&call.error());
        assert_eq!(gateway.sandbox.posts(ID), 1);
        assert_eq!(gateway.sandbox.commits(ID), 0);

        gateway.sandbox.release(ID);
        within(gateway.sandbox.wait_for_commits(ID, 1)).await;
        let line = gateway
            .logged("an action was answered after its caller had left")
            .await;
        assert_eq!(line["outcome"], "STARTED");
        gateway.stop().await;
        assert_eq!(gateway.sandbox.posts(ID), 1);
    }
}

#[tokio::test]
async fn the_gateways_answer_is_faster_than_the_callers_own_timer() {
    let mut gateway = Gateway::start().await;
    gateway.sandbox.script(ID, [Fault::hang()]);
    let mut client = gateway.client().await;
    let mut call = request(ID);
    // tonic's client gives up by itself at the same moment, with a bare CANCELLED.
    call.set_timeout(Duration::from_secs(1));
    let status = within(client.execute_response_action(call))
        .await
        .unwrap_err();
    assert_after_send(&answer(&status));
    gateway.shutdown.immediate.cancel();
    gateway.stopped().await;
}

#[tokio::test]
async fn a_deadline_that_has_passed_at_the_start_sends_nothing() {
    let mut gateway = Gateway::start().await;
    for timeout in ["0n", "0S", "1n", "00000000H"] {
        let call = RawCall::execute(&gateway, ID, &[("grpc-timeout", timeout)]).await;
        assert_before_send(&call.error());
    }
    assert_eq!(gateway.sandbox.posts(ID), 0);
    gateway.stop().await;
}

#[tokio::test]
async fn a_graph_that_takes_no_connection_starts_nothing() {
    let (_listener, _queue, addr) = stub::full();
    let mut gateway = Gateway::builder()
        .with_graph(format!("http://{addr}/beta"))
        .start()
        .await;
    let call = RawCall::execute(&gateway, ID, &[("grpc-timeout", "300m")]).await;
    assert_before_send(&call.error());
    gateway.stop().await;
}

#[tokio::test]
async fn a_graph_that_never_answers_the_tls_handshake_starts_nothing() {
    let stub = Stub::silent().await;
    let mut gateway = Gateway::builder()
        .with_graph(stub.https_url())
        .start()
        .await;
    let call = RawCall::execute(&gateway, ID, &[("grpc-timeout", "300m")]).await;
    assert_before_send(&call.error());
    gateway.stop().await;
}

#[tokio::test]
async fn no_connection_within_the_connect_timeout_is_unreachable_and_may_be_sent_again() {
    let (_listener, _queue, full) = stub::full();
    let silent = Stub::silent().await;
    for url in [format!("http://{full}/beta"), silent.https_url()] {
        for key in ["graph.connect_timeout", "graph.attempt_timeout"] {
            let mut gateway = Gateway::builder()
                .with_graph(&url)
                .with(key, "150ms")
                .start()
                .await;
            let error = answer(&gateway.execute(ID).await.unwrap_err());
            assert_eq!(error.code, Code::Unavailable, "{url} {key}");
            assert_eq!(error.reason, "GRAPH_UNREACHABLE");
            assert_eq!(error.outcome, "NOT_STARTED");
            assert!(error.details.retry_info().is_some());
            gateway.stop().await;
        }
    }
}

#[tokio::test]
async fn a_malformed_deadline_is_refused() {
    let mut gateway = Gateway::start().await;
    for timeout in [
        "abc",
        "",
        "S",
        "100",
        "123456789S",
        "1s",
        "-1S",
        "1.5S",
        "1 S",
    ] {
        let call = RawCall::execute(&gateway, ID, &[("grpc-timeout", timeout)]).await;
        let error = call.error();
        assert_eq!(error.code, Code::InvalidArgument, "{timeout:?}");
        assert_eq!(error.reason, "INVALID_REQUEST");
        assert_eq!(error.outcome, "NOT_STARTED");
        let violations = &error.details.bad_request().unwrap().field_violations;
        assert_eq!(violations.len(), 1);
        assert_eq!(violations[0].field, "grpc-timeout");
    }
    assert_eq!(gateway.sandbox.posts(ID), 0);
    gateway.stop().await;
}

fn short() -> GatewayBuilder {
    Gateway::builder()
        .with("deadline.default", "200ms")
        .with("deadline.max", "400ms")
}

#[tokio::test]
async fn a_longer_deadline_is_cut_to_the_maximum_and_a_missing_one_is_the_default() {
    let mut gateway = short().start().await;
    for (headers, at_least) in [
        (&[("grpc-timeout", "1H")][..], 360),
        (&[("grpc-timeout", "99999999H")], 360),
        (&[], 180),
    ] {
        gateway.sandbox.script(ID, [Fault::hang()]);
        let started = Instant::now();
        let call = RawCall::execute(&gateway, ID, headers).await;
        assert_after_send(&call.error());
        let elapsed = started.elapsed();
        assert!(elapsed >= Duration::from_millis(at_least), "{elapsed:?}");
        assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
    }
    assert_eq!(gateway.sandbox.posts(ID), 3);
    gateway.shutdown.immediate.cancel();
    gateway.stopped().await;
}

#[tokio::test]
async fn a_request_whose_message_never_arrives_is_answered_and_sends_nothing() {
    let mut gateway = short().with("server.max_in_flight", "1").start().await;
    let message = execute_message(ID);
    let mut wire = Wire::connect(gateway.addr).await;
    // The last one is whole, but the caller does not say that nothing follows.
    for part in [0, 3, 5, message.len() - 1, message.len()] {
        let mut sent = wire.begin(head(EXECUTE, &[])).await;
        if part > 0 {
            sent.data(message.slice(..part), false);
        }
        let call = sent.answer().await.unwrap();
        assert_before_send(&call.error());
    }
    // Nothing of it is left behind: the one place is free.
    let mut whole = wire.begin(head(EXECUTE, &[])).await;
    whole.data(message, true);
    assert_eq!(whole.answer().await.unwrap().grpc_status().code(), Code::Ok);
    assert_eq!(gateway.sandbox.posts(ID), 1);
    gateway.stop().await;
}

#[tokio::test]
async fn a_probe_whose_message_never_arrives_is_answered_at_its_deadline() {
    let mut gateway = Gateway::start().await;
    let mut wire = Wire::connect(gateway.addr).await;
    for method in ["Check", "List", "Watch"] {
        let path = format!("/grpc.health.v1.Health/{method}");
        let sent = wire.begin(head(&path, &[("grpc-timeout", "100m")])).await;
        let call = sent.answer().await.unwrap();
        assert_eq!(
            call.grpc_status().code(),
            Code::DeadlineExceeded,
            "{method}"
        );
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_message_later_than_the_deadline_sends_nothing() {
    let mut gateway = Gateway::start().await;
    let mut wire = Wire::connect(gateway.addr).await;
    let mut late = wire.begin(head(EXECUTE, &[("grpc-timeout", "1u")])).await;
    // The microsecond has passed once another call has been answered.
    wire.health("Check").await.answer().await.unwrap();
    late.data(execute_message(ID), true);
    assert_before_send(&late.answer().await.unwrap().error());
    assert_eq!(gateway.sandbox.posts(ID), 0);
    gateway.stop().await;
}
