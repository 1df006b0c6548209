//! The program and a collector: what arrives there, and what a bad one cannot spoil.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use futures_util::future::join_all;
use incidentgate::pb::incident_task_service_client::IncidentTaskServiceClient;
use opentelemetry_proto::tonic::{
    common::v1::{InstrumentationScope, KeyValue, any_value::Value},
    metrics::v1::metric::Data,
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use tokio::{task::spawn_blocking, time::Instant};
use tonic::Code;

use crate::support::{
    CALLER, Collector, Received, TRACE, TRACEPARENT, program::Server, request, within,
};

const SCHEMA: &str = "https://opentelemetry.io/schemas/1.45.0";
/// A call takes milliseconds; this is far below every timeout of an exporter (10 s) and
/// far above what a loaded machine adds.
const QUICK: Duration = Duration::from_secs(5);

/// Runs the program for two calls, the first successful, with `metadata`; how it ended, its log.
async fn two_calls(
    variables: &[(&str, &str)],
    metadata: (&'static str, &str),
) -> (Option<i32>, Vec<serde_json::Value>) {
    let server = Server::with_variables(variables);
    let client = IncidentTaskServiceClient::connect(server.endpoint());
    let mut client = within(client).await.unwrap();
    let mut codes = Vec::new();
    for id in ["213213", "213215"] {
        let mut call = request(id);
        call.metadata_mut()
            .insert(metadata.0, metadata.1.parse().unwrap());
        let started = Instant::now();
        let result = within(client.execute_response_action(call)).await;
        assert!(started.elapsed() < QUICK, "{:?}", started.elapsed());
        codes.push(result.map_or_else(|status| status.code(), |_| Code::Ok));
    }
    assert_eq!(codes, [Code::Ok, Code::AlreadyExists]);
    server.program.signal("TERM");
    // The collector lives on this thread and must not wait for it.
    let ended = spawn_blocking(|| server.program.ended()).await.unwrap();
    let log = ended.stderr.lines().map(serde_json::from_str);
    (ended.code, log.collect::<Result<_, _>>().unwrap())
}

fn endpoint(addr: SocketAddr) -> String {
    format!("http://{addr}")
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let pair = attributes.iter().find(|pair| pair.key == key)?;
    let Value::StringValue(text) = pair.value.as_ref()?.value.as_ref()? else {
        return None;
    };
    Some(text)
}

#[track_caller]
fn assert_scope(scope: Option<&InstrumentationScope>, schema_url: &str) {
    let scope = scope.expect("a scope");
    assert_eq!(scope.name, "incidentgate");
    assert_eq!(scope.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(schema_url, SCHEMA);
}

#[track_caller]
fn assert_resource(attributes: &[KeyValue], name: &str) {
    assert_eq!(text(attributes, "service.name"), Some(name));
    let version = Some(env!("CARGO_PKG_VERSION"));
    assert_eq!(text(attributes, "service.version"), version);
    assert!(text(attributes, "service.instance.id").is_some_and(|id| !id.is_empty()));
}

/// Every span that arrived. Checks resource and scope of all of them.
#[track_caller]
fn spans(received: &Received, service: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    for request in &received.traces {
        for of_resource in &request.resource_spans {
            let resource = of_resource.resource.as_ref().unwrap();
            assert_resource(&resource.attributes, service);
            for of_scope in &of_resource.scope_spans {
                assert_scope(of_scope.scope.as_ref(), &of_scope.schema_url);
                spans.extend_from_slice(&of_scope.spans);
            }
        }
    }
    spans
}

/// The names of the metrics that arrived last. Checks resource and scope of all of them.
#[track_caller]
fn metrics(received: &Received, service: &str) -> Vec<String> {
    let mut names = Vec::new();
    let last = received.metrics.last().expect("metrics");
    for of_resource in &last.resource_metrics {
        let resource = of_resource.resource.as_ref().unwrap();
        assert_resource(&resource.attributes, service);
        for of_scope in &of_resource.scope_metrics {
            assert_scope(of_scope.scope.as_ref(), &of_scope.schema_url);
            for metric in &of_scope.metrics {
                if let Some(Data::Histogram(histogram)) = &metric.data {
                    assert_eq!(metric.unit, "s");
                    for point in &histogram.data_points {
                        assert_eq!(point.explicit_bounds.len(), 14);
                        assert_eq!(point.count, 1);
                    }
                }
                names.push(metric.name.clone());
            }
        }
    }
    names.sort();
    names
}

#[tokio::test]
async fn a_collector_has_everything_when_the_process_has_ended() {
    for (protocol, service) in [("grpc", "gate-1"), ("http/protobuf", "incidentgate")] {
        let collector = Collector::start().await;
        let endpoint = endpoint(collector.addr);
        let mut variables = vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ];
        if service != "incidentgate" {
            variables.push(("OTEL_SERVICE_NAME", service));
        }
        let (code, log) = two_calls(&variables, TRACEPARENT).await;
        assert_eq!(code, Some(0), "{log:?}");
        let warnings = log.iter().find(|line| line["level"] == "WARN");
        assert_eq!(warnings, None);

        let received = collector.received();
        let all = received.traces.len() + received.metrics.len();
        let by_grpc = if protocol == "grpc" { all } else { 0 };
        assert_eq!(received.by_grpc, by_grpc);
        let spans = spans(&received, service);
        assert_eq!(spans.len(), 4, "{spans:?}");
        for span in &spans {
            assert_eq!(hex(&span.trace_id), TRACE);
        }
        let (servers, clients): (Vec<_>, Vec<_>) = spans
            .iter()
            .partition(|span| span.kind() == SpanKind::Server);
        for (server, error) in servers.iter().zip([StatusCode::Unset, StatusCode::Error]) {
            assert_eq!(hex(&server.parent_span_id), CALLER);
            assert_eq!(
                server.name,
                "incidentgate.v1.IncidentTaskService/ExecuteResponseAction"
            );
            assert_eq!(server.status.as_ref().unwrap().code(), StatusCode::Unset);
            let client = clients
                .iter()
                .find(|client| client.parent_span_id == server.span_id)
                .expect("a child");
            assert_eq!(client.kind(), SpanKind::Client);
            assert_eq!(client.status.as_ref().unwrap().code(), error);
            let url = text(&client.attributes, "url.full").unwrap();
            assert!(url.contains("/{incidentTaskId}/"), "{url}");
        }
        // The line of the refused call leads to its span.
        let failed = log.iter().find(|line| line["message"] == "call failed");
        let span_id = failed.unwrap()["span_id"].as_str().unwrap();
        let ids: Vec<_> = servers.iter().map(|server| hex(&server.span_id)).collect();
        assert_eq!(ids[1], span_id);
        assert_eq!(
            metrics(&received, service),
            [
                "http.client.request.duration",
                "incidentgate.action.outcomes",
                "incidentgate.calls.in_flight",
                "incidentgate.fetch.duration",
                "incidentgate.throttle.closed",
                "rpc.server.call.duration",
            ]
        );
    }
}

fn hex(id: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(half.into(), 16).unwrap();
    id.iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

#[tokio::test]
async fn a_bad_collector_delays_neither_calls_nor_the_end() {
    // The one is bound and not listening, so that the port stays ours, and refuses; to
    // the other the kernel connects, and nobody ever answers.
    let dead = tokio::net::TcpSocket::new_v4().unwrap();
    dead.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let addrs = [dead.local_addr().unwrap(), hanging.local_addr().unwrap()];
    let collectors = addrs
        .into_iter()
        .flat_map(|addr| [(addr, "grpc"), (addr, "http/protobuf")]);
    join_all(collectors.map(async |(addr, protocol)| {
        let endpoint = endpoint(addr);
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            // Exports go on while the calls are made.
            ("OTEL_BSP_SCHEDULE_DELAY", "1"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "1"),
        ];
        let started = Instant::now();
        let (code, log) = two_calls(&variables, TRACEPARENT).await;
        let elapsed = started.elapsed();
        assert_eq!(code, Some(0), "{protocol} {addr}: {log:?}");
        assert!(elapsed < 2 * QUICK, "{protocol} {addr}: {elapsed:?}");
        let lost = "the last telemetry did not reach the collector";
        assert!(log.iter().any(|line| line["message"] == lost), "{log:?}");
    }))
    .await;
}

#[tokio::test]
async fn a_disabled_sdk_exports_nothing_and_lines_still_have_the_callers_trace() {
    let collector = Collector::start().await;
    let endpoint = endpoint(collector.addr);
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_SDK_DISABLED", "true"),
    ];
    let (code, log) = two_calls(&variables, TRACEPARENT).await;
    assert_eq!(code, Some(0), "{log:?}");
    let received = collector.received();
    assert!(received.traces.is_empty() && received.metrics.is_empty());
    let failed = log.iter().find(|line| line["message"] == "call failed");
    assert_eq!(failed.unwrap()["trace_id"], TRACE);
}

#[tokio::test]
async fn b3_headers_are_read_where_the_environment_says_so() {
    let b3 = ("b3", "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1");
    for (propagators, metadata, is_child) in [
        ("b3", b3, true),
        ("b3", TRACEPARENT, false),
        ("tracecontext", b3, false),
        ("b3multi,tracecontext", TRACEPARENT, true),
    ] {
        let collector = Collector::start().await;
        let endpoint = endpoint(collector.addr);
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_PROPAGATORS", propagators),
        ];
        let (code, log) = two_calls(&variables, metadata).await;
        assert_eq!(code, Some(0), "{log:?}");
        let received = collector.received();
        let spans = spans(&received, "incidentgate");
        assert_eq!(spans.len(), 4);
        for span in spans {
            assert_eq!(
                hex(&span.trace_id) == TRACE,
                is_child,
                "{propagators} {metadata:?}"
            );
            if span.kind() == SpanKind::Server {
                let parent = if is_child { CALLER } else { "" };
                assert_eq!(hex(&span.parent_span_id), parent);
            }
        }
    }
}
