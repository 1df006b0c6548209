//! Trace context from the caller to Graph, and what goes no further.

use bytes::Bytes;
use http::Request;
use incidentgate::{pb::health::HealthCheckRequest, sandbox::Entry};
use opentelemetry::trace::{SpanId, SpanKind};
use opentelemetry_sdk::trace::SpanData;

use crate::support::{CALLER, Gateway, RawCall, TRACE, within};

/// The only POST that Graph received.
#[track_caller]
fn post(gateway: &Gateway) -> Entry {
    let mut journal = gateway.sandbox.journal();
    assert_eq!(journal.len(), 1);
    journal.remove(0)
}

#[track_caller]
fn span(gateway: &Gateway, kind: &SpanKind) -> SpanData {
    let spans = gateway.spans().into_iter();
    let mut of_kind: Vec<_> = spans.filter(|span| span.span_kind == *kind).collect();
    assert_eq!(of_kind.len(), 1);
    of_kind.remove(0)
}

#[tokio::test]
async fn graph_gets_the_client_spans_context_and_no_baggage() {
    let gateway = Gateway::start().await;
    let headers = [
        ("traceparent", &*format!("00-{TRACE}-{CALLER}-01")),
        ("tracestate", "vendor=1,other=2"),
        ("baggage", "user=somebody"),
        ("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1"),
    ];
    RawCall::execute(&gateway, "213213", &headers)
        .await
        .message();
    let client = span(&gateway, &SpanKind::Client);
    let sent = post(&gateway);
    let own = client.span_context.span_id();
    assert_ne!(own.to_string(), CALLER);
    let expected = format!("00-{TRACE}-{own}-01");
    assert_eq!(sent.header("traceparent"), Some(expected.as_str()));
    assert_eq!(sent.header("tracestate"), Some("vendor=1,other=2"));

    let mut names: Vec<_> = sent.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "accept",
            "accept-encoding",
            "authorization",
            "client-request-id",
            "content-length",
            "host",
            "traceparent",
            "tracestate",
            "user-agent",
        ]
    );
}

#[tokio::test]
async fn a_call_without_trace_context_is_a_root() {
    // What cannot be read counts as nothing.
    for headers in [&[][..], &[("traceparent", "00-nonsense-01")]] {
        let gateway = Gateway::start().await;
        RawCall::execute(&gateway, "213213", headers)
            .await
            .message();
        let server = span(&gateway, &SpanKind::Server);
        assert_eq!(server.parent_span_id, SpanId::INVALID);
        assert!(!server.parent_span_is_remote);
        assert!(server.span_context.is_valid());
        assert!(server.span_context.is_sampled());
        let client = span(&gateway, &SpanKind::Client);
        let trace = server.span_context.trace_id();
        assert_eq!(client.span_context.trace_id(), trace);
        let (trace, own) = (trace, client.span_context.span_id());
        let expected = format!("00-{trace}-{own}-01");
        let sent = post(&gateway);
        assert_eq!(sent.header("traceparent"), Some(expected.as_str()));
        assert_eq!(sent.header("tracestate"), None);
    }
}

#[tokio::test]
async fn an_unsampled_call_is_not_recorded_and_says_so_to_graph() {
    let gateway = Gateway::start().await;
    let parent = format!("00-{TRACE}-{CALLER}-00");
    let headers = [("traceparent", &*parent), ("tracestate", "vendor=1")];
    RawCall::execute(&gateway, "213213", &headers)
        .await
        .message();
    assert_eq!(gateway.spans(), []);
    let sent = post(&gateway);
    let traceparent = sent.header("traceparent").unwrap();
    assert!(
        traceparent.starts_with(&format!("00-{TRACE}-")),
        "{traceparent}"
    );
    assert!(traceparent.ends_with("-00"), "{traceparent}");
    assert_eq!(sent.header("tracestate"), Some("vendor=1"));
}

#[tokio::test]
async fn what_is_no_call_of_the_service_makes_no_span() {
    let gateway = Gateway::start().await;
    let check = HealthCheckRequest::default();
    within(async { gateway.health().await.check(check).await })
        .await
        .unwrap();
    for version in ["v1", "v1alpha"] {
        let service = format!("grpc.reflection.{version}.ServerReflection");
        let uri = format!("http://{}/{service}/ServerReflectionInfo", gateway.addr);
        let request = Request::post(uri)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .unwrap();
        let call = RawCall::send(&gateway, request, Bytes::new()).await;
        assert_eq!(call.grpc_status().code(), tonic::Code::Ok);
    }
    let uri = format!("http://{}/index.html", gateway.addr);
    let page = RawCall::send(&gateway, Request::get(uri).body(()).unwrap(), Bytes::new()).await;
    assert_eq!(page.status, http::StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(gateway.spans(), []);
    // Spans are recorded all the same.
    gateway.execute("213213").await.unwrap();
    assert_eq!(gateway.spans().len(), 2);
}
