//! A connection's life: it ends in good order, in time, and costs no call.

use std::{net::SocketAddr, time::Duration};

use futures_util::future::try_join_all;
use http::StatusCode;
use incidentgate::{
    listen_address::ListenAddress,
    pb::health::{HealthCheckRequest, health_check_response::ServingStatus},
    sandbox::{Fault, Task},
    server::Listener,
};
use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, interval},
};
use tonic::Code;

use crate::support::{
    EXECUTE, Gateway, GatewayBuilder, Valve, Wire, execute_message, head,
    valve::{self, Frame, SETTINGS},
    within,
};

const ID: &str = "213213";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An empty SETTINGS frame.
const NO_SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
/// `SETTINGS_MAX_CONCURRENT_STREAMS` and `SETTINGS_MAX_HEADER_LIST_SIZE`.
const MAX_STREAMS: u16 = 3;
const MAX_HEADERS: u16 = 6;

#[tokio::test]
async fn an_old_connection_says_goaway_twice_and_cuts_no_call() {
    let mut gateway = Gateway::builder()
        .with("server.max_connection_age", "150ms")
        .start()
        .await;
    gateway.sandbox.script(ID, [Fault::hold()]);
    let valve = Valve::to(gateway.addr).await;
    let mut wire = Wire::connect(valve.addr).await;
    let sent = wire.execute(ID, &[]).await;
    within(gateway.sandbox.wait_for_posts(ID, 1)).await;
    let goaways = valve.wait_for(2, Frame::is_goaway).await;
    // First "no new ones, please", a round trip later what was taken in until then.
    assert_eq!(goaways[0].last_stream(), 0x7fff_ffff);
    assert_eq!(goaways[0].error(), 0);
    assert_eq!(goaways[1].last_stream(), 1);
    assert_eq!(goaways[1].error(), 0);
    assert!(wire.is_open());
    gateway.sandbox.release(ID);
    let call = sent.answer().await.unwrap();
    assert_eq!(call.grpc_status().code(), Code::Ok);
    wire.closed().await.unwrap();
    gateway.stop().await;
}

#[tokio::test]
async fn a_call_that_crosses_the_goaway_of_an_old_connection_is_handled() {
    let mut gateway = Gateway::builder()
        .with("server.max_connection_age", "150ms")
        .start()
        .await;
    gateway.sandbox.script("213216", [Fault::hold()]);
    let valve = Valve::to(gateway.addr).await;
    let mut wire = Wire::connect(valve.addr).await;
    let first = wire.execute("213216", &[]).await;
    within(gateway.sandbox.wait_for_posts("213216", 1)).await;
    valve.shut();
    valve.wait_for(1, Frame::is_goaway).await;
    let second = wire.execute(ID, &[]).await;
    within(gateway.sandbox.wait_for_commits(ID, 1)).await;
    valve.open();
    gateway.sandbox.release("213216");
    for sent in [first, second] {
        let call = sent.answer().await.unwrap();
        assert_eq!(call.grpc_status().code(), Code::Ok);
    }
    wire.closed().await.unwrap();
    gateway.stop().await;
}

