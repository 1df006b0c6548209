//! The way of spans and metrics to an OTLP collector, kept apart from the calls that they describe.
//!
//! Both signals are queued in memory and sent by threads of the SDK; a full queue drops,
//! and never waits. The clients need a tokio runtime besides: they get one of their own, so
//! that a collector which hangs occupies no worker of the server, and so that flushing
//! cannot deadlock with a server that runs on one thread.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{InstrumentationScope, Key, KeyValue};
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{
    ExporterBuildError, MetricExporter, Protocol as OtlpProtocol, SpanExporter, WithExportConfig,
    WithHttpConfig, WithTonicConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::time::Instant;

use super::http_collector::HttpCollector;
use super::metrics::Metrics;
use super::names;
use super::settings::{Exporter, Protocol, Settings};
use crate::outbound::{BuildError, Way};

/// The providers that export, as far as there are any.
#[derive(Debug, Default)]
pub(super) struct Pipeline {
    tracers: Option<SdkTracerProvider>,
    meters: Option<SdkMeterProvider>,
    // Last, since the exporters above use it until they are dropped.
    runtime: ExportRuntime,
}

impl Pipeline {
    /// Builds what `settings` ask for. What cannot be built is a warning, and is not exported.
    pub(super) fn build(settings: &Settings, warnings: &mut Vec<String>) -> Self {
        if settings.traces.is_none() && settings.metrics.is_none() {
            return Self::default();
        }
        let runtime = match ExportRuntime::start() {
            Ok(runtime) => runtime,
            Err(error) => {
                warnings.push(format!("nothing is exported: {error}"));
                return Self::default();
            }
        };
        let entered = runtime.enter();
        let resource = resource(settings);
        let mut failed = |signal, why: &NotExported| {
            warnings.push(format!("{signal} are not exported: {why}"));
        };
        let tracers = settings.traces.as_ref().and_then(|exporter| {
            let provider = span_provider(exporter, resource.clone());
            provider.inspect_err(|why| failed("traces", why)).ok()
        });
        let meters = settings.metrics.as_ref().and_then(|exporter| {
            let provider = metric_provider(exporter, resource.clone());
            provider.inspect_err(|why| failed("metrics", why)).ok()
        });
        drop(entered);
        Self {
            tracers,
            meters,
            runtime,
        }
    }

    /// The tracer of the spans, when spans are exported.
    pub(super) fn tracer(&self) -> Option<SdkTracer> {
        let provider = self.tracers.as_ref()?;
        Some(provider.tracer_with_scope(scope()))
    }

    /// The instruments; they measure nothing when metrics are not exported.
    pub(super) fn metrics(&self) -> Metrics {
        match &self.meters {
            Some(provider) => Metrics::new(&provider.meter_with_scope(scope())),
            None => Metrics::disabled(),
        }
    }

    /// Sends what is queued and stops, within `limit`; whether all of it was delivered.
    pub(super) fn shutdown(self, limit: Duration) -> bool {
        let started = Instant::now();
        // Each signal has a thread of its own, so that one's collector does not use up the other's
        // time. A thread that hangs is left behind: the process is about to end.
        let traces = self.tracers.map(|provider| {
            in_background("traces", move || {
                // Shutting down sends what is queued too, but does not say whether that succeeded.
                let flushed = provider.force_flush();
                provider.shutdown_with_timeout(limit).and(flushed)
            })
        });
        let metrics = self.meters.map(|provider| {
            in_background("metrics", move || provider.shutdown_with_timeout(limit))
        });
        let mut delivered = true;
        for ended in [traces, metrics].into_iter().flatten() {
            let remaining = limit.saturating_sub(started.elapsed());
            delivered &= ended.recv_timeout(remaining).unwrap_or(false);
        }
        drop(self.runtime);
        delivered
    }
}

/// Runs `work` on a thread. The receiver learns how it ended; it is disconnected if no
/// thread started.
fn in_background(
    signal: &str,
    work: impl FnOnce() -> OTelSdkResult + Send + 'static,
) -> mpsc::Receiver<bool> {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::Builder::new().name(format!("flush {signal}"));
    let spawned = thread.spawn(move || {
        // Nobody listens any more once the limit has passed.
        sender.send(work().is_ok()).ok();
    });
    drop(spawned);
    receiver
}

/// The runtime that the exporters' clients live on.
#[derive(Debug, Default)]
struct ExportRuntime(Option<tokio::runtime::Runtime>);

impl ExportRuntime {
    fn start() -> std::io::Result<Self> {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("otlp")
            .enable_all()
            .build()
            .map(|runtime| Self(Some(runtime)))
    }

    fn enter(&self) -> Option<tokio::runtime::EnterGuard<'_>> {
        self.0.as_ref().map(tokio::runtime::Runtime::enter)
    }
}

