//! Everything put together: configuration in, a running server out.

mod callers;
mod credentials;
mod files;
mod unusable;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use tonic::{codec::CompressionEncoding, service::Routes};

use self::files::Watched;
use crate::{
    audit::{Audit, AuditOptions, Fsync, Medium, OnFailure},
    call::{Auditing, Calls, Resilience, Watching},
    callers::Callers,
    config::{AuditFsync, AuditSink, Config, OnAuditFailure, ReconciliationMode},
    credentials::Credentials,
    graph::{GraphClient, GraphOptions},
    pb::{
        self, health::health_server::HealthServer,
        incident_task_service_server::IncidentTaskServiceServer,
    },
    reload::{ReadError, Source},
    retry::{Budget, Policy, Reconciliation},
    rpc::{IncidentTasks, MAX_REQUEST_BYTES, PlaceLimits, status},
    server::{
        self, DrainTimes, Drained, Front, Lifecycle, Limits, Listener, Services, Shutdown,
        health::Health,
    },
    telemetry::{Metrics, Propagator},
    throttle::Gates,
};

pub use self::{credentials::credentials, unusable::check_files};

/// The last audit records have this long to become durable; a stalled reader of standard
/// output cannot hold the exit up for longer.
const AUDIT_FLUSH: Duration = Duration::from_secs(2);

/// A gateway that is ready to serve: whatever can be wrong with its configuration
/// has been found, and no port is open yet.
#[derive(Debug)]
pub struct App {
    front: Front,
    health: Health,
    lifecycle: Lifecycle,
    times: DrainTimes,
    audit: Audit,
    credentials: Credentials,
    callers: Callers,
    watched: Watched,
}

impl App {
    /// Builds everything that a call needs; what cannot be built is the error.
    pub fn build(
        config: &Config,
        credentials: Credentials,
        propagator: Propagator,
        metrics: Metrics,
    ) -> anyhow::Result<Self> {
        let lifecycle = Lifecycle::default();
        let audit = Audit::open(audit_options(config, metrics.clone())?)?;
        let gates = Gates::new(config.throttle.gate, metrics.clone());
        let health = Health::new(gates.closed_until(), lifecycle.closing().clone());
        let options = graph_options(config)?;
        let graph = GraphClient::new(&options, propagator.clone(), metrics.clone())?;
        let watched = Watched::new(&config.tls, &graph, &options.tls, metrics.clone())?;
        let calls = Calls::new(
            graph,
            resilience(config, gates),
            Auditing {
                log: audit.clone(),
                describe: status::describe,
            },
            lifecycle.calls().clone(),
            lifecycle.ending().clone(),
            metrics.clone(),
        );
        let services = services(
            IncidentTasks::new(calls, credentials.clone()),
            health.clone(),
            config.server.reflection,
        )?;
        let callers = callers::callers(config, metrics.clone())?;
        Ok(Self {
            front: Front::new(
                services,
                limits(config),
                callers.clone(),
                lifecycle.clone(),
                propagator,
                metrics,
            ),
            health,
            lifecycle,
            times: DrainTimes {
                delay: config.drain.delay,
                timeout: config.drain.timeout,
            },
            audit,
            credentials,
            callers,
            watched,
        })
    }

    /// Puts further services behind everything that stands before the gateway's own; they
    /// are traced as `_OTHER`, and ask for no permission.
    #[must_use]
    pub fn with_services(mut self, add: impl FnOnce(Routes) -> Routes) -> Self {
        self.front = self.front.with_services(add);
        self
    }

    /// Whether the listener speaks TLS, and nothing else.
    pub fn speaks_tls(&self) -> bool {
        self.watched.tls().is_some()
    }

    /// Serves on `listener` until `shutdown`, then drains.
    pub async fn run(
        self,
        listener: impl Into<Listener> + Send,
        shutdown: Shutdown,
    ) -> anyhow::Result<Drained> {
        let Self {
            front,
            health,
            lifecycle,
            times,
            audit,
            credentials,
            callers,
            watched,
        } = self;
        tokio::spawn(async move { tokio::join!(credentials.warm_up(), callers.warm_up()) });
        let serving = tokio::spawn(server::serve(
            listener.into(),
            watched.tls(),
            Arc::new(front),
            lifecycle.clone(),
        ));
        let _watching = watched.keep();
        health.start_serving();
        let drained = lifecycle.drain(&health, times, shutdown).await;
        if !audit.flush(AUDIT_FLUSH).await {
            tracing::error!("the last audit records may be lost: the log cannot be written");
        }
        serving.await.context("the accept loop ended by a panic")?;
        Ok(drained)
    }
}

