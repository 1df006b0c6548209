//! The drain ends, in time, and loses no call.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use incidentgate::{
    pb::health::{HealthCheckRequest, health_check_response::ServingStatus},
    sandbox::Fault,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};

use tonic::Code;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest,
};

use crate::support::{
    Answer, EXECUTE, Gateway, GatewayBuilder, RawCall, Sent, Stub, Valve, Wire, answer,
    execute_message, head, request, valve::Frame, within,
};

const ID: &str = "213213";

#[track_caller]
fn assert_draining(error: &Answer) {
    assert_eq!(error.code, Code::Unavailable);
    assert_eq!(error.reason, "GATEWAY_DRAINING");
    assert_eq!(error.outcome, "NOT_STARTED");
    assert!(error.details.retry_info().is_some());
    assert_eq!(error.pushback.as_deref(), Some("1000"));
}

/// A drain that has more time than any test: only what hangs would use it up.
fn unhurried() -> GatewayBuilder {
    Gateway::builder().with("drain.timeout", "1h")
}

/// Everything that came in before has been accepted once this has been answered.
async fn accepted(gateway: &Gateway) {
    let mut health = gateway.health().await;
    within(health.check(HealthCheckRequest::default()))
        .await
        .unwrap();
}

/// A call in flight, for which the drain waits.
async fn hold(gateway: &Gateway) -> Sent {
    gateway.sandbox.script(ID, [Fault::hold()]);
    let sent = Wire::connect(gateway.addr).await.execute(ID, &[]).await;
    within(gateway.sandbox.wait_for_posts(ID, 1)).await;
    sent
}

/// Lets it end, and with it the drain; no other call has started anything.
async fn end(mut gateway: Gateway, held: Sent) {
    gateway.sandbox.release(ID);
    let call = held.answer().await.unwrap();
    assert_eq!(call.grpc_status().code(), Code::Ok);
    gateway.stopped().await;
    assert_eq!(gateway.sandbox.posts("213216"), 0);
}

