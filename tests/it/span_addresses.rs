//! Whom spans name, and what of a caller's text they take.

use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::trace::SpanData;

use crate::support::{Gateway, RawCall, attributes};

#[track_caller]
fn last(gateway: &Gateway, kind: &SpanKind) -> SpanData {
    let mut spans = gateway.spans().into_iter();
    spans.rfind(|span| span.span_kind == *kind).unwrap()
}

/// The attributes whose key starts with `prefix`.
fn starting(span: &SpanData, prefix: &str) -> Vec<String> {
    let all = attributes(&span.attributes).into_iter();
    all.filter(|pair| pair.starts_with(prefix)).collect()
}

#[tokio::test]
async fn the_server_is_named_as_the_caller_named_it() {
    let gateway = Gateway::start().await;
    let endless = "a".repeat(10_000);
    for (authority, expected) in [
        (
            "gate.example:443",
            &["server.address=text:gate.example", "server.port=int:443"][..],
        ),
        ("gate.example", &["server.address=text:gate.example"]),
        (
            "[::1]:50051",
            &["server.address=text:::1", "server.port=int:50051"],
        ),
        (&endless, &[]),
    ] {
        RawCall::send_nothing_to(&gateway, &format!("http://{authority}/a.B/C")).await;
        let server = last(&gateway, &SpanKind::Server);
        assert_eq!(starting(&server, "server."), expected, "{authority}");
    }
}

#[tokio::test]
async fn an_upstream_is_named_by_the_host_of_its_url() {
    // Bound and not listening: the port stays ours, and refuses. Where there is no IPv6, connecting
    // fails in another way.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    for (host, address) in [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")] {
        let graph = format!("http://{host}:{port}/beta");
        let gateway = Gateway::builder().with_graph(graph).start().await;
        gateway.execute("213213").await.unwrap_err();
        let client = last(&gateway, &SpanKind::Client);
        let expected = [
            format!("server.address=text:{address}"),
            format!("server.port=int:{port}"),
        ];
        assert_eq!(starting(&client, "server."), expected);
    }
}

#[tokio::test]
async fn of_an_unknown_methods_name_128_bytes_are_kept() {
    let gateway = Gateway::start().await;
    let uri = format!("http://{}/{}", gateway.addr, "x".repeat(1000));
    RawCall::send_nothing_to(&gateway, &uri).await;
    let server = last(&gateway, &SpanKind::Server);
    let kept = format!("rpc.method_original=text:{}", "x".repeat(128));
    assert_eq!(starting(&server, "rpc.method_original"), [kept]);
}
