//! Requests that HTTP/2 refused, frame by frame: only those that the server promises not
//! to have processed are told as not started (RFC 9113, sections 6.8 and 8.7).

use h2::Reason;
use incidentgate::sandbox::{Fault, LastStream, Task};
use opentelemetry::trace::SpanKind;
use tonic::Code;

use crate::support::{
    Answer, Gateway, GatewayBuilder, Wire, answer, attributes,
    frames::{
        DATA, END_HEADERS, EVERY_END, EVERY_STREAM, HEADERS, OK, SERVER_ERROR, Script, Server,
        Then, begun, frame, goaway, no_content, reset,
    },
    valve::GOAWAY,
};

/// A gateway that makes one attempt for each call.
fn gateway() -> GatewayBuilder {
    Gateway::single_attempts().with("graph.http2_prior_knowledge", "true")
}

#[track_caller]
fn assert_refused(error: &Answer, context: &str) {
    assert_eq!(error.code, Code::Unavailable, "{context} {error:?}");
    assert_eq!(error.reason, "GRAPH_UNREACHABLE", "{context}");
    assert_eq!(error.domain, "incidentgate", "{context}");
    assert_eq!(error.outcome, "NOT_STARTED", "{context}");
    assert!(error.details.retry_info().is_some(), "{context}");
    let pushback = error.pushback.as_deref().unwrap();
    assert!(pushback.parse::<i32>().unwrap() > 0, "{context}");
    // It was on the wire.
    assert_eq!(error.metadata["attempts"], "1", "{context}");
}

#[track_caller]
fn assert_unknown(error: &Answer, context: &str) {
    assert_eq!(error.code, Code::Unknown, "{context} {error:?}");
    assert_not_to_be_sent_again(error, context);
}

#[track_caller]
fn assert_not_to_be_sent_again(error: &Answer, context: &str) {
    assert_eq!(error.outcome, "UNKNOWN", "{context}");
    assert!(error.details.retry_info().is_none(), "{context}");
    assert_eq!(error.pushback.as_deref(), Some("-1"), "{context}");
    assert_eq!(error.metadata["attempts"], "1", "{context}");
}

/// One call to a server that says this to it.
async fn told(says: Vec<Vec<u8>>, then: Then) -> Answer {
    told_by(gateway(), says, then).await
}

async fn told_by(gateway: GatewayBuilder, says: Vec<Vec<u8>>, then: Then) -> Answer {
    let script = Script {
        requests: 1,
        says,
        then,
    };
    let server = Server::start([script]).await;
    let mut gateway = gateway.with_graph(server.stub.http_url()).start().await;
    let error = answer(&gateway.execute("213213").await.unwrap_err());
    assert_eq!(server.requests(), 1, "sent again");
    assert_eq!(server.stub.heard.connections(), 1);
    gateway.stop().await;
    error
}

#[tokio::test]
async fn a_stream_that_is_reset_as_refused_was_not_started() {
    let error = told(vec![reset(1, Reason::REFUSED_STREAM)], Then::Stay).await;
    assert_refused(&error, "");
    assert!(error.message.contains("refused"), "{}", error.message);
}

#[tokio::test]
async fn a_stream_that_is_reset_for_any_other_reason_is_unknown() {
    for reason in [
        Reason::NO_ERROR,
        Reason::PROTOCOL_ERROR,
        Reason::INTERNAL_ERROR,
        Reason::STREAM_CLOSED,
        Reason::CANCEL,
        Reason::ENHANCE_YOUR_CALM,
        Reason::HTTP_1_1_REQUIRED,
        Reason::from(0xdead),
    ] {
        let error = told(vec![reset(1, reason)], Then::Stay).await;
        assert_unknown(&error, &format!("{reason:?}"));
        assert_eq!(error.reason, "GRAPH_RESPONSE_LOST", "{reason:?}");
    }
}