#[tokio::test]
async fn a_silent_connection_does_not_hold_the_drain_up() {
    let mut gateway = unhurried().start().await;
    let silent = TcpStream::connect(gateway.addr).await.unwrap();
    let mut half = TcpStream::connect(gateway.addr).await.unwrap();
    half.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    accepted(&gateway).await;
    gateway.stop().await;
    for mut stream in [silent, half] {
        // Its SETTINGS at most, and then the end.
        within(stream.read_to_end(&mut Vec::new())).await.ok();
    }
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_does_not_hold_the_drain_up() {
    let mut gateway = unhurried().start().await;
    let mut mute = TcpStream::connect(gateway.addr).await.unwrap();
    mute.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    // The gateway's SETTINGS: it takes the connection for open.
    within(mute.read_exact(&mut [0; 9])).await.unwrap();
    accepted(&gateway).await;
    gateway.stop().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_good_order() {
    let mut gateway = unhurried().start().await;
    let valve = Valve::to(gateway.addr).await;
    let mut wire = Wire::connect(valve.addr).await;
    wire.execute(ID, &[]).await.answer().await.unwrap();
    gateway.stop().await;
    wire.closed().await.unwrap();
    let goaway = &valve.wait_for(1, Frame::is_goaway).await[0];
    // NO_ERROR, and every stream that is under way is still handled.
    assert_eq!((goaway.last_stream(), goaway.error()), (0x7fff_ffff, 0));
}

#[tokio::test]
async fn an_open_watch_hears_not_serving_and_ends() {
    for delay in ["0s", "100ms"] {
        for service in ["", "incidentgate.v1.IncidentTaskService"] {
            let mut gateway = unhurried().with("drain.delay", delay).start().await;
            let mut health = gateway.health().await;
            let service = service.to_owned();
            let mut watch = within(health.watch(HealthCheckRequest { service }))
                .await
                .unwrap()
                .into_inner();
            let first = within(watch.next()).await.unwrap().unwrap();
            assert_eq!(first.status(), ServingStatus::Serving);
            gateway.shutdown.graceful.cancel();
            let last = within(watch.next()).await.unwrap().unwrap();
            assert_eq!(last.status(), ServingStatus::NotServing, "{delay}");
            let end = within(watch.next()).await.unwrap().unwrap_err();
            assert_eq!(end.code(), Code::Unavailable);
            assert!(within(watch.next()).await.is_none());
            gateway.stop().await;
        }
    }
}

#[tokio::test]
async fn a_watch_of_an_unknown_service_and_one_that_nobody_reads_do_not_hold_the_drain_up() {
    let mut gateway = unhurried().start().await;
    let mut health = gateway.health().await;
    let service = "no.such.Service".to_owned();
    let mut watch = within(health.watch(HealthCheckRequest { service }))
        .await
        .unwrap()
        .into_inner();
    within(watch.next()).await.unwrap().unwrap();
    let mut unread = gateway.health().await;
    let _unread = within(unread.watch(HealthCheckRequest::default()))
        .await
        .unwrap();
    gateway.stop().await;
    let end = within(watch.next()).await.unwrap().unwrap_err();
    assert_eq!(end.code(), Code::Unavailable);
}

#[tokio::test]
async fn a_call_in_flight_gets_its_answer() {
    for http2 in ["false", "true"] {
        let mut gateway = unhurried()
            .with("graph.http2_prior_knowledge", http2)
            .start()
            .await;
        gateway.sandbox.script(ID, [Fault::hold()]);
        let mut wire = Wire::connect(gateway.addr).await;
        let sent = wire.execute(ID, &[]).await;
        within(gateway.sandbox.wait_for_posts(ID, 1)).await;
        gateway.begin_drain().await;
        assert!(gateway.is_running());
        gateway.sandbox.release(ID);
        let call = sent.answer().await.unwrap();
        assert_eq!(call.grpc_status().code(), Code::Ok);
        gateway.stopped().await;
        wire.closed().await.unwrap();
        assert_eq!(gateway.sandbox.posts(ID), 1);
        assert_eq!(gateway.sandbox.commits(ID), 1);
    }
}

#[tokio::test]
async fn an_attempt_without_a_caller_is_waited_for() {
    let mut gateway = unhurried().start().await;
    gateway.sandbox.script(ID, [Fault::hold()]);
    let mut wire = Wire::connect(gateway.addr).await;
    let sent = wire.execute(ID, &[]).await;
    within(gateway.sandbox.wait_for_posts(ID, 1)).await;
    sent.reset();
    wire.vanish().await;
    gateway
        .logged("the caller left before the action was answered")
        .await;
    gateway.begin_drain().await;
    assert!(gateway.is_running());
    gateway.sandbox.release(ID);
    gateway.stopped().await;
    let line = gateway
        .logged("an action was answered after its caller had left")
        .await;
    assert_eq!(line["outcome"], "STARTED");
    assert_eq!(gateway.sandbox.posts(ID), 1);
}

#[tokio::test]
async fn an_open_reflection_stream_does_not_hold_the_drain_up() {
    let mut gateway = unhurried().start().await;
    let mut client = ServerReflectionClient::new(gateway.channel().await);
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    // It never ends from the client's side.
    let requests = stream::iter([list]).chain(stream::pending());
    let mut answers = within(client.server_reflection_info(requests))
        .await
        .unwrap()
        .into_inner();
    within(answers.next()).await.unwrap().unwrap();
    gateway.stop().await;
}

#[tokio::test]
async fn a_call_whose_message_never_comes_is_waited_for_until_its_deadline() {
    let mut gateway = unhurried().with("deadline.default", "300ms").start().await;
    let mut wire = Wire::connect(gateway.addr).await;
    let silent = wire.begin(head(EXECUTE, &[])).await;
    accepted(&gateway).await;
    gateway.begin_drain().await;
    let call = silent.answer().await.unwrap();
    assert_eq!(call.error().reason, "DEADLINE_EXCEEDED");
    assert_eq!(call.error().outcome, "NOT_STARTED");
    gateway.stopped().await;
}

#[tokio::test]
async fn a_call_that_crosses_the_goaway_is_told_to_go_elsewhere() {
    let mut gateway = unhurried().start().await;
    gateway.sandbox.script(ID, [Fault::hold()]);
    let valve = Valve::to(gateway.addr).await;
    let mut wire = Wire::connect(valve.addr).await;
    let first = wire.execute(ID, &[]).await;
    within(gateway.sandbox.wait_for_posts(ID, 1)).await;
    // The client does not see the GOAWAY and sends another call.
    valve.shut();
    gateway.begin_drain().await;
    valve.wait_for(1, Frame::is_goaway).await;
    let second = wire.execute("213216", &[]).await;
    valve.open();
    let refused = second.answer().await.unwrap();
    assert!(refused.trailers.is_none(), "{refused:?}");
    assert_draining(&refused.error());
    gateway.sandbox.release(ID);
    let call = first.answer().await.unwrap();
    assert_eq!(call.grpc_status().code(), Code::Ok);
    gateway.stopped().await;
    wire.closed().await.unwrap();
    assert_eq!(gateway.sandbox.posts("213216"), 0);
}

#[tokio::test]
async fn a_call_on_a_connection_that_was_silent_so_far_is_told_to_go_elsewhere() {
    let gateway = unhurried().start().await;
    let first = hold(&gateway).await;
    let silent = TcpStream::connect(gateway.addr).await.unwrap();
    accepted(&gateway).await;
    gateway.begin_drain().await;
    let port = silent.local_addr().unwrap().port();
    let mut wire = Wire::over(silent, port, 65_535).await;
    let second = wire.execute("213216", &[]).await;
    assert_draining(&second.answer().await.unwrap().error());
    wire.closed().await.unwrap();
    end(gateway, first).await;
}

#[tokio::test]
async fn calls_that_wait_for_their_connections_place_are_told_to_go_elsewhere_at_once() {
    let gateway = unhurried()
        .with("server.max_connections", "1")
        .start()
        .await;
    let first = hold(&gateway).await;
    let mut waiting = Vec::new();
    for _ in 0..8 {
        // The first of them is accepted, and the others are not even that.
        let mut wire = Wire::connect(gateway.addr).await;
        let sent = wire.execute("213216", &[]).await;
        waiting.push((wire, sent));
    }
    gateway.begin_drain().await;
    for (wire, sent) in waiting {
        assert_draining(&sent.answer().await.unwrap().error());
        wire.closed().await.unwrap();
    }
    end(gateway, first).await;
}

#[tokio::test]
async fn while_load_balancers_are_told_calls_are_still_taken() {
    let mut gateway = unhurried().with("drain.delay", "1h").start().await;
    let mut health = gateway.health().await;
    let mut watch = within(health.watch(HealthCheckRequest::default()))
        .await
        .unwrap()
        .into_inner();
    within(watch.next()).await.unwrap().unwrap();
    gateway.shutdown.graceful.cancel();
    let next = within(watch.next()).await.unwrap().unwrap();
    assert_eq!(next.status(), ServingStatus::NotServing);
    // On a new connection, too.
    gateway.execute(ID).await.unwrap();
    let status = within(health.check(HealthCheckRequest::default()))
        .await
        .unwrap();
    assert_eq!(status.into_inner().status(), ServingStatus::NotServing);
    gateway.shutdown.immediate.cancel();
    gateway.stopped().await;
}

#[tokio::test]
async fn a_drain_ends_although_graph_hangs() {
    let mut gateway = Gateway::builder()
        .with("drain.timeout", "300ms")
        .start()
        .await;
    gateway.sandbox.script("*", [Fault::hang(), Fault::hang()]);
    let mut leaver = Wire::connect(gateway.addr).await;
    let left = leaver.execute("213216", &[]).await;
    within(gateway.sandbox.wait_for_posts("213216", 1)).await;
    left.reset();
    let mut client = gateway.client().await;
    let call = tokio::spawn(async move { client.execute_response_action(request(ID)).await });
    within(gateway.sandbox.wait_for_posts(ID, 1)).await;
    let began = Instant::now();
    gateway.stop().await;
    assert!(began.elapsed() >= Duration::from_millis(300));
    // A bare end of the connection would be sent again by the caller's library.
    let error = answer(&within(call).await.unwrap().unwrap_err());
    assert_eq!(error.code, Code::Unknown);
    assert_eq!(error.reason, "GRAPH_RESPONSE_LOST");
    assert_eq!(error.outcome, "UNKNOWN");
    assert_eq!(error.pushback.as_deref(), Some("-1"));
    let line = gateway.logged("drain cut short").await;
    assert_eq!(line["level"], "ERROR");
    assert_eq!(line["calls"], 2);
    assert_eq!(gateway.sandbox.posts(ID), 1);
}

#[tokio::test]
async fn an_immediate_stop_waits_for_nothing() {
    for graceful_first in [false, true] {
        let mut gateway = unhurried().with("drain.delay", "1h").start().await;
        gateway.sandbox.script(ID, [Fault::hang()]);
        let mut wire = Wire::connect(gateway.addr).await;
        let sent = wire.execute(ID, &[]).await;
        within(gateway.sandbox.wait_for_posts(ID, 1)).await;
        if graceful_first {
            gateway.shutdown.graceful.cancel();
            gateway.logged("draining: not serving any more").await;
        }
        gateway.shutdown.immediate.cancel();
        gateway.stopped().await;
        let call = sent.answer().await.unwrap();
        assert!(!call.headers.contains_key("grpc-status"));
        assert_eq!(call.error().outcome, "UNKNOWN");
    }
}

#[tokio::test]
async fn what_waits_for_a_connection_at_the_end_is_told_to_go_elsewhere() {
    let silent = Stub::start(|_, stream, _| async move {
        let _silent = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let mut gateway = Gateway::builder()
        .with("drain.timeout", "100ms")
        .with_graph(silent.https_url())
        .start()
        .await;
    let mut wire = Wire::connect(gateway.addr).await;
    let sent = wire.execute(ID, &[]).await;
    within(silent.heard.connection(1)).await;
    gateway.stop().await;
    assert_draining(&sent.answer().await.unwrap().error());
}

#[tokio::test]
async fn calls_that_arrive_amid_the_drain_are_answered_or_never_handled() {
    const CALLS: usize = 40;
    for _ in 0..5 {
        let mut gateway = unhurried().start().await;
        let mut wires = Vec::new();
        for _ in 0..CALLS {
            wires.push(Wire::connect(gateway.addr).await);
        }
        let mut calls = Vec::new();
        for (n, mut wire) in wires.into_iter().enumerate() {
            if n == CALLS / 2 {
                gateway.shutdown.graceful.cancel();
            }
            calls.push(tokio::spawn(async move {
                let sent = wire.execute("213216", &[]).await;
                let answer = sent.answer().await;
                (wire, answer)
            }));
        }
        let (mut started, mut known) = (0, 0);
        for call in calls {
            // A call that could not even be sent has panicked in its task; it was never handled.
            let Ok((_wire, Ok(call))) = within(call).await else {
                continue;
            };
            let status = call.grpc_status();
            if status.code() == Code::Ok {
                started += 1;
            } else {
                let error = answer(&status);
                assert_ne!(error.outcome, "UNKNOWN", "{error:?}");
                known += usize::from(error.outcome == "ALREADY_STARTED");
            }
        }
        gateway.stop().await;
        // Every POST that was made has been answered to its caller.
        assert_eq!(started + known, gateway.sandbox.posts("213216"));
        assert!(started <= 1);
    }
}

#[tokio::test]
async fn no_new_connection_is_taken_amid_the_drain() {
    let mut gateway = unhurried().start().await;
    gateway.sandbox.script(ID, [Fault::hold()]);
    let mut wire = Wire::connect(gateway.addr).await;
    let mut sent = wire.begin(head(EXECUTE, &[])).await;
    sent.data(execute_message(ID), true);
    within(gateway.sandbox.wait_for_posts(ID, 1)).await;
    gateway.begin_drain().await;
    let refused = TcpStream::connect(gateway.addr).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    gateway.sandbox.release(ID);
    let call: RawCall = sent.answer().await.unwrap();
    assert_eq!(call.grpc_status().code(), Code::Ok);
    gateway.stopped().await;
}