fn services(tasks: IncidentTasks, health: Health, reflection: bool) -> anyhow::Result<Services> {
    let tasks = IncidentTaskServiceServer::new(tasks)
        .max_decoding_message_size(MAX_REQUEST_BYTES)
        .accept_compressed(CompressionEncoding::Gzip);
    let health = HealthServer::new(health);
    let services = Services::new(tasks).with(|routes| routes.add_service(health));
    if !reflection {
        return Ok(services);
    }
    // Tools differ in the version that they ask for (gRFC A15). The types of the
    // details are described too, or grpcurl shows an error's details as bytes.
    let descriptors = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let (v1, v1alpha) = (descriptors().build_v1()?, descriptors().build_v1alpha()?);
    Ok(services.with(|routes| routes.add_service(v1).add_service(v1alpha)))
}

/// The PEM text of a bundle that a key names.
fn bundle(key: &'static str, path: Option<&Path>) -> Result<Option<Vec<u8>>, ReadError> {
    let source = path.map(|path| Source {
        key,
        path: path.to_owned(),
    });
    let file = source.map(|source| source.read()).transpose()?;
    Ok(file.map(|file| file.bytes.to_vec()))
}

/// How the configuration wants Graph to be reached.
pub fn graph_options(config: &Config) -> anyhow::Result<GraphOptions> {
    let graph = &config.graph;
    let url = graph.url.as_ref().context("graph.url is not set")?;
    Ok(GraphOptions {
        url: url.as_str().to_owned(),
        connect_timeout: graph.connect_timeout,
        attempt_timeout: graph.attempt_timeout,
        pool_idle_timeout: graph.pool_idle_timeout,
        tls: files::read_graph(graph)?,
        http2_prior_knowledge: graph.http2_prior_knowledge,
        max_concurrent_streams: graph.max_concurrent_streams,
    })
}

fn resilience(config: &Config, gates: Gates) -> Resilience {
    let retry = &config.retry;
    Resilience {
        policy: Policy {
            max_attempts: retry.max_attempts,
            initial_backoff: retry.initial_backoff,
            max_backoff: retry.max_backoff,
            reconciliation: match config.reconciliation.mode {
                ReconciliationMode::Off => Reconciliation::Off,
                ReconciliationMode::Observe => Reconciliation::Observe,
                ReconciliationMode::Resend => Reconciliation::Resend,
            },
        },
        budget: Budget::new(retry.max_tokens),
        inquiry_budget: Budget::new(retry.max_tokens),
        gates,
        look_timeout: config.reconciliation.timeout,
        watching: Watching {
            min_interval: config.watch.min_interval,
            max_interval: config.watch.max_interval,
            polls_per_minute: config.watch.max_polls_per_minute,
            max_silence: config.watch.max_silence,
        },
    }
}

fn audit_options(config: &Config, metrics: Metrics) -> anyhow::Result<AuditOptions> {
    let audit = &config.audit;
    let medium = match audit.sink {
        AuditSink::Off => Medium::Off,
        AuditSink::Stdout => Medium::Stdout,
        AuditSink::File => Medium::File(audit.file.clone().context("audit.file is not set")?),
    };
    Ok(AuditOptions {
        medium,
        fsync: match audit.fsync {
            AuditFsync::Always => Fsync::Always,
            AuditFsync::Interval => Fsync::Interval(audit.fsync_interval),
        },
        on_failure: match audit.on_failure {
            OnAuditFailure::Refuse => OnFailure::Refuse,
            OnAuditFailure::Proceed => OnFailure::Proceed,
        },
        metrics,
    })
}

fn limits(config: &Config) -> Limits {
    let server = &config.server;
    Limits {
        max_connections: server.max_connections,
        max_concurrent_streams: server.max_concurrent_streams,
        max_header_list_size: server.max_header_list_size,
        places: PlaceLimits {
            max_open: server.max_open,
            max_in_flight: server.max_in_flight,
            max_waiting: server.max_waiting,
            max_wait: server.max_wait,
        },
        max_watchers: config.watch.max_watchers,
        handshake_timeout: server.handshake_timeout,
        idle_timeout: server.idle_timeout,
        max_connection_age: server.max_connection_age,
        max_connection_age_grace: server.max_connection_age_grace,
        keepalive_interval: server.keepalive_interval,
        keepalive_timeout: server.keepalive_timeout,
        default_deadline: config.deadline.default,
        max_deadline: config.deadline.max,
    }
}
