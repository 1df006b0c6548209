//! However a call ends, its intent gets an outcome.

use incidentgate::sandbox::Fault;
use serde_json::Value;

use super::{Log, records};
use crate::support::{
    Stub, Wire,
    program::{Server, run},
    within,
};

const ID: &str = "213213";

#[track_caller]
fn assert_outcome(records: &[Value], outcome: &str, code: &str, attempts: u32) {
    let [intent, end] = records else {
        panic!("{records:?}");
    };
    assert_eq!(intent["event"], "intent");
    assert_eq!(intent["id"], end["id"]);
    assert_eq!(end["event"], "outcome");
    assert_eq!(end["outcome"], outcome);
    assert_eq!(end["code"], code);
    assert_eq!(end["attempts"], attempts);
}

#[tokio::test]
async fn a_caller_who_leaves_before_the_post_has_started_nothing() {
    let graph = Stub::silent().await;
    let log = Log::new();
    let gateway = log.gateway().with_graph(graph.https_url());
    let mut gateway = gateway.start().await;
    let mut wire = Wire::connect(gateway.addr).await;
    let sent = wire.execute(ID, &[]).await;
    graph.heard.connection(1).await;
    assert_eq!(log.records().len(), 1);
    sent.reset();
    let records = log.wait_for(2).await;
    assert_outcome(&records, "NOT_STARTED", "CANCELLED", 0);
    assert_eq!(records[1].get("reason"), None);
    gateway.stop().await;
}

#[tokio::test]
async fn what_became_of_a_post_is_recorded_after_its_caller_has_left() {
    for (fault, outcome, attempts) in [
        (Fault::hold(), "STARTED", 1),
        (
            Fault::error(404, "itemNotFound", "").held(),
            "NOT_STARTED",
            1,
        ),
        (Fault::reset().committed().held(), "OBSERVED", 1),
        (Fault::reset().held(), "UNKNOWN", 1),
    ] {
        let log = Log::new();
        let mut gateway = log.gateway().start().await;
        gateway.sandbox.script(ID, [fault]);
        let mut wire = Wire::connect(gateway.addr).await;
        let sent = wire.execute(ID, &[]).await;
        within(gateway.sandbox.wait_for_posts(ID, 1)).await;
        sent.reset();
        gateway.logged("the caller left").await;
        assert_eq!(log.records().len(), 1);
        gateway.sandbox.release(ID);
        let records = log.wait_for(2).await;
        assert_outcome(&records, outcome, "CANCELLED", attempts);
        gateway.stop().await;
        assert_eq!(log.records().len(), 2);
    }
}

#[tokio::test]
async fn a_deadline_before_the_post_has_started_nothing() {
    let graph = Stub::silent().await;
    let log = Log::new();
    let gateway = log.gateway().with_graph(graph.https_url());
    let mut gateway = gateway.start().await;
    let mut wire = Wire::connect(gateway.addr).await;
    let sent = wire.execute(ID, &[("grpc-timeout", "1S")]).await;
    let error = sent.answer().await.unwrap().error();
    assert_eq!(error.outcome, "NOT_STARTED");
    let records = log.wait_for(2).await;
    assert_outcome(&records, "NOT_STARTED", "DEADLINE_EXCEEDED", 0);
    assert_eq!(records[1]["reason"], "DEADLINE_EXCEEDED");
    gateway.stop().await;
}

#[tokio::test]
async fn what_became_of_a_post_is_recorded_after_its_deadline() {
    for (fault, outcome) in [
        (Fault::hold(), "STARTED"),
        (Fault::hang().committed(), "UNKNOWN"),
    ] {
        let log = Log::new();
        let gateway = log
            .gateway()
            .with("graph.attempt_timeout", "2s")
            .with("reconciliation.mode", "off");
        let mut gateway = gateway.start().await;
        gateway.sandbox.script(ID, [fault]);
        let mut wire = Wire::connect(gateway.addr).await;
        let sent = wire.execute(ID, &[("grpc-timeout", "1S")]).await;
        let error = sent.answer().await.unwrap().error();
        assert_eq!(error.outcome, "UNKNOWN");
        gateway.sandbox.release(ID);
        let records = log.wait_for(2).await;
        assert_outcome(&records, outcome, "DEADLINE_EXCEEDED", 1);
        gateway.stop().await;
    }
}

/// The calls that a drain cuts short, with their callers there or gone, are no crash.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_is_cut_short_leaves_no_intent_open() {
    let graph = crate::support::Hanging::start().await;
    let log = Log::new();
    let more = [
        ("INCIDENTGATE_GRAPH__HTTP2_PRIOR_KNOWLEDGE", "true"),
        ("INCIDENTGATE_DRAIN__TIMEOUT", "100ms"),
        ("INCIDENTGATE_RECONCILIATION__MODE", "off"),
    ];
    let variables = [&log.variables()[..], &more].concat();
    let server = Server::before_graph(&graph.url(), &variables);
    let mut wire = Wire::connect(server.addr).await;
    let mut calls = Vec::new();
    for _ in 0..50 {
        calls.push(wire.execute(ID, &[]).await);
    }
    graph.wait_for_posts(calls.len()).await;
    for left in calls.drain(..20) {
        left.reset();
    }
    server.program.signal("TERM");
    for sent in calls {
        let error = sent.answer().await.unwrap().error();
        assert_eq!(error.outcome, "UNKNOWN");
    }
    let ended = tokio::task::spawn_blocking(|| server.program.ended());
    let ended = ended.await.unwrap();
    assert_eq!(ended.code, Some(1), "{ended:?}");

    let text = log.text();
    let records = records(&text);
    let outcomes = records.iter().filter(|line| line["event"] == "outcome");
    for outcome in outcomes {
        assert_eq!(outcome["outcome"], "UNKNOWN", "{outcome}");
        assert_eq!(outcome["attempts"], 1, "{outcome}");
    }
    assert_eq!(records.len(), 100, "{text}");
    let path = log.path.clone();
    let pending = tokio::task::spawn_blocking(move || run(&["audit", "pending", &path]));
    assert_eq!(pending.await.unwrap().stdout, "no call is pending\n");
}