impl Drop for ExportRuntime {
    fn drop(&mut self) {
        // A plain drop waits for the tasks, and panics inside of another runtime.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Why one signal is not exported.
#[derive(Debug, thiserror::Error)]
enum NotExported {
    // Its text may hold the endpoint, and that a password; its kind is enough.
    #[error("{} of the OTLP exporter", kind(.0))]
    Exporter(#[from] ExporterBuildError),
    #[error(transparent)]
    Client(#[from] BuildError),
}

fn kind(error: &ExporterBuildError) -> &'static str {
    match error {
        ExporterBuildError::InvalidConfiguration(_) => "invalid configuration",
        ExporterBuildError::InternalFailure(_) => "internal failure",
    }
}

/// The attributes of the process. The SDK reads the environment; only what it left out is added.
fn resource(settings: &Settings) -> Resource {
    let detected = Resource::builder().build();
    let is_unnamed = detected
        .get_ref(&Key::from_static_str(names::SERVICE_NAME))
        .is_none_or(|name| name.as_str().starts_with("unknown_service"));
    let mut added = Vec::new();
    if let Some(name) = &settings.service_name {
        added.push(KeyValue::new(names::SERVICE_NAME, name.clone()));
    } else if is_unnamed {
        added.push(KeyValue::new(
            names::SERVICE_NAME,
            names::DEFAULT_SERVICE_NAME,
        ));
    }
    let mut default = |key: &'static str, value: String| {
        if detected.get_ref(&Key::from_static_str(key)).is_none() {
            added.push(KeyValue::new(key, value));
        }
    };
    default(names::SERVICE_VERSION, env!("CARGO_PKG_VERSION").to_owned());
    default(names::SERVICE_INSTANCE_ID, uuid::Uuid::new_v4().to_string());
    Resource::builder().with_attributes(added).build()
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(names::SCOPE)
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(names::SCHEMA_URL)
        .build()
}

fn span_provider(
    exporter: &Exporter,
    resource: Resource,
) -> Result<SdkTracerProvider, NotExported> {
    let exporter = span_exporter(exporter)?;
    Ok(SdkTracerProvider::builder()
        .with_resource(resource)
        .with_batch_exporter(exporter)
        .build())
}

fn metric_provider(
    exporter: &Exporter,
    resource: Resource,
) -> Result<SdkMeterProvider, NotExported> {
    let reader = PeriodicReader::builder(metric_exporter(exporter)?).build();
    Ok(SdkMeterProvider::builder()
        .with_resource(resource)
        .with_reader(reader)
        .build())
}

fn span_exporter(exporter: &Exporter) -> Result<SpanExporter, NotExported> {
    let builder = SpanExporter::builder();
    Ok(match exporter.protocol {
        Protocol::HttpProtobuf => by_http(builder.with_http(), exporter)?.build()?,
        Protocol::Grpc => by_grpc(builder.with_tonic(), exporter).build()?,
    })
}

fn metric_exporter(exporter: &Exporter) -> Result<MetricExporter, NotExported> {
    let builder = MetricExporter::builder();
    Ok(match exporter.protocol {
        Protocol::HttpProtobuf => by_http(builder.with_http(), exporter)?.build()?,
        Protocol::Grpc => by_grpc(builder.with_tonic(), exporter).build()?,
    })
}

// The builders are left alone but for this: what code sets wins over the environment.

fn by_http<B: WithExportConfig + WithHttpConfig>(
    builder: B,
    exporter: &Exporter,
) -> Result<B, BuildError> {
    Ok(builder
        .with_protocol(OtlpProtocol::HttpBinary)
        .with_endpoint(&exporter.endpoint)
        .with_timeout(exporter.timeout)
        .with_http_client(HttpCollector::of(exporter)?))
}

fn by_grpc<B: WithExportConfig + WithTonicConfig>(builder: B, exporter: &Exporter) -> B {
    let builder = builder
        .with_endpoint(&exporter.endpoint)
        .with_timeout(exporter.timeout);
    match tls(exporter) {
        Some(tls) => builder.with_tls_config(tls),
        None => builder,
    }
}

/// The exporter's own TLS settings trust no root at all.
fn tls(exporter: &Exporter) -> Option<ClientTlsConfig> {
    (exporter.way() == Way::Secure).then(|| ClientTlsConfig::new().with_enabled_roots())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(resource: &Resource, key: &'static str) -> Option<String> {
        let value = resource.get_ref(&Key::from_static_str(key));
        value.map(ToString::to_string)
    }

    #[test]
    fn the_process_is_named_and_told_apart() {
        let (first, second) = (
            resource(&Settings::default()),
            resource(&Settings::default()),
        );
        assert_eq!(
            value(&first, names::SERVICE_NAME).as_deref(),
            Some("incidentgate")
        );
        assert_eq!(
            value(&first, names::SERVICE_VERSION).as_deref(),
            Some(env!("CARGO_PKG_VERSION"))
        );
        let id = |resource| value(resource, names::SERVICE_INSTANCE_ID).unwrap();
        assert_ne!(id(&first), id(&second));
        assert_eq!(
            value(&first, "telemetry.sdk.language").as_deref(),
            Some("rust")
        );
    }

    #[test]
    fn a_given_service_name_holds() {
        let settings = Settings {
            service_name: Some("gate-eu".to_owned()),
            ..Settings::default()
        };
        let named = resource(&settings);
        assert_eq!(
            value(&named, names::SERVICE_NAME).as_deref(),
            Some("gate-eu")
        );
    }

    #[test]
    fn without_an_endpoint_there_is_nothing_to_flush() {
        let mut warnings = Vec::new();
        let pipeline = Pipeline::build(&Settings::default(), &mut warnings);
        assert!(pipeline.tracer().is_none());
        assert!(pipeline.shutdown(Duration::ZERO));
        assert!(warnings.is_empty());
    }
}
