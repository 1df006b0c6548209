//! The export over real sockets: to a collector that answers, one that hangs, and none at all.

use std::convert::Infallible;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1 as metrics_v1;
use opentelemetry_proto::tonic::collector::trace::v1 as trace_v1;
use prost::Message;
use socket2::{Domain, Socket, Type};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{Exporter, LogFormat, LogOptions, Protocol, Settings, Telemetry, names};

const PROTOCOLS: [Protocol; 2] = [Protocol::HttpProtobuf, Protocol::Grpc];

fn quiet() -> LogOptions {
    LogOptions::new("off", LogFormat::Json)
}

fn settings(scheme: &str, address: SocketAddr, protocol: Protocol) -> Settings {
    let exporter = |path: &str| Exporter {
        endpoint: match protocol {
            Protocol::HttpProtobuf => format!("{scheme}://{address}/{path}"),
            Protocol::Grpc => format!("{scheme}://{address}"),
        },
        protocol,
        timeout: Duration::from_secs(10),
    };
    Settings {
        traces: Some(exporter("v1/traces")),
        metrics: Some(exporter("v1/metrics")),
        ..Settings::default()
    }
}

fn exporting(scheme: &str, address: SocketAddr, protocol: Protocol) -> Telemetry {
    let telemetry = Telemetry::new(settings(scheme, address, protocol));
    let warnings = telemetry.warnings();
    assert!(warnings.is_empty(), "{warnings:?}");
    telemetry
}

/// One call, as the server would record it.
fn record(telemetry: &Telemetry) {
    tracing::dispatcher::with_default(&telemetry.dispatch(quiet(), std::io::sink), || {
        let span = tracing::info_span!("call", otel.kind = "server");
        span.set_attribute(names::RPC_STATUS_CODE, "OK");
    });
    telemetry
        .metrics()
        .server_call("a.B/C", "OK", None, Duration::from_millis(1));
}

/// Far above every limit used here, far below the exporters' own ten seconds.
const SLACK: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_hanging_collector_delays_neither_calls_nor_the_end() {
    for protocol in PROTOCOLS {
        // Connections are established by the kernel and never answered.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let telemetry = exporting("http", listener.local_addr().unwrap(), protocol);
        let started = Instant::now();
        // More than the queue takes.
        let dispatch = telemetry.dispatch(quiet(), std::io::sink);
        tracing::dispatcher::with_default(&dispatch, || {
            for _ in 0..5_000 {
                drop(tracing::info_span!("call"));
            }
        });
        record(&telemetry);
        // On the only thread of this runtime, on purpose.
        assert!(
            !telemetry.shutdown(Duration::from_millis(200)),
            "{protocol:?}"
        );
        assert!(
            started.elapsed() < SLACK,
            "{protocol:?} {:?}",
            started.elapsed()
        );
    }
}

#[tokio::test]
async fn a_dead_collector_does_not_delay_the_end() {
    for protocol in PROTOCOLS {
        // Bound and not listening: the port stays ours, and refuses.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(&any.into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let telemetry = exporting("http", address, protocol);
        record(&telemetry);
        let started = Instant::now();
        let delivered = telemetry.shutdown(Duration::from_millis(200));
        let elapsed = started.elapsed();
        assert!(!delivered, "{protocol:?}");
        assert!(elapsed < SLACK, "{protocol:?} {elapsed:?}");
    }
}

#[tokio::test]
async fn what_a_collector_refuses_counts_as_undelivered() {
    for protocol in PROTOCOLS {
        let address = serve(axum::Router::new()).await;
        let only_traces = Settings {
            metrics: None,
            ..settings("http", address, protocol)
        };
        let telemetry = Telemetry::new(only_traces);
        record(&telemetry);
        let limit = Duration::from_secs(30);
        let delivered = tokio::task::spawn_blocking(move || telemetry.shutdown(limit)).await;
        assert!(!delivered.unwrap(), "{protocol:?}");
    }
}

