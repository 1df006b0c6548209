//! gRPC over HTTP/2 to the letter, for requests of every kind.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use incidentgate::{pb::health::HealthCheckRequest, sandbox::Fault};
use tonic::{Code, codec::CompressionEncoding};

use crate::support::{
    Answer, EXECUTE, Gateway, RawCall, Wire, answer, execute_message, frame, head, request, within,
};

const ID: &str = "213213";

#[tokio::test]
async fn what_is_not_grpc_is_refused_by_http_status() {
    let mut gateway = Gateway::start().await;
    for content_type in [
        "application/json",
        "application/grpc-web",
        "application/grpc-web+proto",
        "application/grpcx",
        "application/grpc+json",
        "application/grpc+protobuf",
        "application/grpc+",
        "text/plain",
        "",
    ] {
        let call = RawCall::execute(&gateway, ID, &[("content-type", content_type)]).await;
        assert_eq!(
            call.status,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "{content_type}"
        );
        assert!(!call.headers.contains_key("grpc-status"));
        assert!(!call.body.is_empty());
    }
    let mut bare = head(EXECUTE, &[]);
    bare.headers_mut().remove("content-type");
    let call = RawCall::send(&gateway, bare, execute_message(ID)).await;
    assert_eq!(call.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let mut other = head(EXECUTE, &[]);
        *other.method_mut() = method.clone();
        let call = RawCall::send(&gateway, other, execute_message(ID)).await;
        assert_eq!(call.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(call.headers["allow"], "POST");
    }
    assert_eq!(gateway.sandbox.posts(ID), 0);
    gateway.stop().await;
}

#[tokio::test]
async fn the_content_types_of_grpc_are_taken() {
    let mut gateway = Gateway::start().await;
    for content_type in [
        "application/grpc",
        "application/grpc+proto",
        "application/grpc;charset=utf-8",
        "application/grpc+proto;charset=utf-8",
    ] {
        let call = RawCall::execute(&gateway, "999", &[("content-type", content_type)]).await;
        assert_eq!(call.error().code, Code::NotFound, "{content_type}");
    }
    assert_eq!(gateway.sandbox.posts("999"), 4);
    gateway.stop().await;
}

#[tokio::test]
async fn an_unknown_method_or_service_is_unimplemented() {
    let mut gateway = Gateway::start().await;
    for path in [
        "/incidentgate.v1.IncidentTaskService/NoSuchMethod",
        "/incidentgate.v1.NoSuchService/ExecuteResponseAction",
        "/incidentgate.v1.IncidentTaskService/executeResponseAction",
        "/incidentgate.v1.IncidentTaskService/ExecuteResponseAction/",
        "/grpc.health.v1.Health/NoSuchMethod",
        "/grpc.reflection.v9.ServerReflection/ServerReflectionInfo",
        "/",
        "/?a=b",
    ] {
        let call = RawCall::send(&gateway, head(path, &[]), execute_message(ID)).await;
        assert_eq!(call.status, StatusCode::OK, "{path}");
        assert_eq!(call.grpc_status().code(), Code::Unimplemented, "{path}");
        assert!(call.trailers.is_none(), "{path}");
    }
    assert_eq!(gateway.sandbox.posts("*"), 0);
    gateway.stop().await;
}

#[track_caller]
fn assert_nothing_started(error: &Answer) {
    assert_eq!(error.outcome, "NOT_STARTED");
    assert_eq!(error.domain, "incidentgate");
    assert_ne!(error.code, Code::Ok);
    assert!(error.details.request_info().is_some());
}

#[tokio::test]
async fn a_message_that_cannot_be_read_starts_nothing_and_says_so() {
    let mut gateway = Gateway::start().await;
    let mut compressed = execute_message(ID).to_vec();
    compressed[0] = 1;
    let mut impossible = execute_message(ID).to_vec();
    impossible[0] = 7;
    let cut = execute_message(ID);
    let cut = cut.slice(..cut.len() - 1);
    let mut endless = vec![0, 0xff, 0xff, 0xff, 0xff];
    endless.extend_from_slice(b"x");
    for (what, body) in [
        ("unreadable protobuf", frame(b"\x0a\xff\xff\xff\xff\x0f")),
        ("not UTF-8", frame(b"\x0a\x02\xff\xfe")),
        ("wrong wire type", frame(b"\x08\x01")),
        ("too long", frame(&vec![0x0a; 17 * 1024])),
        ("longer than there is", Bytes::from(endless)),
        ("compressed without an encoding", Bytes::from(compressed)),
        ("a flag that does not exist", Bytes::from(impossible)),
        ("no message", Bytes::new()),
        ("half a prefix", Bytes::from_static(b"\0\0\0")),
        ("cut off", cut),
        ("an empty message", frame(b"")),
    ] {
        let call = RawCall::send(&gateway, head(EXECUTE, &[]), body).await;
        let status = call.grpc_status();
        assert_ne!(status.code(), Code::Ok, "{what}");
        assert_nothing_started(&call.error());
        assert_eq!(gateway.sandbox.posts("*"), 0, "{what}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn of_two_messages_only_the_first_is_executed() {
    let mut gateway = Gateway::start().await;
    let twice = [execute_message(ID), execute_message("213216")].concat();
    let call = RawCall::send(&gateway, head(EXECUTE, &[]), Bytes::from(twice)).await;
    assert_eq!(call.grpc_status().code(), Code::Ok);
    assert_eq!(gateway.sandbox.posts(ID), 1);
    assert_eq!(gateway.sandbox.posts("*"), 1);
    gateway.stop().await;
}

#[tokio::test]
async fn fields_that_are_not_known_yet_are_skipped() {
    let mut gateway = Gateway::start().await;
    let mut message = execute_message(ID).slice(5..).to_vec();
    // Field 99, a string.
    message.extend_from_slice(b"\x9a\x06\x03new");
    let call = RawCall::send(&gateway, head(EXECUTE, &[]), frame(&message)).await;
    assert_eq!(call.grpc_status().code(), Code::Ok);
    gateway.stop().await;
}

#[tokio::test]
async fn a_compressed_request_is_taken_and_an_unknown_compression_is_named() {
    let mut gateway = Gateway::start().await;
    let mut client = gateway
        .client()
        .await
        .send_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Gzip);
    let response = within(client.execute_response_action(request(ID)))
        .await
        .unwrap();
    assert_eq!(response.into_inner().attempts, 1);

    for encoding in ["br", "zstd", "deflate"] {
        let call = RawCall::execute(&gateway, ID, &[("grpc-encoding", encoding)]).await;
        let error = call.error();
        assert_eq!(error.code, Code::Unimplemented, "{encoding}");
        assert_nothing_started(&error);
        // The peer must learn what it may use (gRPC's compression document).
        let accepted = &call.headers["grpc-accept-encoding"];
        assert!(accepted.to_str().unwrap().contains("gzip"), "{call:?}");
    }
    assert_eq!(gateway.sandbox.posts(ID), 1);
    gateway.stop().await;
}

#[tokio::test]
async fn a_message_that_swells_when_it_is_unpacked_is_refused() {
    let mut gateway = Gateway::start().await;
    // 64 KiB of line feeds, packed by gzip into 97 bytes.
    let packed = [
        &b"\x1f\x8b\x08\0\0\0\0\0\x02\x03\xed\xc1\x21\x01\0\0\0\x80\xa0\xee\xff\xc1\x1e\x01\x0a"[..],
        &[0; 63],
        b"\x6a\xef\xe2\x9b\xef\0\0\x01\0",
    ]
    .concat();
    assert_eq!(packed.len(), 97);
    let mut body = frame(&packed).to_vec();
    body[0] = 1;
    let request = head(EXECUTE, &[("grpc-encoding", "gzip")]);
    let call = RawCall::send(&gateway, request, Bytes::from(body)).await;
    let error = call.error();
    assert_eq!(error.code, Code::InvalidArgument);
    assert_nothing_started(&error);
    gateway.stop().await;
}

#[tokio::test]
async fn a_caller_without_exactly_one_token_is_refused() {
    let mut gateway = Gateway::start().await;
    let with = |values: &[&str]| {
        let mut request: Request<()> = head(EXECUTE, &[]);
        request.headers_mut().remove("authorization");
        for value in values {
            let value = value.parse().unwrap();
            request.headers_mut().append("authorization", value);
        }
        request
    };
    for values in [
        &[][..],
        &["Bearer one", "Bearer two"],
        &["Bearer one", "Bearer one"],
        &["Basic dTpw"],
        &["Bearer "],
        &["Bearer a, Bearer b"],
    ] {
        let call = RawCall::send(&gateway, with(values), execute_message(ID)).await;
        let error = call.error();
        assert_eq!(error.code, Code::Unauthenticated, "{values:?}");
        assert_eq!(error.reason, "CALLER_UNAUTHENTICATED");
        assert_nothing_started(&error);
        assert!(error.details.retry_info().is_none());
    }
    assert_eq!(gateway.sandbox.posts("*"), 0);
    gateway.stop().await;
}

#[tokio::test]
async fn above_the_limit_calls_are_refused_at_once_while_probes_are_answered() {
    let mut gateway = Gateway::builder()
        .with("server.max_in_flight", "2")
        .with("server.max_waiting", "0")
        .start()
        .await;
    gateway.sandbox.script("*", [Fault::hold(), Fault::hold()]);
    let mut wire = Wire::connect(gateway.addr).await;
    let held = [
        wire.execute(ID, &[]).await,
        Wire::connect(gateway.addr)
            .await
            .execute("213216", &[])
            .await,
    ];
    within(gateway.sandbox.wait_for_posts("*", 2)).await;
    for _ in 0..3 {
        let call = wire.execute("999", &[]).await.answer().await.unwrap();
        assert!(call.trailers.is_none(), "{call:?}");
        let error = call.error();
        assert_eq!(error.code, Code::ResourceExhausted);
        assert_eq!(error.reason, "GATEWAY_OVERLOADED");
        assert_nothing_started(&error);
        assert!(error.details.retry_info().is_some());
        let pushback: u32 = error.pushback.unwrap().parse().unwrap();
        assert!((1000..2000).contains(&pushback), "{pushback}");
    }
    let mut health = gateway.health().await;
    within(health.check(HealthCheckRequest::default()))
        .await
        .unwrap();
    assert_eq!(gateway.sandbox.posts("*"), 2);
    gateway.sandbox.release("*");
    for sent in held {
        let call = sent.answer().await.unwrap();
        assert_eq!(call.grpc_status().code(), Code::Ok);
    }
    // The places are free again.
    let error = answer(&gateway.execute("999").await.unwrap_err());
    assert_eq!(error.code, Code::NotFound);
    gateway.stop().await;
}