#[tokio::test]
async fn a_goaway_that_leaves_the_stream_out_started_nothing_however_the_connection_ends() {
    let errors = [
        Reason::NO_ERROR,
        Reason::INTERNAL_ERROR,
        Reason::ENHANCE_YOUR_CALM,
    ];
    let plain = errors.map(|reason| vec![goaway(0, reason)]);
    let announced = vec![
        goaway(EVERY_STREAM, Reason::NO_ERROR),
        goaway(0, Reason::NO_ERROR),
    ];
    for says in plain.into_iter().chain([announced]) {
        for then in EVERY_END {
            let context = format!("{says:?} {then:?}");
            assert_refused(&told(says.clone(), then).await, &context);
        }
    }
}

#[tokio::test]
async fn a_goaway_that_counts_the_stream_in_tells_nothing_about_it() {
    for last in [1, 3, EVERY_STREAM] {
        for reason in [Reason::NO_ERROR, Reason::REFUSED_STREAM, Reason::CANCEL] {
            for then in EVERY_END {
                // A connection that stays is waited on until the attempt's time is up.
                let gateway = if then == Then::Stay {
                    gateway().with("graph.attempt_timeout", "100ms")
                } else {
                    gateway()
                };
                let error = told_by(gateway, vec![goaway(last, reason)], then).await;
                assert_unknown(&error, &format!("{last} {reason:?} {then:?}"));
                assert_eq!(error.reason, "GRAPH_RESPONSE_LOST");
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_after_the_answer_has_begun_is_a_contradiction_and_unknown() {
    for (status, code) in [(OK, Code::Unknown), (SERVER_ERROR, Code::Internal)] {
        for says in [
            reset(1, Reason::REFUSED_STREAM),
            goaway(0, Reason::INTERNAL_ERROR),
        ] {
            let error = told(vec![begun(1, &[status]), says], Then::Close).await;
            assert_eq!(error.code, code, "{error:?}");
            assert_not_to_be_sent_again(&error, &format!("{code:?}"));
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_short_without_an_error_is_unknown() {
    // `content-length: 9`: a literal whose name is entry 28 of that table.
    let head = begun(1, &[OK, 0x0f, 28 - 15, 1, b'9']);
    for body in [frame(DATA, 0, 1, b""), frame(DATA, 0, 1, b"{}")] {
        for says in [reset(1, Reason::NO_ERROR), goaway(0, Reason::NO_ERROR)] {
            let error = told(vec![head.clone(), body.clone(), says], Then::Close).await;
            assert_unknown(&error, &format!("{body:?}"));
            assert_eq!(error.reason, "GRAPH_RESPONSE_LOST");
        }
    }
}

#[tokio::test]
async fn a_connection_that_the_gateway_itself_ends_is_unknown() {
    for (says, what) in [
        (frame(DATA, 0, 1, b"?"), "a body without a head"),
        (frame(GOAWAY, 0, 1, &[0; 8]), "a GOAWAY on a stream"),
        (
            reset(0, Reason::REFUSED_STREAM),
            "a reset of the connection",
        ),
        (
            reset(5, Reason::REFUSED_STREAM),
            "a reset of an idle stream",
        ),
        (
            frame(HEADERS, END_HEADERS, 1, &[0xff; 9]),
            "HPACK that is none",
        ),
        (
            [goaway(1, Reason::NO_ERROR), goaway(3, Reason::NO_ERROR)].concat(),
            "a raised GOAWAY",
        ),
    ] {
        let error = told(vec![says], Then::Stay).await;
        assert_unknown(&error, what);
        assert_eq!(error.reason, "GRAPH_RESPONSE_LOST", "{what}");
    }
}

#[tokio::test]
async fn of_several_streams_each_is_told_its_own_truth() {
    for reason in [Reason::NO_ERROR, Reason::ENHANCE_YOUR_CALM] {
        for then in [Then::Close, Then::Reset] {
            let script = Script {
                requests: 5,
                says: vec![
                    reset(9, Reason::REFUSED_STREAM),
                    goaway(5, reason),
                    no_content(1),
                    reset(3, Reason::CANCEL),
                ],
                then,
            };
            let server = Server::start([script]).await;
            let mut gateway = gateway().with_graph(server.stub.http_url()).start().await;
            let mut wire = Wire::connect(gateway.addr).await;
            let mut calls = Vec::new();
            for n in 1..=5 {
                calls.push(wire.execute("213213", &[]).await);
                // The streams have the order of the calls.
                server.wait_for_requests(n).await;
            }
            let mut answers = Vec::new();
            for call in calls {
                answers.push(call.answer().await.unwrap());
            }
            let context = format!("{reason:?} {then:?}");
            assert_eq!(answers[0].grpc_status().code(), Code::Ok, "{context}");
            assert_unknown(&answers[1].error(), &context);
            assert_unknown(&answers[2].error(), &context);
            assert_refused(&answers[3].error(), &context);
            assert_refused(&answers[4].error(), &context);
            assert_eq!(server.requests(), 5, "{context}");
            assert_eq!(server.stub.heard.connections(), 1, "{context}");
            gateway.stop().await;
        }
    }
}

#[tokio::test]
async fn the_call_after_a_goaway_gets_a_new_connection() {
    let scripts = [
        Script {
            requests: 1,
            says: vec![goaway(0, Reason::NO_ERROR)],
            then: Then::Stay,
        },
        Script {
            requests: 1,
            says: vec![no_content(1)],
            then: Then::Stay,
        },
    ];
    let server = Server::start(scripts).await;
    let mut gateway = gateway().with_graph(server.stub.http_url()).start().await;
    let error = answer(&gateway.execute("213213").await.unwrap_err());
    assert_refused(&error, "");
    let response = gateway.execute("213213").await.unwrap();
    assert_eq!(response.attempts, 1);
    assert_eq!(server.requests(), 2);
    assert_eq!(server.stub.heard.connections(), 2);
    gateway.stop().await;
}

#[tokio::test]
async fn the_sandbox_refuses_as_a_graph_behind_http_2_would() {
    let mut gateway = gateway().start().await;
    let refused = [Fault::refuse_stream(), Fault::go_away(LastStream::Before)];
    let unknown = [
        Fault::go_away(LastStream::This),
        Fault::go_away(LastStream::This).committed(),
    ];
    let rows = refused.into_iter().map(|fault| (fault, true));
    let rows = rows.chain(unknown.into_iter().map(|fault| (fault, false)));
    for (n, (fault, is_refused)) in rows.enumerate() {
        let id = format!("task-{n}");
        gateway.sandbox.put_task(Task::new(&id));
        gateway.sandbox.script(&id, [fault.clone()]);
        let error = answer(&gateway.execute(&id).await.unwrap_err());
        let context = format!("{fault:?}");
        if is_refused {
            assert_refused(&error, &context);
        } else {
            assert_unknown(&error, &context);
        }
        assert_eq!(gateway.sandbox.posts(&id), 1, "{context}");
        assert_eq!(
            gateway.sandbox.commits(&id),
            usize::from(fault.commit),
            "{context}"
        );
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_refusal_has_a_name_in_the_span_of_its_attempt() {
    let mut gateway = gateway().start().await;
    gateway.sandbox.script("213213", [Fault::refuse_stream()]);
    gateway.execute("213213").await.unwrap_err();
    let spans = gateway.wait_for_spans(2).await;
    let attempt = spans.iter().find(|span| span.span_kind == SpanKind::Client);
    let said = attributes(&attempt.unwrap().attributes);
    assert!(said.contains("error.type=text:refused_stream"), "{said:?}");
    assert!(
        said.contains("incidentgate.action.outcome=text:NOT_STARTED"),
        "{said:?}"
    );
    gateway.stop().await;
}