#[test]
fn an_exporter_waits_no_longer_than_its_own_timeout() {
    for protocol in PROTOCOLS {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut settings = settings("http", listener.local_addr().unwrap(), protocol);
        for exporter in settings.traces.iter_mut().chain(&mut settings.metrics) {
            exporter.timeout = Duration::from_millis(100);
        }
        let telemetry = Telemetry::new(settings);
        record(&telemetry);
        let started = Instant::now();
        assert!(!telemetry.shutdown(3 * SLACK), "{protocol:?}");
        let elapsed = started.elapsed();
        assert!(elapsed < SLACK, "{protocol:?} {elapsed:?}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_the_end_nor_asked_for_again() {
    let requests = Arc::new(AtomicUsize::new(0));
    let received = Arc::clone(&requests);
    let endless = async move || {
        received.fetch_add(1, Ordering::Relaxed);
        let piece = Ok::<_, Infallible>(Bytes::from_static(&[0; 4096]));
        axum::body::Body::from_stream(futures_util::stream::repeat(piece))
    };
    let address = serve(axum::Router::new().fallback(endless)).await;
    let telemetry = exporting("http", address, Protocol::HttpProtobuf);
    record(&telemetry);
    let started = Instant::now();
    let limit = 3 * SLACK;
    let delivered = tokio::task::spawn_blocking(move || telemetry.shutdown(limit)).await;
    assert!(!delivered.unwrap());
    assert!(started.elapsed() < SLACK, "{:?}", started.elapsed());
    // One for each signal.
    assert_eq!(requests.load(Ordering::Relaxed), 2);
}

#[test]
fn an_https_collector_is_spoken_to_by_tls() {
    for protocol in PROTOCOLS {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let telemetry = exporting("https", listener.local_addr().unwrap(), protocol);
        record(&telemetry);
        let ended = std::thread::spawn(move || telemetry.shutdown(Duration::from_secs(30)));
        let mut hello = [0_u8; 6];
        listener.accept().unwrap().0.read_exact(&mut hello).unwrap();
        // A handshake record whose first message is the client's hello.
        assert_eq!((hello[0], hello[5]), (22, 1), "{protocol:?}");
        drop((listener, ended));
    }
}

#[derive(Debug)]
enum Received {
    Traces(trace_v1::ExportTraceServiceRequest),
    Metrics(metrics_v1::ExportMetricsServiceRequest),
}

#[derive(Clone)]
struct Collector(mpsc::UnboundedSender<Received>);

#[tonic::async_trait]
impl trace_v1::trace_service_server::TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<trace_v1::ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<trace_v1::ExportTraceServiceResponse>, tonic::Status> {
        self.0.send(Received::Traces(request.into_inner())).unwrap();
        Ok(tonic::Response::new(
            trace_v1::ExportTraceServiceResponse::default(),
        ))
    }
}

#[tonic::async_trait]
impl metrics_v1::metrics_service_server::MetricsService for Collector {
    async fn export(
        &self,
        request: tonic::Request<metrics_v1::ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<metrics_v1::ExportMetricsServiceResponse>, tonic::Status> {
        self.0
            .send(Received::Metrics(request.into_inner()))
            .unwrap();
        Ok(tonic::Response::new(
            metrics_v1::ExportMetricsServiceResponse::default(),
        ))
    }
}

/// Serves OTLP by gRPC and by HTTP on one port.
async fn collector() -> (SocketAddr, mpsc::UnboundedReceiver<Received>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let grpc = Collector(sender.clone());
    let (traces, metrics) = (sender.clone(), sender);
    let router = tonic::service::Routes::new(
        trace_v1::trace_service_server::TraceServiceServer::new(grpc.clone()),
    )
    .add_service(metrics_v1::metrics_service_server::MetricsServiceServer::new(grpc))
    .into_axum_router()
    .route(
        "/v1/traces",
        post(async move |body: Bytes| {
            traces
                .send(Received::Traces(Message::decode(body).unwrap()))
                .unwrap();
        }),
    )
    .route(
        "/v1/metrics",
        post(async move |body: Bytes| {
            metrics
                .send(Received::Metrics(Message::decode(body).unwrap()))
                .unwrap();
        }),
    );
    (serve(router).await, receiver)
}

async fn serve(router: axum::Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::test]
async fn a_collector_receives_what_was_recorded_before_the_end() {
    for protocol in PROTOCOLS {
        let (address, mut receiver) = collector().await;
        let telemetry = exporting("http", address, protocol);
        record(&telemetry);
        let limit = Duration::from_secs(30);
        let delivered = tokio::task::spawn_blocking(move || telemetry.shutdown(limit)).await;
        assert!(delivered.unwrap(), "{protocol:?}");

        let (mut traces, mut metrics) = (None, None);
        while let Ok(received) = receiver.try_recv() {
            match received {
                Received::Traces(request) => traces = Some(request),
                Received::Metrics(request) => metrics = Some(request),
            }
        }
        let traces = &traces.expect("spans").resource_spans[0];
        let resource = traces.resource.as_ref().unwrap();
        let keys: Vec<_> = resource
            .attributes
            .iter()
            .map(|pair| pair.key.as_str())
            .collect();
        assert!(keys.contains(&names::SERVICE_INSTANCE_ID), "{keys:?}");
        let scoped = &traces.scope_spans[0];
        assert_eq!(scoped.scope.as_ref().unwrap().name, names::SCOPE);
        assert_eq!(scoped.schema_url, names::SCHEMA_URL);
        assert_eq!(scoped.spans[0].name, "call");
        assert_eq!(scoped.spans[0].attributes[0].key, names::RPC_STATUS_CODE);

        let metrics = &metrics.expect("metrics").resource_metrics[0];
        let scoped = &metrics.scope_metrics[0];
        assert_eq!(scoped.metrics[0].name, names::RPC_SERVER_CALL_DURATION);
        assert_eq!(scoped.metrics[0].unit, names::UNIT_SECONDS);
    }
}
