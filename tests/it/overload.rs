//! More calls than places: who runs, who waits, who is refused, and that all are told.

use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use tonic::Code;

use crate::support::{
    Answer, Crowd, EXECUTE, Gateway, GatewayBuilder, Hanging, Sent, Wire, head, points, within,
};

const ID: &str = "213213";
const WAITING: &str = "incidentgate.calls.waiting {call} {}";
const DETACHED: &str = "incidentgate.calls.detached {call} {}";
const WITHOUT_PLACE: &str = "incidentgate.calls.without_place {call} {}";
const IN_FLIGHT: &str = "incidentgate.calls.in_flight {call} \
    {rpc.method=incidentgate.v1.IncidentTaskService/ExecuteResponseAction}";

#[track_caller]
fn assert_refused(error: &Answer, reason: &str) {
    assert_eq!(error.reason, reason);
    assert_eq!(error.outcome, "NOT_STARTED");
    assert!(error.metadata.contains_key("clientRequestId"), "{error:?}");
}

/// A gateway with few places, in which nothing ends by time.
fn patient(places: usize, seats: usize, graph: &Hanging) -> GatewayBuilder {
    Gateway::builder()
        .with_graph(graph.url())
        .with_log_filter("error")
        .with("graph.http2_prior_knowledge", "true")
        .with("graph.attempt_timeout", "1h")
        .with("deadline.default", "1h")
        .with("deadline.max", "1h")
        .with("server.max_connection_age_grace", "1h")
        .with("server.max_in_flight", places.to_string())
        .with("server.max_waiting", seats.to_string())
        .with("server.max_wait", "1h")
}

#[track_caller]
fn assert_measured(gateway: &Gateway, name: &str, value: usize) {
    let points = points(&gateway.metrics());
    assert!(points.contains(&format!("{name} {value}")), "{points:#?}");
}

