//! The outcome that is claimed is the one that Graph knows.

use std::time::Duration;

use incidentgate::sandbox::{End, Fault, Pace, Task};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::Code;

use crate::support::{Answer, Gateway, GatewayBuilder, Stub, answer, stub, valve};

/// What the caller must be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Started,
    NotStarted,
    Unknown,
}

use Told::{NotStarted, Started, Unknown};

fn drip(then: End) -> Fault {
    let pace = Pace {
        chunk: 3,
        every: Duration::from_millis(2),
        then,
    };
    Fault::drip(200, r#"{"id": "7"}"#, pace).header("Content-Type", "application/json")
}

/// Every way in which Graph can lose or spoil an answer, and what may be said about it.
fn faults() -> Vec<(Fault, Told)> {
    let lost = [
        Fault::reset(),
        Fault::close(),
        Fault::garbage("\u{15}\u{3}\u{1}garbage\r\n\r\n"),
        Fault::hang(),
        Fault::truncate(200, 100, r#"{"id": "#),
        Fault::truncate(500, 100, r#"{"error": "#),
        Fault::captive_page(),
        Fault::error(500, "generalException", ""),
        Fault::error(503, "UnknownError", ""),
        Fault::error(504, "UnknownError", ""),
        Fault::error(408, "requestTimeout", ""),
        Fault::reply(599, "?"),
        drip(End::Break),
        drip(End::Hang),
        drip(End::Repeat),
    ];
    let lost = lost.into_iter().flat_map(|fault| {
        // Nobody can tell these two apart, so both are told the same.
        [(fault.clone(), Unknown), (fault.committed(), Unknown)]
    });
    let told = [
        (Fault::default(), Started),
        (Fault::default().committed(), Started),
        (Fault::delay(Duration::from_millis(20)), Started),
        (drip(End::Complete).committed(), Started),
        (
            Fault::error(503, "UnknownError", "").header("Retry-After", "1"),
            NotStarted,
        ),
        (Fault::throttle(1, false), NotStarted),
        (Fault::error(409, "conflict", ""), NotStarted),
        (Fault::truncate(403, 100, r#"{"error": "#), NotStarted),
    ];
    lost.chain(told).collect()
}

#[track_caller]
fn check(answer: &Answer, told: Told) {
    match told {
        Started => panic!("{answer:?}"),
        NotStarted => assert_eq!(answer.outcome, "NOT_STARTED", "{answer:?}"),
        Unknown => {
            assert_eq!(answer.outcome, "UNKNOWN", "{answer:?}");
            assert_eq!(answer.pushback.as_deref(), Some("-1"));
            assert!(answer.details.retry_info().is_none());
            // These two are what meshes replay.
            assert_ne!(answer.code, Code::Unavailable);
            assert_ne!(answer.code, Code::Cancelled);
        }
    }
}

async fn tells_the_truth(mut gateway: Gateway) {
    for (n, (fault, told)) in faults().into_iter().enumerate() {
        let id = format!("task-{n}");
        let sandbox = &gateway.sandbox;
        sandbox.put_task(Task::new(&id));
        sandbox.script(&id, [fault.clone()]);
        let result = gateway.execute(&id).await;
        let context = format!("{fault:?} {result:?}");
        assert_eq!(sandbox.posts(&id), 1, "{context}");
        let committed = sandbox.commits(&id) > 0;
        match &result {
            Ok(response) => {
                assert_eq!(told, Started, "{context}");
                assert_eq!(response.attempts, 1);
                assert!(committed, "{context}");
            }
            Err(status) => {
                check(&answer(status), told);
                assert!(told == Unknown || !committed, "{context}");
            }
        }
    }
    // A held connection or a lost tracker would show here.
    gateway.stop().await;
}

fn impatient() -> GatewayBuilder {
    Gateway::single_attempts().with("graph.attempt_timeout", "300ms")
}

#[tokio::test]
async fn the_truth_is_told_over_http_1() {
    tells_the_truth(impatient().start().await).await;
}

#[tokio::test]
async fn the_truth_is_told_over_http_2() {
    let gateway = impatient().with("graph.http2_prior_knowledge", "true");
    tells_the_truth(gateway.start().await).await;
}

#[tokio::test]
async fn a_refused_connection_starts_nothing_and_may_be_tried_again() {
    let (_taken, addr) = stub::refusing();
    for (scheme, http2) in [("http", "false"), ("http", "true"), ("https", "false")] {
        let mut gateway = Gateway::single_attempts()
            .with_graph(format!("{scheme}://{addr}/beta"))
            .with("graph.http2_prior_knowledge", http2)
            .start()
            .await;
        let error = answer(&gateway.execute("213213").await.unwrap_err());
        assert_eq!(error.code, Code::Unavailable, "{scheme} {http2}");
        assert_eq!(error.reason, "GRAPH_UNREACHABLE");
        assert_eq!(error.outcome, "NOT_STARTED");
        assert!(error.details.retry_info().is_some());
        assert!(error.pushback.unwrap().parse::<i32>().unwrap() > 0);
        assert!(!error.metadata.contains_key("attempts"));
        gateway.stop().await;
    }
}

/// How a peer that was connected to can break the connection.
#[derive(Debug, Clone, Copy)]
enum Break {
    CloseAtOnce,
    ResetAtOnce,
    CloseAfterFirstByte,
    ResetAfterFirstByte,
    GarbageAtOnce,
}

#[tokio::test]
async fn a_connection_that_breaks_is_never_told_as_not_started_once_a_byte_was_heard() {
    let breaks = [
        Break::CloseAtOnce,
        Break::ResetAtOnce,
        Break::CloseAfterFirstByte,
        Break::ResetAfterFirstByte,
        Break::GarbageAtOnce,
    ];
    for (how, http2) in breaks
        .into_iter()
        .flat_map(|how| [(how, "false"), (how, "true")])
    {
        let stub = Stub::start(move |_, mut stream, heard| async move {
            match how {
                Break::CloseAtOnce => {}
                Break::ResetAtOnce => stub::reset(stream),
                Break::CloseAfterFirstByte => {
                    heard.some(&mut stream).await;
                }
                Break::ResetAfterFirstByte => {
                    heard.some(&mut stream).await;
                    stub::reset(stream);
                }
                Break::GarbageAtOnce => {
                    stream.write_all(b"\x15\x03\x01\0\x02").await.ok();
                    let mut rest = Vec::new();
                    stream.read_to_end(&mut rest).await.ok();
                    heard.add(&rest);
                }
            }
        })
        .await;
        let mut gateway = Gateway::single_attempts()
            .with_graph(stub.http_url())
            .with("graph.http2_prior_knowledge", http2)
            .start()
            .await;
        let error = answer(&gateway.execute("213213").await.unwrap_err());
        let bytes = stub.heard.bytes();
        let request_heard = if http2 == "true" {
            // The preface (24 bytes) is no request; HEADERS is frame type 1.
            valve::frames(bytes.get(24..).unwrap_or_default())
                .iter()
                .any(|frame| frame.kind == 1)
        } else {
            !bytes.is_empty()
        };
        let context = format!("{how:?} {http2} {error:?}");
        if error.outcome == "NOT_STARTED" {
            assert!(!request_heard, "{context}");
            assert_eq!(error.reason, "GRAPH_UNREACHABLE", "{context}");
        } else {
            check(&error, Unknown);
            assert_eq!(error.reason, "GRAPH_RESPONSE_LOST", "{context}");
        }
        assert!(stub.heard.posts() <= 1, "{context}");
        assert_eq!(stub.heard.connections(), 1, "{context}");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_connection_that_graph_has_closed_meanwhile_costs_no_call_and_doubles_none() {
    const CALLS: usize = 30;
    let stub = Stub::start(|number, mut stream, heard| async move {
        heard.request(&mut stream).await;
        stub::no_content(&mut stream).await;
        // Between the answer and this end the client takes the connection for usable.
        if number % 2 == 0 {
            stub::reset(stream);
        }
    })
    .await;
    let mut gateway = Gateway::single_attempts()
        .with_graph(stub.http_url())
        .start()
        .await;
    let mut started = 0;
    for call in 1..=CALLS {
        match gateway.execute("213213").await {
            Ok(response) => {
                assert_eq!(response.attempts, 1);
                started += 1;
            }
            Err(status) => check(&answer(&status), Unknown),
        }
        assert!(stub.heard.posts() <= call, "a POST was doubled");
    }
    assert!(stub.heard.posts() >= started);
    assert!(started >= CALLS / 2, "{started}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_kept_connection_that_dies_under_the_second_post_is_told_as_unknown() {
    let stub = Stub::start(|number, mut stream, heard| async move {
        heard.request(&mut stream).await;
        stub::no_content(&mut stream).await;
        // The second request is read in full, and then the connection ends.
        if number == 1 && heard.request(&mut stream).await {
            stub::reset(stream);
        }
    })
    .await;
    let mut gateway = Gateway::single_attempts()
        .with_graph(stub.http_url())
        .start()
        .await;
    gateway.execute("213213").await.unwrap();
    let lost = answer(&gateway.execute("213213").await.unwrap_err());
    check(&lost, Unknown);
    assert_eq!(lost.metadata["attempts"], "1");
    assert_eq!(stub.heard.posts(), 2);
    assert_eq!(stub.heard.connections(), 1);
    // The next call is not harmed by the dead connection.
    gateway.execute("213213").await.unwrap();
    assert_eq!(stub.heard.posts(), 3);
    gateway.stop().await;
}
