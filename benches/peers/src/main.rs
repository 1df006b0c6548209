//! What the benchmarks need beside the gateway: an OTLP collector that counts, and the
//! least that any gateway in Rust could be, as the floor.
//!
//! ```text
//! peers collector                 takes OTLP by gRPC and by HTTP; GET /spans says how many
//! peers graph                     a Graph that never answers, or later; GET /requests says how many it owes an answer
//! peers echo                      tonic's own server, answering by itself
//! peers forward --graph-url URL   the same, and one POST with the caller's token by a bare reqwest client
//! ```

use std::{
    collections::HashMap,
    future::pending,
    io::Write as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes as Body,
    extract::State,
    http::{StatusCode, header::AUTHORIZATION},
    routing,
};
use clap::Parser;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
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
use tokio::{net::TcpListener, time::sleep};
use tonic::{Code, Request, Response, Status, service::Routes, transport::Server};
use tonic_types::{ErrorDetails, StatusExt as _};

use self::pb::{
    ExecuteResponseActionRequest, ExecuteResponseActionResponse, ExecutionConfirmation,
    incident_task_service_server::{IncidentTaskService, IncidentTaskServiceServer},
};

/// The gateway's own service.
mod pb {
    #![allow(
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes_without_reason,
        missing_docs,
        unreachable_pub,
        reason = "generated code"
    )]

    tonic::include_proto!("incidentgate.v1");
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
enum Peer {
    Collector,
    Graph {
        /// Milliseconds until an answer; never without it.
        #[arg(long)]
        delay: Option<u64>,
        #[arg(long)]
        max_concurrent_streams: Option<u32>,
    },
    Echo,
    Forward {
        #[arg(long)]
        graph_url: String,
        #[arg(long)]
        http2_prior_knowledge: bool,
    },
}

/// Reads all of it, and keeps how many spans there were.
#[derive(Clone, Default)]
struct Collector(Arc<AtomicU64>);

#[derive(Clone)]
struct Floor {
    upstream: Option<(reqwest::Client, Arc<str>)>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let peer = Peer::parse();
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    writeln!(std::io::stdout(), "listening on {}", listener.local_addr()?)?;
    let upstream = match peer {
        Peer::Collector => return collector(listener).await,
        Peer::Graph {
            delay,
            max_concurrent_streams,
        } => {
            let delay = delay.map(Duration::from_millis);
            return graph(listener, delay, max_concurrent_streams).await;
        }
        Peer::Echo => None,
        Peer::Forward {
            graph_url,
            http2_prior_knowledge,
        } => {
            let builder = reqwest::Client::builder();
            let builder = if http2_prior_knowledge {
                builder.http2_prior_knowledge()
            } else {
                builder
            };
            Some((builder.build()?, graph_url.into()))
        }
    };
    let floor = IncidentTaskServiceServer::new(Floor { upstream });
    let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder()
        .add_service(floor)
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}

/// HTTP/2 without TLS.
async fn graph(
    listener: TcpListener,
    delay: Option<Duration>,
    max_concurrent_streams: Option<u32>,
) -> anyhow::Result<()> {
    let waiting = Arc::new(AtomicU64::new(0));
    let requests = Arc::clone(&waiting);
    let act = move || async move {
        waiting.fetch_add(1, Ordering::Relaxed);
        match delay {
            Some(delay) => sleep(delay).await,
            None => pending().await,
        }
        waiting.fetch_sub(1, Ordering::Relaxed);
        StatusCode::NO_CONTENT
    };
    let app = Router::new()
        .route(
            "/requests",
            routing::get(move || async move { requests.load(Ordering::Relaxed).to_string() }),
        )
        .fallback(act);
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http2()
            .max_concurrent_streams(max_concurrent_streams);
        let app = TowerToHyperService::new(app.clone());
        tokio::spawn(async move {
            // A client that breaks off is no concern of this one's.
            let connection = builder.serve_connection(TokioIo::new(socket), app);
            connection.await.ok();
        });
    }
}

// === impl Collector ===

async fn collector(listener: TcpListener) -> anyhow::Result<()> {
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

// === impl Floor ===

/// Details like the gateway's, as long as those, and what Graph says is read but not
/// understood.
async fn refusal(answer: reqwest::Response) -> Status {
    const ID: &str = "43064123-b43a-4df8-a4d1-30660b99ac76";
    const SAID: &str = "Response action is already in progress.";
    let message = format!("the action has been started before: {SAID}");
    if let Err(error) = answer.bytes().await {
        return Status::unknown(error.to_string());
    }
    let metadata = [
        ("actionOutcome", "ALREADY_STARTED"),
        ("graphCode", "ActionAlreadyInProgress"),
        ("httpStatus", "400"),
        ("graphRequestId", ID),
        ("clientRequestId", ID),
        ("attempts", "1"),
    ];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let mut details = ErrorDetails::with_error_info(
        "ACTION_ALREADY_IN_PROGRESS",
        "graph.microsoft.com",
        HashMap::from(metadata),
    );
    details.set_request_info(ID, "");
    details.set_resource_info("microsoft.graph.security.incidentTask", "", "", SAID);
    Status::with_error_details(Code::AlreadyExists, message, details)
}

#[tonic::async_trait]
impl IncidentTaskService for Floor {
    async fn execute_response_action(
        &self,
        request: Request<ExecuteResponseActionRequest>,
    ) -> Result<Response<ExecuteResponseActionResponse>, Status> {
        if let Some((client, graph_url)) = &self.upstream {
            let id = &request.get_ref().incident_task_id;
            let url = format!("{graph_url}/security/incidentTasks/{id}/executeResponseAction");
            let token = request.metadata().as_ref().get(AUTHORIZATION);
            let token = token.ok_or_else(|| Status::unauthenticated("there is no token"))?;
            let answer = client.post(url).header(AUTHORIZATION, token).send().await;
            let answer = answer.map_err(|error| Status::unknown(error.to_string()))?;
            if !answer.status().is_success() {
                return Err(refusal(answer).await);
            }
        }
        Ok(Response::new(ExecuteResponseActionResponse {
            confirmation: ExecutionConfirmation::Accepted.into(),
            ..ExecuteResponseActionResponse::default()
        }))
    }
}