#[tokio::test]
async fn what_does_not_end_within_the_grace_is_cut() {
    let mut gateway = Gateway::builder()
        .with("server.max_connection_age", "100ms")
        .with("server.max_connection_age_grace", "200ms")
        .with("deadline.default", "100ms")
        .with("deadline.max", "100ms")
        .start()
        .await;
    let valve = Valve::to(gateway.addr).await;
    let mut wire = Wire::connect(valve.addr).await;
    // A stream without an end of its own.
    let sent = wire.health("Watch").await;
    valve.wait_for(2, Frame::is_goaway).await;
    let said = Instant::now();
    sent.answer().await.unwrap_err();
    assert!(said.elapsed() >= Duration::from_millis(100), "no grace");
    within(async { wire.closed().await.ok() }).await;
    gateway.stop().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_never_one_with_a_call() {
    let mut gateway = Gateway::builder()
        .with("server.idle_timeout", "150ms")
        .start()
        .await;
    gateway.sandbox.script(ID, [Fault::hold()]);
    let mut busy = Wire::connect(gateway.addr).await;
    let sent = busy.execute(ID, &[]).await;
    let mut watching = Wire::connect(gateway.addr).await;
    let _watch = watching.health("Watch").await;
    within(gateway.sandbox.wait_for_posts(ID, 1)).await;
    // Two idle lives, one after the other, both later than the busy connections.
    for _ in 0..2 {
        let valve = Valve::to(gateway.addr).await;
        let idle = Wire::connect(valve.addr).await;
        let goaway = &valve.wait_for(1, Frame::is_goaway).await[0];
        assert_eq!((goaway.last_stream(), goaway.error()), (0x7fff_ffff, 0));
        idle.closed().await.unwrap();
    }
    assert!(busy.is_open());
    assert!(watching.is_open());
    gateway.sandbox.release(ID);
    let call = sent.answer().await.unwrap();
    assert_eq!(call.grpc_status().code(), Code::Ok);
    // From now on it is idle, too.
    busy.closed().await.unwrap();
    assert!(watching.is_open());
    gateway.stop().await;
}

#[tokio::test]
async fn a_peer_that_does_not_say_hello_in_time_is_dropped() {
    let mut gateway = Gateway::builder()
        .with("server.handshake_timeout", "200ms")
        .start()
        .await;
    // Nothing, half a preface, and a preface without the SETTINGS that must follow.
    for hello in [&b""[..], &PREFACE[..12], PREFACE] {
        let began = Instant::now();
        let mut stream = TcpStream::connect(gateway.addr).await.unwrap();
        stream.write_all(hello).await.unwrap();
        within(stream.read_to_end(&mut Vec::new())).await.ok();
        assert!(began.elapsed() >= Duration::from_millis(200), "{hello:?}");
    }
    // Byte by byte, so slowly that it would take a second.
    let (mut from, mut to) = TcpStream::connect(gateway.addr).await.unwrap().into_split();
    let mut pace = interval(Duration::from_millis(33));
    let hello = async {
        for byte in [PREFACE, NO_SETTINGS].concat() {
            pace.tick().await;
            if to.write_all(&[byte]).await.is_err() {
                return;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut said = Vec::new();
    tokio::select! {
        () = hello => {}
        _ = within(from.read_to_end(&mut said)) => {}
    }
    // One that is in time stays.
    let mut wire = Wire::connect(gateway.addr).await;
    let mut probe = interval(Duration::from_millis(100));
    for _ in 0..5 {
        probe.tick().await;
        let call = wire.execute("999", &[]).await.answer().await.unwrap();
        assert_eq!(call.error().code, Code::NotFound);
    }
    gateway.stop().await;
}

fn watchful() -> GatewayBuilder {
    Gateway::builder()
        .with("server.keepalive_interval", "100ms")
        .with("server.keepalive_timeout", "200ms")
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_dropped() {
    let mut gateway = watchful().start().await;
    let mut mute = TcpStream::connect(gateway.addr).await.unwrap();
    mute.write_all(&[PREFACE, NO_SETTINGS].concat())
        .await
        .unwrap();
    let mut said = Vec::new();
    within(mute.read_to_end(&mut said)).await.ok();
    let frames = valve::frames(&said);
    assert!(frames.iter().any(Frame::is_ping), "{frames:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_peer_that_answers_pings_stays() {
    let mut gateway = watchful().start().await;
    let valve = Valve::to(gateway.addr).await;
    let mut wire = Wire::connect(valve.addr).await;
    valve.wait_for(5, Frame::is_ping).await;
    let call = wire.execute(ID, &[]).await.answer().await.unwrap();
    assert_eq!(call.grpc_status().code(), Code::Ok);
    gateway.stop().await;
}

#[tokio::test]
async fn a_peer_whose_network_is_gone_is_dropped_and_its_call_is_finished() {
    let mut gateway = watchful().start().await;
    gateway.sandbox.script(ID, [Fault::hold()]);
    let valve = Valve::to(gateway.addr).await;
    let mut wire = Wire::connect(valve.addr).await;
    let _sent = wire.execute(ID, &[]).await;
    within(gateway.sandbox.wait_for_posts(ID, 1)).await;
    valve.shut();
    gateway
        .logged("the caller left before the action was answered")
        .await;
    gateway.sandbox.release(ID);
    let line = gateway
        .logged("an action was answered after its caller had left")
        .await;
    assert_eq!(line["outcome"], "STARTED");
    gateway.stop().await;
    assert_eq!(gateway.sandbox.posts(ID), 1);
}

#[tokio::test]
async fn a_peer_that_stops_reading_is_dropped() {
    let mut gateway = watchful().start().await;
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&gateway.addr.into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut deaf = TcpStream::from_std(socket.into()).unwrap();
    deaf.write_all(&[PREFACE, NO_SETTINGS].concat())
        .await
        .unwrap();
    // Answers to these fill every buffer between here and there.
    let pings: Vec<u8> = b"\0\0\x08\x06\0\0\0\0\0deafness".repeat(4096);
    // It ends with the connection.
    within(async { while deaf.write_all(&pings).await.is_ok() {} }).await;
    gateway.stop().await;
}

#[tokio::test]
async fn no_more_streams_than_allowed_are_handled_at_a_time() {
    let mut gateway = Gateway::builder()
        .with("server.max_concurrent_streams", "1")
        .start()
        .await;
    gateway.sandbox.script(ID, [Fault::hold()]);
    let valve = Valve::to(gateway.addr).await;
    // The client does not know the limit yet, and passes it.
    valve.shut();
    let mut wire = Wire::connect(valve.addr).await;
    let first = wire.execute(ID, &[]).await;
    let second = wire.execute("213216", &[]).await;
    within(gateway.sandbox.wait_for_posts(ID, 1)).await;
    let settings = valve.wait_for(1, |frame| frame.kind == SETTINGS).await;
    assert_eq!(settings[0].setting(MAX_STREAMS), Some(1));
    valve.open();
    let refused = second.answer().await.unwrap_err();
    // Not handled, as the peer knows from this reason.
    assert_eq!(refused.reason(), Some(h2::Reason::REFUSED_STREAM));
    gateway.sandbox.release(ID);
    let call = first.answer().await.unwrap();
    assert_eq!(call.grpc_status().code(), Code::Ok);
    assert_eq!(gateway.sandbox.posts("213216"), 0);
    // Within the limit the connection goes on.
    let call = wire.execute("213216", &[]).await.answer().await.unwrap();
    assert_eq!(call.grpc_status().code(), Code::Ok);
    gateway.stop().await;
}

#[tokio::test]
async fn headers_that_are_too_large_hurt_no_other_stream() {
    let mut gateway = Gateway::builder()
        .with("server.max_header_list_size", "8192")
        .start()
        .await;
    gateway.sandbox.script(ID, [Fault::hold()]);
    let valve = Valve::to(gateway.addr).await;
    let mut wire = Wire::connect(valve.addr).await;
    let held = wire.execute(ID, &[]).await;
    within(gateway.sandbox.wait_for_posts(ID, 1)).await;
    let settings = valve.wait_for(1, |frame| frame.kind == SETTINGS).await;
    assert_eq!(settings[0].setting(MAX_HEADERS), Some(8192));
    for length in [7_000, 9_000, 20_000] {
        gateway.sandbox.put_task(Task::new("large"));
        let large = "a".repeat(length);
        let mut sent = wire.begin(head(EXECUTE, &[("x-large", &large)])).await;
        sent.data(execute_message("large"), true);
        match sent.answer().await {
            Ok(call) if length < 8192 => {
                assert_eq!(call.grpc_status().code(), Code::Ok);
            }
            Ok(call) => {
                assert_eq!(call.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
            }
            Err(error) => {
                assert!(length > 8192, "{length}: {error}");
                assert!(!error.is_go_away(), "{length}: {error}");
            }
        }
    }
    assert_eq!(gateway.sandbox.posts("large"), 1);
    gateway.sandbox.release(ID);
    let call = held.answer().await.unwrap();
    assert_eq!(call.grpc_status().code(), Code::Ok);
    gateway.stop().await;
}

#[tokio::test]
async fn an_idle_connection_gives_way_to_one_above_the_limit() {
    let mut gateway = Gateway::builder()
        .with("server.max_connections", "2")
        .start()
        .await;
    gateway.sandbox.script(ID, [Fault::hold()]);
    let mut busy = Wire::connect(gateway.addr).await;
    let held = busy.execute(ID, &[]).await;
    within(gateway.sandbox.wait_for_posts(ID, 1)).await;
    let mut idle = Wire::connect(gateway.addr).await;
    assert!(idle.execute("213214", &[]).await.answer().await.is_ok());
    // A second later the idle one is asked to leave, although it does not answer.
    let mut next = Wire::connect(gateway.addr).await;
    let call = within(next.execute("213216", &[]).await.answer()).await;
    assert_eq!(call.unwrap().grpc_status().code(), Code::Ok);
    gateway.sandbox.release(ID);
    let call = held.answer().await.unwrap();
    assert_eq!(call.grpc_status().code(), Code::Ok);
    gateway.stop().await;
}

#[tokio::test]
async fn a_connection_above_the_limit_waits_for_a_place() {
    let mut gateway = Gateway::builder()
        .with("server.max_connections", "1")
        .start()
        .await;
    gateway.sandbox.script(ID, [Fault::hold()]);
    let mut first = Wire::connect(gateway.addr).await;
    let held = first.execute(ID, &[]).await;
    within(gateway.sandbox.wait_for_posts(ID, 1)).await;
    let mut second = Wire::connect(gateway.addr).await;
    let waits = second.execute("213216", &[]).await;
    gateway.sandbox.release(ID);
    held.answer().await.unwrap();
    assert_eq!(gateway.sandbox.posts("213216"), 0);
    first.vanish().await;
    let call = waits.answer().await.unwrap();
    assert_eq!(call.grpc_status().code(), Code::Ok);
    gateway.stop().await;
}

#[tokio::test]
async fn a_crowd_may_connect_before_the_first_is_accepted() {
    let any = ListenAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
    let listener = Listener::bind(&any).await.unwrap();
    let ListenAddress::Tcp(address) = listener.address().unwrap() else {
        panic!("{listener:?}");
    };
    // Whoever finds the queue full tries again after a second, and then ever more rarely.
    let crowd = (0..300).map(|_| TcpStream::connect(address));
    within(try_join_all(crowd)).await.unwrap();
}

#[tokio::test]
async fn what_is_not_http_2_is_turned_away_at_once() {
    let mut gateway = Gateway::start().await;
    for hello in [
        &b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..],
        b"GET / HTTP/1.0\r\n\r\n",
        b"POST /incidentgate.v1.IncidentTaskService/ExecuteResponseAction HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 a TLS client hello that is long enough",
        b"\n",
    ] {
        let mut stream = TcpStream::connect(gateway.addr).await.unwrap();
        stream.write_all(hello).await.unwrap();
        // The default handshake timeout is 10 s: this is not it.
        let mut said = Vec::new();
        let end = stream.read_to_end(&mut said);
        let end = tokio::time::timeout(Duration::from_secs(8), end).await;
        assert!(end.is_ok(), "{:?}", String::from_utf8_lossy(hello));
    }
    let mut health = gateway.health().await;
    let status = within(health.check(HealthCheckRequest::default())).await;
    assert_eq!(
        status.unwrap().into_inner().status(),
        ServingStatus::Serving
    );
    gateway.stop().await;
}
