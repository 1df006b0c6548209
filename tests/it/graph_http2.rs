//! Graph over HTTP/2: TLS, and the ways in which a stream or a connection ends there.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use h2::{Reason, server};
use http::{HeaderMap, Response, StatusCode, Version};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
};
use tonic::Code;

use crate::support::{
    Answer, Authority, Gateway, Stub, Valve, Wire, answer, stub, valve::PING, within,
};

/// The heads of the requests that arrived.
type Requests = Arc<Mutex<Vec<http::request::Parts>>>;

/// What a server does with its n-th request on a connection, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Answer,
    ResetStream(Reason),
    /// GOAWAY at once; this stream is its last one, so it counts as handled.
    Abort(Reason),
    /// GOAWAY in good order, then the answer.
    AnswerAndLeave,
    /// The connection ends without a word.
    Vanish,
}

async fn serve<IO>(io: IO, requests: Requests, does: impl Fn(usize) -> Does)
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let Ok(mut connection) = server::handshake(io).await else {
        return;
    };
    let mut number = 0;
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        number += 1;
        requests.lock().unwrap().push(request.into_parts().0);
        let does = does(number);
        match does {
            Does::Answer | Does::AnswerAndLeave => {
                let mut response = Response::new(());
                *response.status_mut() = StatusCode::NO_CONTENT;
                respond.send_response(response, true).unwrap();
                if does == Does::AnswerAndLeave {
                    connection.graceful_shutdown();
                }
            }
            Does::ResetStream(reason) => respond.send_reset(reason),
            Does::Abort(reason) => connection.abrupt_shutdown(reason),
            Does::Vanish => return,
        }
    }
}

async fn plain(does: impl Fn(usize, usize) -> Does + Copy + Send + 'static) -> (Stub, Requests) {
    let requests = Requests::default();
    let stub = Stub::start({
        let requests = Arc::clone(&requests);
        move |connection, stream, _| {
            serve(stream, Arc::clone(&requests), move |n| does(connection, n))
        }
    })
    .await;
    (stub, requests)
}

async fn gateway(stub: &Stub) -> Gateway {
    Gateway::single_attempts()
        .with_graph(stub.http_url())
        .with("graph.http2_prior_knowledge", "true")
        .start()
        .await
}

#[track_caller]
fn assert_unknown(error: &Answer) {
    assert_eq!(error.code, Code::Unknown);
    assert_eq!(error.reason, "GRAPH_RESPONSE_LOST");
    assert_eq!(error.outcome, "UNKNOWN");
    assert_eq!(error.pushback.as_deref(), Some("-1"));
}

