//! The fixture.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use incidentgate::{
    app::{self, App, TlsFiles},
    authorization::{Authorization, TokenOwner},
    config::{Config, Flag, GraphUrl, Preset, Sources},
    credentials::Credentials,
    pb::{
        ExecuteResponseActionRequest, ExecuteResponseActionResponse,
        health::health_client::HealthClient,
        incident_task_service_client::IncidentTaskServiceClient,
    },
    sandbox::{Options, Sandbox},
    server::{Drained, Listener, Shutdown},
    telemetry::{self, LogFormat, LogOptions, Metrics, Propagator},
};
use opentelemetry::{metrics::MeterProvider as _, trace::TracerProvider as _};
use opentelemetry_sdk::{
    metrics::{InMemoryMetricExporter, SdkMeterProvider, data::ResourceMetrics},
    trace::{SdkTracerProvider, SpanData},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tonic::{Request, Status, transport::Channel};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use super::{
    observed::{Changes, SpanKeeper},
    within,
};

/// The bearer token that test callers send.
pub(crate) const TOKEN: &str = "caller-token-marked-as-secret";

/// What a test changes in the defaults.
pub(crate) struct GatewayBuilder {
    flags: Vec<Flag>,
    credentials: Credentials,
    sandbox: Options,
    graph_url: Option<String>,
    log_filter: &'static str,
    tls: Option<TlsFiles>,
}

/// A running gateway with everything that can be looked at from outside.
pub(crate) struct Gateway {
    pub(crate) addr: SocketAddr,
    pub(crate) sandbox: Sandbox,
    pub(crate) shutdown: Shutdown,
    running: Option<JoinHandle<anyhow::Result<Drained>>>,
    tracers: SdkTracerProvider,
    spans: SpanKeeper,
    meters: SdkMeterProvider,
    metrics: InMemoryMetricExporter,
    logs: Lines,
    _subscriber: DefaultGuard,
}

/// A log that is kept, and a word when it grows.
#[derive(Debug, Clone, Default)]
struct Lines {
    text: Arc<Mutex<Vec<u8>>>,
    changes: Changes,
}

// === impl GatewayBuilder ===

impl GatewayBuilder {
    /// Sets a key of the configuration.
    pub(crate) fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.flags.push(Flag {
            key,
            name: "test",
            value: value.into(),
        });
        self
    }

    /// The gateway has a token of its own.
    pub(crate) fn with_own_token(mut self) -> Self {
        let own = Authorization::bearer("gateway-token-marked-as-secret", TokenOwner::Gateway);
        self.credentials = Credentials::Fixed(own.unwrap());
        self
    }

    /// Another Graph than the sandbox, as `http://127.0.0.1:PORT/beta`.
    pub(crate) fn with_graph(mut self, url: impl Into<String>) -> Self {
        self.graph_url = Some(url.into());
        self
    }

    pub(crate) fn with_sandbox(mut self, options: Options) -> Self {
        self.sandbox = options;
        self
    }

    pub(crate) fn with_log_filter(mut self, filter: &'static str) -> Self {
        self.log_filter = filter;
        self
    }

    /// Other files with certificates than the configuration's.
    pub(crate) fn with_tls(mut self, files: TlsFiles) -> Self {
        self.tls = Some(files);
        self
    }

    pub(crate) async fn start(self) -> Gateway {
        let listener = free_port().await;
        let addr = listener.local_addr().unwrap();
        self.start_on(listener, addr).await
    }

    /// Listens elsewhere; `addr` is what the gateway is called by.
    pub(crate) async fn start_on(
        mut self,
        listener: impl Into<Listener> + Send + 'static,
        addr: SocketAddr,
    ) -> Gateway {
        let sandbox = Sandbox::start(free_port().await, self.sandbox)
            .await
            .unwrap();
        let url = self.graph_url.unwrap_or_else(|| sandbox.graph_url());
        // A stray variable of the machine's must not change a test, hence no environment.
        self.flags.push(Flag {
            key: "graph.url",
            name: "test",
            value: url,
        });
        let mut config = Config::load(Sources {
            preset: Preset::Production,
            flags: self.flags,
            ..Sources::default()
        })
        .unwrap()
        .config;
        config.graph.url = config
            .graph
            .url
            .map(|url| GraphUrl::parse(url.as_str()).unwrap());

        let spans = SpanKeeper::default();
        let tracers = SdkTracerProvider::builder()
            .with_simple_exporter(spans.clone())
            .build();
        let metrics = InMemoryMetricExporter::default();
        let meters = SdkMeterProvider::builder()
            .with_periodic_exporter(metrics.clone())
            .build();
        let logs = Lines::default();
        let subscriber = telemetry::subscriber(
            tracers.tracer("incidentgate"),
            LogOptions::new(self.log_filter, LogFormat::Json),
            logs.clone(),
        );
        let guard = tracing::subscriber::set_default(subscriber);

        let shutdown = Shutdown::default();
        let files = self.tls.unwrap_or_else(|| app::tls_files(&config));
        let app = App::build_with(
            &files,
            &config,
            self.credentials,
            Propagator::default(),
            Metrics::new(&meters.meter("incidentgate")),
        )
        .unwrap();
        let running = tokio::spawn(app.run(listener, shutdown.clone()));
        Gateway {
            addr,
            sandbox,
            shutdown,
            running: Some(running),
            tracers,
            spans,
            meters,
            metrics,
            logs,
            _subscriber: guard,
        }
    }
}

