//! The fixture.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use incidentgate::{
    app::{self, App},
    authorization::{Authorization, TokenOwner},
    config::{BaseUrl, Config, Flag, Preset, Sources},
    credentials::{Application, Credentials},
    pb::{
        ExecuteResponseActionRequest, ExecuteResponseActionResponse,
        health::health_client::HealthClient,
        incident_task_service_client::IncidentTaskServiceClient,
    },
    renewable::{Fetched, Renewable},
    sandbox::{EntraFault, Options, Sandbox, Tokens},
    server::{Drained, Listener, Shutdown},
    telemetry::{self, FetchOf, LogFormat, LogOptions, Metrics, Propagator},
};
use opentelemetry::{metrics::MeterProvider as _, trace::TracerProvider as _};
use opentelemetry_sdk::{
    metrics::{InMemoryMetricExporter, SdkMeterProvider, data::ResourceMetrics},
    trace::{SdkTracerProvider, SpanData},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::Instant,
};
use tonic::{Request, Status, transport::Channel};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use super::{
    observed::{Changes, SpanKeeper},
    tls::Keys,
    within,
};

/// The bearer token that test callers send.
pub(crate) const TOKEN: &str = "caller-token-marked-as-secret";

/// What a test changes in the defaults.
pub(crate) struct GatewayBuilder {
    flags: Vec<Flag>,
    /// In place of those that the configuration asks for.
    credentials: Option<Credentials>,
    /// What asks the sandbox's Entra for tokens: `credentials.mode`.
    mode: Option<&'static str>,
    sandbox: Options,
    entra_faults: Vec<EntraFault>,
    graph_url: Option<String>,
    log_filter: &'static str,
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

    /// The same unless the test has set it.
    fn with_default(self, key: &'static str, value: impl Into<String>) -> Self {
        if self.flags.iter().any(|flag| flag.key == key) {
            return self;
        }
        self.with(key, value)
    }

    /// The gateway has a token of its own.
    pub(crate) fn with_own_token(mut self) -> Self {
        let fetch = |_| async {
            let own = Authorization::bearer("gateway-token-marked-as-secret", TokenOwner::Gateway);
            let day = Duration::from_secs(24 * 3600);
            Ok(Fetched::living(own.unwrap(), Instant::now(), day).unwrap())
        };
        let of = FetchOf::ApplicationToken;
        let token = Renewable::new(of, Duration::ZERO, Metrics::disabled(), fetch);
        self.credentials = Some(Credentials::Application(Application::new(token)));
        self
    }

    /// The gateway gets its tokens from the sandbox's Entra, which are the only ones that
    /// its Graph lets in: `application` or `on_behalf_of`.
    pub(crate) fn with_entra(mut self, mode: &'static str) -> Self {
        self.mode = Some(mode);
        self.sandbox.tokens = Tokens::Issued;
        self
    }

    /// What happens to the first requests to the sandbox's Entra.
    pub(crate) fn with_entra_faults(
        mut self,
        faults: impl IntoIterator<Item = EntraFault>,
    ) -> Self {
        self.entra_faults.extend(faults);
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

    /// Files with certificates, looked at so often that no test waits for long.
    pub(crate) fn with_tls(self, files: Keys) -> Self {
        let builder = self.with("tls.reload_interval", "5ms");
        files
            .into_iter()
            .fold(builder, |builder, (key, file)| builder.with(key, file))
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
        let sandbox = Sandbox::start(free_port().await, self.sandbox.clone())
            .await
            .unwrap();
        sandbox.script_entra(self.entra_faults.drain(..));
        let url = self.graph_url.take().unwrap_or_else(|| sandbox.graph_url());
        let mut secret = None;
        if let Some(mode) = self.mode {
            self = self
                .with("credentials.mode", mode)
                .with("credentials.tenant", sandbox.tenant())
                .with("credentials.client_id", sandbox.client_id())
                .with_default("credentials.authority", sandbox.authority());
            // Unless the test proves it in another way.
            let has_proof = |flag: &Flag| flag.key == "credentials.client_authentication";
            if !self.flags.iter().any(has_proof) {
                secret = Some(sandbox.client_secret());
            }
            if mode == "on_behalf_of" {
                self = self
                    .with_default("callers.jwt_issuer", sandbox.issuer())
                    .with("callers.jwt_audience", sandbox.client_id())
                    .with_default("policy.execute_response_action", "*");
            }
        }
        // A stray variable of the machine's must not change a test, hence no environment.
        self.flags.push(Flag {
            key: "graph.url",
            name: "test",
            value: url,
        });
        let mut config = Config::load(Sources {
            preset: Preset::Production,
            flags: self.flags,
            environment: secret
                .map(|secret| {
                    (
                        "INCIDENTGATE_CREDENTIALS__CLIENT_SECRET".into(),
                        secret.into(),
                    )
                })
                .into_iter()
                .collect(),
            ..Sources::default()
        })
        .unwrap()
        .config;
        config.graph.url = config
            .graph
            .url
            .map(|url| BaseUrl::parse(url.as_str()).unwrap());

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
        let metrics_of = Metrics::new(&meters.meter("incidentgate"));
        let credentials = self
            .credentials
            .unwrap_or_else(|| app::credentials(&config, &metrics_of).unwrap());
        let app = App::build(&config, credentials, Propagator::default(), metrics_of).unwrap();
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
            credentials: None,
            mode: None,
            sandbox: Options::default(),
            entra_faults: Vec::new(),
            graph_url: None,
            log_filter: "debug",
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
    with_token(ExecuteResponseActionRequest {
        incident_task_id: id.to_owned(),
        client_request_id: String::new(),
    })
}

/// Any request with the caller's token.
pub(crate) fn with_token<M>(message: M) -> Request<M> {
    let mut request = Request::new(message);
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