#[tokio::test]
async fn a_stream_or_a_connection_that_graph_ends_is_told_as_unknown_and_not_sent_again() {
    for ends in [
        Does::ResetStream(Reason::CANCEL),
        Does::ResetStream(Reason::INTERNAL_ERROR),
        Does::ResetStream(Reason::NO_ERROR),
        Does::ResetStream(Reason::HTTP_1_1_REQUIRED),
        Does::Abort(Reason::NO_ERROR),
        Does::Abort(Reason::ENHANCE_YOUR_CALM),
        Does::Vanish,
    ] {
        let (stub, requests) = plain(move |_, _| ends).await;
        let mut gateway = gateway(&stub).await;
        let error = answer(&gateway.execute("213213").await.unwrap_err());
        assert_unknown(&error);
        assert_eq!(requests.lock().unwrap().len(), 1, "{ends:?}");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_connection_that_graph_leaves_in_good_order_costs_no_call() {
    let (stub, requests) = plain(|_, _| Does::AnswerAndLeave).await;
    let mut gateway = gateway(&stub).await;
    for call in 1..=10 {
        match gateway.execute("213213").await {
            Ok(_) => {}
            Err(status) => assert_unknown(&answer(&status)),
        }
        assert!(requests.lock().unwrap().len() <= call, "a POST was doubled");
    }
    assert!(stub.heard.connections() > 1);
    gateway.stop().await;
}

#[tokio::test]
async fn calls_share_one_connection_and_one_that_breaks_is_replaced() {
    let (stub, requests) = plain(|connection, n| match (connection, n) {
        (1, 3) => Does::Vanish,
        _ => Does::Answer,
    })
    .await;
    let mut gateway = gateway(&stub).await;
    gateway.execute("213213").await.unwrap();
    gateway.execute("213213").await.unwrap();
    assert_unknown(&answer(&gateway.execute("213213").await.unwrap_err()));
    gateway.execute("213213").await.unwrap();
    assert_eq!(stub.heard.connections(), 2);
    assert_eq!(requests.lock().unwrap().len(), 4);
    gateway.stop().await;
}

#[tokio::test]
async fn an_idle_connection_is_probed_so_that_no_call_finds_it_dead() {
    let (stub, _) = plain(|_, _| Does::Answer).await;
    let valve = Valve::to(stub.addr).await;
    let mut gateway = Gateway::single_attempts()
        .with_graph(format!("http://{}/beta", valve.addr))
        .with("graph.http2_prior_knowledge", "true")
        .start()
        .await;
    gateway.execute("213213").await.unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(21)).await;
    tokio::time::resume();
    // Its answer to the probe.
    valve
        .wait_for(1, |frame| frame.kind == PING && !frame.is_ping())
        .await;
    gateway.stop().await;
}

/// A Graph behind TLS whose certificate is for `name`.
async fn behind_tls(authority: &Authority, name: &str, alpn: &[&[u8]]) -> (Stub, Requests) {
    let acceptor = authority.acceptor(name, alpn);
    let requests = Requests::default();
    let stub = Stub::start({
        let requests = Arc::clone(&requests);
        move |_, stream, _| {
            let (acceptor, requests) = (acceptor.clone(), Arc::clone(&requests));
            async move {
                let Ok(tls) = acceptor.accept(stream).await else {
                    return;
                };
                serve(tls, requests, |_| Does::Answer).await;
            }
        }
    })
    .await;
    (stub, requests)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers[name].to_str().unwrap()
}

#[tokio::test]
async fn a_graph_behind_a_trusted_certificate_is_spoken_to_in_http_2() {
    let authority = Authority::new();
    let (stub, requests) = behind_tls(&authority, "127.0.0.1", &[b"h2", b"http/1.1"]).await;
    let mut gateway = Gateway::single_attempts()
        .with_graph(stub.https_url())
        .with("graph.ca_file", authority.file().to_str().unwrap())
        .start()
        .await;
    gateway.execute("213213").await.unwrap();
    gateway.execute("213213").await.unwrap();
    {
        let requests = requests.lock().unwrap();
        assert_eq!(requests.len(), 2);
        let request = &requests[0];
        assert_eq!(request.version, Version::HTTP_2);
        assert_eq!(header(&request.headers, "content-length"), "0");
        assert_eq!(request.headers.get_all("content-length").iter().count(), 1);
        assert!(!request.headers.contains_key("content-type"));
        assert!(!request.headers.contains_key("transfer-encoding"));
        assert_eq!(
            request.uri.path(),
            "/beta/security/incidentTasks/213213/executeResponseAction"
        );
    }
    assert_eq!(stub.heard.connections(), 1);
    gateway.stop().await;
}

#[tokio::test]
async fn a_certificate_that_is_not_to_be_trusted_sends_nothing() {
    let ours = Authority::new();
    let others = Authority::new();
    for (name, trusted) in [
        // By the system alone, by nobody, and for another host.
        ("127.0.0.1", None),
        ("127.0.0.1", Some(&others)),
        ("graph.microsoft.com", Some(&ours)),
    ] {
        let (stub, requests) = behind_tls(&ours, name, &[b"h2"]).await;
        let mut builder = Gateway::single_attempts().with_graph(stub.https_url());
        if let Some(authority) = trusted {
            builder = builder.with("graph.ca_file", authority.file().to_str().unwrap());
        }
        let mut gateway = builder.start().await;
        let error = answer(&gateway.execute("213213").await.unwrap_err());
        assert_eq!(error.code, Code::Unavailable, "{name}");
        assert_eq!(error.reason, "GRAPH_UNREACHABLE");
        assert_eq!(error.outcome, "NOT_STARTED");
        assert!(error.details.retry_info().is_some());
        assert!(requests.lock().unwrap().is_empty());
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_listener_without_tls_is_never_sent_a_request() {
    let stub = Stub::start(|_, mut stream, heard| async move {
        heard.some(&mut stream).await;
        // As a plain-text server answers what it cannot read.
        stub::no_content(&mut stream).await;
        heard.some(&mut stream).await;
    })
    .await;
    let mut gateway = Gateway::single_attempts()
        .with_graph(stub.https_url())
        .start()
        .await;
    let error = answer(&gateway.execute("213213").await.unwrap_err());
    assert_eq!(error.code, Code::Unavailable);
    assert_eq!(error.reason, "GRAPH_UNREACHABLE");
    assert_eq!(error.outcome, "NOT_STARTED");
    // A TLS record: handshake.
    assert_eq!(stub.heard.bytes()[0], 0x16);
    assert_eq!(stub.heard.posts(), 0);
    gateway.stop().await;
}

#[tokio::test]
async fn a_graph_that_resets_amid_the_tls_handshake_was_sent_nothing() {
    let stub = Stub::start(|_, mut stream, heard| async move {
        heard.some(&mut stream).await;
        stub::reset(stream);
    })
    .await;
    let mut gateway = Gateway::single_attempts()
        .with_graph(stub.https_url())
        .start()
        .await;
    let error = answer(&gateway.execute("213213").await.unwrap_err());
    assert_eq!(error.reason, "GRAPH_UNREACHABLE");
    assert_eq!(error.outcome, "NOT_STARTED");
    assert_eq!(stub.heard.connections(), 1);
    gateway.stop().await;
}

/// A Graph that admits one stream on a connection, and answers once it is told to.
async fn admits_one() -> (Stub, Requests, watch::Sender<bool>) {
    let requests = Requests::default();
    let (go, going) = watch::channel(false);
    let stub = Stub::start({
        let requests = Arc::clone(&requests);
        move |_, stream, _| {
            let (requests, going) = (Arc::clone(&requests), going.clone());
            async move {
                let mut builder = server::Builder::new();
                let mut connection = builder
                    .max_concurrent_streams(1)
                    .handshake::<_, bytes::Bytes>(stream)
                    .await
                    .unwrap();
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    requests.lock().unwrap().push(request.into_parts().0);
                    let mut going = going.clone();
                    tokio::spawn(async move {
                        going.wait_for(|go| *go).await.unwrap();
                        let response = Response::builder().status(204).body(()).unwrap();
                        respond.send_response(response, true).unwrap();
                    });
                }
            }
        }
    })
    .await;
    (stub, requests, go)
}

#[tokio::test]
async fn a_call_that_one_connection_has_no_stream_for_takes_another() {
    let (stub, _requests, go) = admits_one().await;
    let mut gateway = Gateway::single_attempts()
        .with_graph(stub.http_url())
        .with("graph.http2_prior_knowledge", "true")
        .with("graph.max_concurrent_streams", "1")
        .start()
        .await;
    let mut wire = Wire::connect(gateway.addr).await;
    let held = [
        wire.execute("first", &[]).await,
        wire.execute("second", &[]).await,
    ];
    within(stub.heard.connection(2)).await;
    go.send(true).unwrap();
    for call in held {
        assert_eq!(call.answer().await.unwrap().grpc_status().code(), Code::Ok);
    }
    // Their room is free again.
    for id in ["third", "fourth"] {
        gateway.execute(id).await.unwrap();
    }
    assert_eq!(stub.heard.connections(), 2);
    gateway.stop().await;
}

#[tokio::test]
async fn a_call_that_graph_has_no_stream_for_is_told_what_becomes_of_it() {
    let (stub, requests, go) = admits_one().await;
    let mut gateway = gateway(&stub).await;
    let sent_for = |id: &str| {
        let requests = requests.lock().unwrap();
        let path = format!("/{id}/");
        requests
            .iter()
            .filter(|request| request.uri.path().contains(&path))
            .count()
    };
    // The first call shows the connection and its limit to the gateway.
    let mut wire = Wire::connect(gateway.addr).await;
    let first = wire.execute("first", &[]).await;
    within(stub.heard.connection(1)).await;
    let mut told = Vec::new();
    for id in ["second", "third", "fourth"] {
        let sent = wire.execute(id, &[("grpc-timeout", "200m")]).await;
        let error = sent.answer().await.unwrap().error();
        assert_eq!(error.reason, "DEADLINE_EXCEEDED", "{id}");
        assert_eq!(sent_for(id), 0, "{id}");
        told.push((id, error.outcome));
    }
    go.send(true).unwrap();
    assert_eq!(first.answer().await.unwrap().grpc_status().code(), Code::Ok);
    // Whatever still waits is handed out before this one.
    gateway.execute("last").await.unwrap();
    gateway.stop().await;
    for (id, outcome) in told {
        let sent = sent_for(id);
        assert!(sent <= 1, "{id}");
        assert!(sent == 0 || outcome == "UNKNOWN", "{id}: {outcome}");
    }
    assert_eq!(sent_for("first"), 1);
    assert_eq!(sent_for("last"), 1);
}
