//! An OpenTelemetry collector that keeps what it receives.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::routing::post;
use bytes::Bytes;
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
use tonic::{Request, Response, Status};

/// Takes OTLP by gRPC and by HTTP on one port.
#[derive(Debug, Clone)]
pub(crate) struct Collector {
    pub(crate) addr: SocketAddr,
    received: Arc<Mutex<Received>>,
}

/// All that has come so far, in order of arrival.
#[derive(Debug, Clone, Default)]
pub(crate) struct Received {
    pub(crate) traces: Vec<ExportTraceServiceRequest>,
    pub(crate) metrics: Vec<ExportMetricsServiceRequest>,
    /// How many of them came by gRPC.
    pub(crate) by_grpc: usize,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let collector = Self {
            addr: listener.local_addr().unwrap(),
            received: Arc::default(),
        };
        let (traces, metrics) = (collector.clone(), collector.clone());
        let router = tonic::service::Routes::new(TraceServiceServer::new(collector.clone()))
            .add_service(MetricsServiceServer::new(collector.clone()))
            .into_axum_router()
            .route(
                "/v1/traces",
                post(async move |body: Bytes| {
                    let request = ExportTraceServiceRequest::decode(body).unwrap();
                    traces.received.lock().unwrap().traces.push(request);
                }),
            )
            .route(
                "/v1/metrics",
                post(async move |body: Bytes| {
                    let request = ExportMetricsServiceRequest::decode(body).unwrap();
                    metrics.received.lock().unwrap().metrics.push(request);
                }),
            );
        tokio::spawn(async move { axum::serve(listener, router).await });
        collector
    }

    pub(crate) fn received(&self) -> Received {
        self.received.lock().unwrap().clone()
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut received = self.received.lock().unwrap();
        received.traces.push(request.into_inner());
        received.by_grpc += 1;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let mut received = self.received.lock().unwrap();
        received.metrics.push(request.into_inner());
        received.by_grpc += 1;
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}