// === impl Gateway ===

impl Gateway {
    /// Callers bring their own token; everything else is the default, but for a
    /// drain without delay.
    pub(crate) fn builder() -> GatewayBuilder {
        GatewayBuilder {
            flags: Vec::new(),
            credentials: Credentials::Passthrough,
            sandbox: Options::default(),
            graph_url: None,
            log_filter: "debug",
            tls: None,
        }
        .with("drain.delay", "0s")
        .with("audit.sink", "off")
    }

    /// One POST for each call, and whatever comes of it is the answer: for tests of what
    /// one attempt says.
    pub(crate) fn single_attempts() -> GatewayBuilder {
        Self::builder()
            .with("retry.max_attempts", "1")
            .with("reconciliation.mode", "off")
            .with("throttle.gate", "false")
    }

    pub(crate) async fn start() -> Self {
        Self::builder().start().await
    }

    pub(crate) async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.addr))
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    /// A client of any connection to a gateway.
    pub(crate) fn client_of(channel: Channel) -> IncidentTaskServiceClient<Channel> {
        IncidentTaskServiceClient::new(channel)
    }

    pub(crate) async fn client(&self) -> IncidentTaskServiceClient<Channel> {
        Self::client_of(self.channel().await)
    }

    pub(crate) async fn health(&self) -> HealthClient<Channel> {
        HealthClient::new(self.channel().await)
    }

    /// One call with a token, on a connection of its own.
    pub(crate) async fn execute(&self, id: &str) -> Result<ExecuteResponseActionResponse, Status> {
        let mut client = self.client().await;
        within(client.execute_response_action(request(id)))
            .await
            .map(tonic::Response::into_inner)
    }

    /// Every span that has ended so far.
    pub(crate) fn spans(&self) -> Vec<SpanData> {
        self.tracers.force_flush().unwrap();
        self.spans.kept.get_finished_spans().unwrap()
    }

    /// Every span, once `count` of them have ended.
    pub(crate) async fn wait_for_spans(&self, count: usize) -> Vec<SpanData> {
        let look = || Some(self.spans()).filter(|spans| spans.len() >= count);
        self.spans.changes.until(look).await
    }

    /// The newest state of every metric.
    pub(crate) fn metrics(&self) -> ResourceMetrics {
        self.meters.force_flush().unwrap();
        self.metrics
            .get_finished_metrics()
            .unwrap()
            .pop()
            .expect("metrics are exported")
    }

    /// The log as JSON lines.
    pub(crate) fn logs(&self) -> Vec<serde_json::Value> {
        self.log_text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The log as it was written.
    pub(crate) fn log_text(&self) -> String {
        String::from_utf8(self.logs.text.lock().unwrap().clone()).unwrap()
    }

    /// Waits for the first log line whose message begins so.
    pub(crate) async fn logged(&self, message: &str) -> serde_json::Value {
        self.logged_times(message, 1).await
    }

    /// Waits for the n-th log line whose message begins so.
    pub(crate) async fn logged_times(&self, message: &str, n: usize) -> serde_json::Value {
        let look = || {
            let says_so = |line: &serde_json::Value| {
                let text = line["message"].as_str();
                text.is_some_and(|text| text.starts_with(message))
            };
            self.logs().into_iter().filter(says_so).nth(n - 1)
        };
        self.logs.changes.until(look).await
    }

    /// Asks for the drain and returns once no connection is taken any more.
    pub(crate) async fn begin_drain(&self) {
        self.shutdown.graceful.cancel();
        within(async {
            while TcpStream::connect(self.addr).await.is_ok() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Whether it has not come to its end yet.
    pub(crate) fn is_running(&self) -> bool {
        self.running
            .as_ref()
            .is_some_and(|running| !running.is_finished())
    }

    /// Drains and waits for the end; a panic or an error of the gateway's is the test's.
    pub(crate) async fn stop(&mut self) {
        self.shutdown.graceful.cancel();
        self.stopped().await;
    }

    /// Waits for the end without asking for it.
    pub(crate) async fn stopped(&mut self) {
        let running = self.running.take().expect("stopped twice");
        within(running).await.unwrap().unwrap();
    }
}

/// A request for `id` with the caller's token.
pub(crate) fn request(id: &str) -> Request<ExecuteResponseActionRequest> {
    let mut request = Request::new(ExecuteResponseActionRequest {
        incident_task_id: id.to_owned(),
        client_request_id: String::new(),
    });
    let token = format!("Bearer {TOKEN}").parse().unwrap();
    request.metadata_mut().insert("authorization", token);
    request
}

async fn free_port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

// === impl Lines ===

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.lock().unwrap().extend_from_slice(bytes);
        self.changes.happened();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
