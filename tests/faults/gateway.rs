//! A gateway before a simulated Graph, and its callers.

use std::{future::Future, net::SocketAddr, time::Duration};

use http::{Request as HttpRequest, Response as HttpResponse};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use incidentgate::{
    app::{self, App},
    config::{Config, Flag, Preset, Sources},
    pb::{
        ExecuteResponseActionRequest, ExecuteResponseActionResponse,
        incident_task_service_client::IncidentTaskServiceClient,
    },
    sandbox::{Options, Sandbox, Tokens},
    server::{Drained, Shutdown},
    telemetry::{Metrics, Propagator},
};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Mutex, MutexGuard},
    task::JoinHandle,
    time::timeout,
};
use tonic::{Request, Status, body::Body};
use tower::{service_fn, util::BoxCloneSyncService};

use crate::{
    claims::{PATIENCE, claims},
    hit::Http,
};

/// A gRPC client that has no clock of its own: tonic's channel ends a call at its deadline,
/// and with it the chance to hear what the gateway says just before.
pub(crate) type Client = IncidentTaskServiceClient<
    BoxCloneSyncService<HttpRequest<Body>, HttpResponse<Incoming>, hyper::Error>,
>;

/// A running gateway, and the Graph that it may speak to.
pub(crate) struct Gateway {
    /// One connection for many callers.
    pub(crate) client: Client,
    pub(crate) sandbox: Sandbox,
    shutdown: Shutdown,
    running: JoinHandle<anyhow::Result<Drained>>,
}

/// One caller's call, known by its number in its run.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) id: String,
    pub(crate) trace: String,
}

// === impl Gateway ===

impl Gateway {
    pub(crate) async fn start(http: Http, settings: &[(&'static str, &str)]) -> Self {
        let sandbox = Sandbox::start(listener().await, Options::default())
            .await
            .unwrap();
        let url = sandbox.graph_url();
        Self::start_before(sandbox, &url, http, settings).await
    }

    /// It has a token of its own, and only tokens of the sandbox's Entra are let in.
    pub(crate) async fn start_as_application(
        http: Http,
        settings: &[(&'static str, &str)],
    ) -> Self {
        let options = Options {
            tokens: Tokens::Issued,
            ..Options::default()
        };
        let sandbox = Sandbox::start(listener().await, options).await.unwrap();
        let (url, authority) = (sandbox.graph_url(), sandbox.authority());
        let own = [
            ("credentials.mode", "application"),
            ("credentials.authority", &authority),
            ("credentials.tenant", sandbox.tenant()),
            ("credentials.client_id", sandbox.client_id()),
        ];
        let settings = [&own[..], settings].concat();
        Self::start_before(sandbox, &url, http, &settings).await
    }

    /// Its Graph is at `url`, whatever the sandbox is for.
    pub(crate) async fn start_before(
        sandbox: Sandbox,
        url: &str,
        http: Http,
        settings: &[(&'static str, &str)],
    ) -> Self {
        // Before the first event, or its callsite is lost to the log.
        claims();
        let http2 = (http == Http::Two).to_string();
        let fixed = [
            ("graph.url", url),
            ("graph.http2_prior_knowledge", http2.as_str()),
            ("drain.delay", "0s"),
            ("audit.sink", "off"),
        ];
        let own_token = settings.iter().any(|(key, _)| *key == "credentials.mode");
        let flags = fixed.iter().chain(settings).map(|&(key, value)| Flag {
            key,
            name: "test",
            value: value.to_owned(),
        });
        let config = Config::load(Sources {
            preset: Preset::Production,
            flags: flags.collect(),
            environment: own_token
                .then(|| {
                    let name = "INCIDENTGATE_CREDENTIALS__CLIENT_SECRET".into();
                    (name, sandbox.client_secret().into())
                })
                .into_iter()
                .collect(),
            ..Sources::default()
        })
        .unwrap()
        .config;
        let meters = SdkMeterProvider::builder().build();
        let metrics = Metrics::new(&meters.meter("incidentgate"));
        let credentials = app::credentials(&config, &metrics).unwrap();
        let app = App::build(&config, credentials, Propagator::default(), metrics).unwrap();
        let (listener, shutdown) = (listener().await, Shutdown::default());
        let addr = listener.local_addr().unwrap();
        let running = tokio::spawn(app.run(listener, shutdown.clone()));
        Self {
            client: client(addr).await,
            sandbox,
            shutdown,
            running,
        }
    }

    /// Drains it, and returns once the sandbox too is done with everything: what is not
    /// started by now never will be.
    pub(crate) async fn stop(self) -> Sandbox {
        self.shutdown.graceful.cancel();
        in_time(self.running).await.unwrap().unwrap();
        self.sandbox.release("*");
        let posts = self.sandbox.posts("*");
        in_time(self.sandbox.wait_for_finished("*", posts)).await;
        self.sandbox
    }
}

// === impl Caller ===

impl Caller {
    /// `run` and `n` together are unique in this process.
    pub(crate) fn new(run: u64, n: u64) -> Self {
        Self {
            id: format!("task-{n}"),
            trace: format!("{:016x}{n:016x}", run + 1),
        }
    }

    pub(crate) async fn call(
        &self,
        mut client: Client,
        deadline: Duration,
    ) -> Result<ExecuteResponseActionResponse, Status> {
        let mut request = Request::new(ExecuteResponseActionRequest {
            incident_task_id: self.id.clone(),
            client_request_id: String::new(),
        });
        request.set_timeout(deadline);
        // A token of its own, so that nobody is held back for somebody else.
        for (name, value) in [
            ("authorization", format!("Bearer {}", self.trace)),
            (
                "traceparent",
                format!("00-{}-00000000000000aa-01", self.trace),
            ),
        ] {
            request.metadata_mut().insert(name, value.parse().unwrap());
        }
        let response = client.execute_response_action(request).await;
        response.map(tonic::Response::into_inner)
    }
}

async fn client(addr: SocketAddr) -> Client {
    let socket = TokioIo::new(TcpStream::connect(addr).await.unwrap());
    let (requests, connection) = http2::handshake(TokioExecutor::new(), socket)
        .await
        .unwrap();
    // How it ends is told by the calls.
    tokio::spawn(connection);
    let send = service_fn(move |request| requests.clone().send_request(request));
    let origin = format!("http://{addr}").parse().unwrap();
    Client::with_origin(BoxCloneSyncService::new(send), origin)
}

pub(crate) async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// The tests of this program go one by one: what they say of time is true on a machine
/// that does nothing else.
pub(crate) async fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}

/// Waits for what must happen.
#[track_caller]
pub(crate) fn in_time<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        let output = timeout(PATIENCE, future).await;
        output.unwrap_or_else(|_| panic!("{caller}: did not happen within {PATIENCE:?}"))
    }
}