/// Waits until a metric has a value.
async fn measured(gateway: &Gateway, name: &str, value: usize) {
    let wanted = format!("{name} {value}");
    within(async {
        while !points(&gateway.metrics()).contains(&wanted) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn of_ten_thousand_calls_as_many_run_and_wait_as_may_and_the_others_are_refused_at_once() {
    const CALLS: usize = 10_000;
    const PLACES: usize = 100;
    const SEATS: usize = 1024;
    const REFUSED: usize = CALLS - PLACES - SEATS;
    let graph = Hanging::start().await;
    let mut gateway = patient(PLACES, SEATS, &graph).start().await;
    let mut crowd = Crowd::connect(gateway.addr, CALLS).await;
    let calls = crowd.call(CALLS, &[]).await;
    let mut answers: FuturesUnordered<_> = calls.into_iter().map(Sent::answer_some_day).collect();
    for _ in 0..REFUSED {
        let refused = within(answers.next()).await.unwrap().unwrap();
        assert_refused(&refused.error(), "GATEWAY_OVERLOADED");
    }
    graph.wait_for_posts(PLACES).await;
    assert!(answers.next().now_or_never().is_none());
    assert_eq!(graph.posts(), PLACES);
    assert_measured(&gateway, WAITING, SEATS);
    assert_measured(&gateway, IN_FLIGHT, PLACES + SEATS);

    graph.open();
    while let Some(call) = within(answers.next()).await {
        assert_eq!(call.unwrap().grpc_status().code(), Code::Ok);
    }
    assert_eq!(graph.posts(), PLACES + SEATS);
    assert_measured(&gateway, WAITING, 0);
    assert_measured(&gateway, IN_FLIGHT, 0);
    assert_measured(&gateway, WITHOUT_PLACE, REFUSED);
    gateway.stop().await;
}

#[tokio::test]
async fn callers_who_hang_up_pile_up_no_attempts_and_leave_no_trace_in_the_queue() {
    const PLACES: usize = 50;
    const SEATS: usize = 200;
    const CALLERS: usize = 1000;
    let graph = Hanging::start().await;
    let mut gateway = patient(PLACES, SEATS, &graph).start().await;
    let mut crowd = Crowd::connect(gateway.addr, CALLERS).await;
    for round in 0..3 {
        let taken = if round == 0 { PLACES } else { 0 };
        let calls = crowd.call(CALLERS, &[]).await;
        graph.wait_for_posts(PLACES).await;
        measured(&gateway, WAITING, SEATS).await;
        let refused = (round + 1) * (CALLERS - SEATS) - PLACES;
        measured(&gateway, WITHOUT_PLACE, refused).await;
        assert_measured(&gateway, IN_FLIGHT, taken + SEATS);
        for sent in calls {
            sent.reset();
        }
        measured(&gateway, IN_FLIGHT, 0).await;
        assert_measured(&gateway, WAITING, 0);
        assert_measured(&gateway, DETACHED, PLACES);
        assert_eq!(graph.posts(), PLACES, "{round}");
    }
    graph.open();
    let last = crowd.call(1, &[]).await.pop().unwrap();
    assert_eq!(last.answer().await.unwrap().grpc_status().code(), Code::Ok);
    measured(&gateway, DETACHED, 0).await;
    assert_eq!(graph.posts(), PLACES + 1);
    gateway.stop().await;
}

#[tokio::test]
async fn a_wait_is_cut_by_its_limit_and_by_the_calls_deadline_and_is_told_so() {
    for (max_wait, timeout, code, reason) in [
        ("50ms", "1H", Code::ResourceExhausted, "GATEWAY_OVERLOADED"),
        ("1h", "100m", Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
    ] {
        let graph = Hanging::start().await;
        let gateway = patient(1, 1, &graph).with("server.max_wait", max_wait);
        let mut gateway = gateway.start().await;
        let mut wire = Wire::connect(gateway.addr).await;
        let running = wire.execute(ID, &[]).await;
        graph.wait_for_posts(1).await;
        let waiting = wire.execute(ID, &[("grpc-timeout", timeout)]).await;
        let error = waiting.answer().await.unwrap().error();
        assert_eq!(error.code, code);
        assert_refused(&error, reason);
        assert_measured(&gateway, WITHOUT_PLACE, 1);
        assert_measured(&gateway, WAITING, 0);
        graph.open();
        let call = running.answer().await.unwrap();
        assert_eq!(call.grpc_status().code(), Code::Ok);
        gateway.stop().await;
        assert_eq!(graph.posts(), 1);
    }
}

#[tokio::test]
async fn a_drain_refuses_those_who_wait_and_lets_those_who_run_finish() {
    let graph = Hanging::start().await;
    let mut gateway = patient(1, 9, &graph).start().await;
    let mut wire = Wire::connect(gateway.addr).await;
    let running = wire.execute(ID, &[]).await;
    graph.wait_for_posts(1).await;
    let waiting = [
        wire.execute(ID, &[]).await,
        wire.execute("213216", &[]).await,
    ];
    measured(&gateway, WAITING, waiting.len()).await;
    gateway.begin_drain().await;
    for sent in waiting {
        let error = sent.answer().await.unwrap().error();
        assert_eq!(error.code, Code::Unavailable);
        assert_refused(&error, "GATEWAY_DRAINING");
    }
    graph.open();
    let call = running.answer().await.unwrap();
    assert_eq!(call.grpc_status().code(), Code::Ok);
    gateway.stopped().await;
    assert_eq!(graph.posts(), 1);
}

#[tokio::test]
async fn calls_without_a_message_are_bounded_too() {
    let graph = Hanging::start().await;
    graph.open();
    let gateway = patient(1, 0, &graph).with("server.max_open", "10");
    let mut gateway = gateway.start().await;
    let mut wire = Wire::connect(gateway.addr).await;
    let mut silent = Vec::new();
    for _ in 0..10 {
        silent.push(wire.begin(head(EXECUTE, &[])).await);
    }
    let call = wire.execute(ID, &[]).await;
    let error = call.answer().await.unwrap().error();
    assert_eq!(error.reason, "GATEWAY_OVERLOADED");
    assert_eq!(error.outcome, "NOT_STARTED");
    silent.pop().unwrap().reset();
    // Once the gateway has noticed.
    within(async {
        loop {
            let call = wire.execute(ID, &[]).await.answer().await.unwrap();
            if call.grpc_status().code() == Code::Ok {
                break;
            }
        }
    })
    .await;
    for sent in silent {
        sent.reset();
    }
    gateway.stop().await;
}

#[tokio::test]
async fn who_has_sent_no_message_or_has_no_token_takes_no_place() {
    let graph = Hanging::start().await;
    let mut gateway = patient(1, 0, &graph).start().await;
    let mut wire = Wire::connect(gateway.addr).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(wire.begin(head(EXECUTE, &[])).await);
    }
    let running = wire.execute(ID, &[]).await;
    graph.wait_for_posts(1).await;
    for (authorization, reason) in [
        ("Bearer token", "GATEWAY_OVERLOADED"),
        ("", "CALLER_UNAUTHENTICATED"),
    ] {
        let call = wire.execute(ID, &[("authorization", authorization)]).await;
        assert_refused(&call.answer().await.unwrap().error(), reason);
    }
    graph.open();
    let call = running.answer().await.unwrap();
    assert_eq!(call.grpc_status().code(), Code::Ok);
    for sent in silent {
        sent.reset();
    }
    gateway.stop().await;
}
