//! An OTLP collector that counts.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{Router, body::Bytes as Body, extract::State, http::StatusCode, routing};
use opentelemetry_proto::tonic::collector::{
    metrics::v1::{
        ExportMetricsServiceRequest, ExportMetricsServiceResponse,
        metrics_service_server::{MetricsService, MetricsServiceServer},
    },
    trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
};
use prost::Message as _;
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, service::Routes};

/// Reads all of it, and keeps how many spans there were.
#[derive(Clone, Default)]
struct Collector(Arc<AtomicU64>);

pub(crate) async fn serve(listener: TcpListener) -> anyhow::Result<()> {
    let collector = Collector::default();
    let http = Router::new()
        .route("/v1/traces", routing::post(traces))
        .route("/v1/metrics", routing::post(metrics))
        .route("/spans", routing::get(spans))
        .with_state(collector.clone());
    let grpc = Routes::new(TraceServiceServer::new(collector.clone()))
        .add_service(MetricsServiceServer::new(collector))
        .into_axum_router();
    axum::serve(listener, grpc.merge(http)).await?;
    Ok(())
}

async fn traces(State(collector): State<Collector>, body: Body) -> Result<Body, StatusCode> {
    let request = ExportTraceServiceRequest::decode(body).map_err(|_| StatusCode::BAD_REQUEST)?;
    collector.count(&request);
    Ok(Body::new())
}

async fn metrics(body: Body) -> Result<Body, StatusCode> {
    ExportMetricsServiceRequest::decode(body).map_err(|_| StatusCode::BAD_REQUEST)?;
    Ok(Body::new())
}

async fn spans(State(collector): State<Collector>) -> String {
    collector.0.load(Ordering::Relaxed).to_string()
}

impl Collector {
    fn count(&self, request: &ExportTraceServiceRequest) {
        let scopes = request.resource_spans.iter().flat_map(|of| &of.scope_spans);
        let spans: usize = scopes.map(|of| of.spans.len()).sum();
        self.0.fetch_add(spans as u64, Ordering::Relaxed);
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.count(request.get_ref());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        _: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}
