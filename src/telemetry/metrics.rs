//! One typed method per thing that is measured.
//!
//! No method takes an id, a token or a message: what could become an attribute is a static word, a
//! number from a small set, or the address of an upstream that the configuration fixes.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, UpDownCounter};

use super::instruments::Instruments;
use super::labels::{
    Attributes, AuditResult, ClientRequest, FetchOf, Outcome, Reconciled, Reloaded, ResendCause,
};
use super::names;
use crate::failure::Kind;

/// All instruments of the program. A clone shares them.
#[derive(Debug, Clone)]
pub struct Metrics {
    instruments: Arc<Instruments>,
}

impl Metrics {
    /// Builds the instruments from `meter`; the global meter is never asked.
    pub fn new(meter: &Meter) -> Self {
        Self {
            instruments: Arc::new(Instruments::new(meter)),
        }
    }

    /// Instruments that measure nothing.
    pub fn disabled() -> Self {
        use opentelemetry::metrics::{MeterProvider as _, NoopMeterProvider};
        Self::new(&NoopMeterProvider::new().meter(names::SCOPE))
    }

    /// One gRPC call has ended; `status_code` is its upper-case name.
    ///
    /// `error_type` belongs there only for the server's own errors: see [`names::is_server_error`].
    pub fn server_call(
        &self,
        method: &'static str,
        status_code: &'static str,
        error_type: Option<&'static str>,
        duration: Duration,
    ) {
        let mut attributes = Attributes::default();
        attributes.push(names::RPC_SYSTEM_NAME, names::RPC_SYSTEM_GRPC);
        attributes.push(names::RPC_METHOD, method);
        attributes.push(names::RPC_STATUS_CODE, status_code);
        if let Some(error_type) = error_type {
            attributes.push(names::ERROR_TYPE, error_type);
        }
        self.instruments
            .server_call_duration
            .record(duration.as_secs_f64(), attributes.as_slice());
    }

    /// One HTTP request has ended, with or without an answer.
    ///
    /// Without an explicit `error_type` a status from 400 on becomes it.
    pub fn client_request(&self, request: ClientRequest<'_>, duration: Duration) {
        let mut attributes = Attributes::default();
        attributes.push(names::HTTP_REQUEST_METHOD, request.method);
        attributes.push(names::SERVER_ADDRESS, request.upstream.address());
        attributes.push(names::SERVER_PORT, request.upstream.port());
        if let Some(status) = request.status {
            attributes.push(names::HTTP_RESPONSE_STATUS_CODE, i64::from(status));
        }
        let error_type = request
            .error_type
            .map(Cow::Borrowed)
            .or_else(|| request.status.and_then(names::error_type_of_status));
        if let Some(error_type) = error_type {
            attributes.push(names::ERROR_TYPE, error_type);
        }
        if let Some(version) = request.protocol_version {
            attributes.push(names::NETWORK_PROTOCOL_VERSION, version);
        }
        self.instruments
            .client_request_duration
            .record(duration.as_secs_f64(), attributes.as_slice());
    }

    /// It is known, or known to be unknown, what became of an action call. Once per call:
    /// when it is answered, or, if its caller left, when its attempt ends.
    pub fn action_outcome(&self, outcome: Outcome, status_code: &'static str) {
        self.instruments.action_outcomes.add(
            1,
            &[
                KeyValue::new(names::ACTION_OUTCOME, outcome.as_str()),
                KeyValue::new(names::RPC_STATUS_CODE, status_code),
            ],
        );
    }

    /// A POST is sent again for the same call.
    pub fn resend(&self, cause: ResendCause) {
        let cause = KeyValue::new(names::RESEND_CAUSE, cause.as_str());
        self.instruments.attempt_resends.add(1, &[cause]);
    }

    /// A token or keys were fetched from an identity provider, or `failed` to be.
    pub fn fetch(&self, of: FetchOf, failed: Option<Kind>, duration: Duration) {
        let mut attributes = Attributes::default();
        attributes.push(names::FETCH_OF, of.as_str());
        if let Some(kind) = failed {
            attributes.push(names::ERROR_TYPE, names::error_type_of_fetch(kind));
        }
        self.instruments
            .fetch_duration
            .record(duration.as_secs_f64(), attributes.as_slice());
    }

    /// The task was looked at because the outcome of a POST was not known.
    pub fn reconciliation(&self, result: Reconciled) {
        let result = KeyValue::new(names::RECONCILED, result.as_str());
        self.instruments.reconciliations.add(1, &[result]);
    }

    /// It is known what became of an audit record; `event` is `intent` or `outcome`.
    pub fn audit_record(&self, event: &'static str, result: AuditResult) {
        self.instruments.audit_records.add(
            1,
            &[
                KeyValue::new(names::AUDIT_EVENT, event),
                KeyValue::new(names::AUDIT_RESULT, result.as_str()),
            ],
        );
    }

    /// A batch of audit records was written, or could not be.
    pub fn audit_commit(&self, duration: Duration) {
        self.instruments
            .audit_commit_duration
            .record(duration.as_secs_f64(), &[]);
    }

    /// Certificates or keys have changed on disk; `ok` says whether they are in use now.
    pub fn tls_reload(&self, what: Reloaded, ok: bool) {
        let result = if ok {
            names::RELOAD_OK
        } else {
            names::RELOAD_FAILED
        };
        self.instruments.tls_reloads.add(
            1,
            &[
                KeyValue::new(names::RELOAD_WHAT, what.as_str()),
                KeyValue::new(names::RELOAD_RESULT, result),
            ],
        );
    }

    /// Counts a call as in flight until the guard is dropped.
    #[must_use = "the call counts as in flight only while the guard lives"]
    pub fn call_in_flight(&self, method: &'static str) -> LevelGuard {
        LevelGuard::raise(
            self.instruments.calls_in_flight.clone(),
            Some(KeyValue::new(names::RPC_METHOD, method)),
        )
    }

    /// Counts an attempt as detached until the guard is dropped.
    #[must_use = "the attempt counts as detached only while the guard lives"]
    pub fn call_detached(&self) -> LevelGuard {
        LevelGuard::raise(self.instruments.calls_detached.clone(), None)
    }

    /// A call was refused because Graph has asked its credential to wait.
    pub fn call_throttled(&self) {
        self.instruments.throttle_refused.add(1, &[]);
    }

    /// From now on each export asks how many credentials Graph has asked to wait.
    ///
    /// `count` is kept as long as the exporter lives, and is called on its thread.
    pub fn observe_closed_gates(&self, count: impl Fn() -> usize + Send + Sync + 'static) {
        self.instruments
            .meter
            .i64_observable_up_down_counter(names::THROTTLE_CLOSED)
            .with_unit(names::UNIT_CREDENTIAL)
            .with_description("Credentials that Graph has asked to wait.")
            .with_callback(move |observer| {
                observer.observe(i64::try_from(count()).unwrap_or(i64::MAX), &[]);
            })
            .build();
    }

    /// Counts a call as waiting for its place until the guard is dropped.
    #[must_use = "the call counts as waiting only while the guard lives"]
    pub fn call_waiting(&self) -> LevelGuard {
        LevelGuard::raise(self.instruments.calls_waiting.clone(), None)
    }

    /// A call got no place: the queue was full, or its wait or its deadline ended.
    pub fn call_without_place(&self) {
        self.instruments.calls_without_place.add(1, &[]);
    }
}

/// One unit of an up-down counter; dropping it takes the unit back, on every path out of a call.
#[derive(Debug)]
pub struct LevelGuard {
    counter: UpDownCounter<i64>,
    attribute: Option<KeyValue>,
}

impl LevelGuard {
    fn raise(counter: UpDownCounter<i64>, attribute: Option<KeyValue>) -> Self {
        counter.add(1, attribute.as_slice());
        Self { counter, attribute }
    }
}

impl Drop for LevelGuard {
    fn drop(&mut self) {
        self.counter.add(-1, self.attribute.as_slice());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use opentelemetry::metrics::MeterProvider as _;
    use opentelemetry_sdk::metrics::data::{
        AggregatedMetrics, MetricData, ResourceMetrics, ScopeMetrics,
    };
    use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};

    use super::*;
    use crate::telemetry::labels::Upstream;

    struct Measured {
        exporter: InMemoryMetricExporter,
        provider: SdkMeterProvider,
        metrics: Metrics,
    }

    fn measured() -> Measured {
        let exporter = InMemoryMetricExporter::default();
        let provider = SdkMeterProvider::builder()
            .with_reader(PeriodicReader::builder(exporter.clone()).build())
            .build();
        let metrics = Metrics::new(&provider.meter(names::SCOPE));
        Measured {
            exporter,
            provider,
            metrics,
        }
    }

    /// Every data point of the last export as `name unit {key=value,…} value`, sorted.
    fn points(measured: &Measured) -> Vec<String> {
        measured.exporter.reset();
        measured.provider.force_flush().unwrap();
        let exports = measured.exporter.get_finished_metrics().unwrap();
        let mut lines: Vec<String> = exports.iter().flat_map(lines_of).collect();
        lines.sort();
        lines
    }

    fn lines_of(export: &ResourceMetrics) -> Vec<String> {
        let mut lines = Vec::new();
        for metric in export.scope_metrics().flat_map(ScopeMetrics::metrics) {
            let mut line = |attributes: Vec<&KeyValue>, value: String| {
                let pairs = attributes.iter();
                let pairs = pairs.map(|pair| format!("{}={}", pair.key, pair.value));
                let mut pairs: Vec<_> = pairs.collect();
                pairs.sort();
                let (name, unit) = (metric.name(), metric.unit());
                lines.push(format!("{name} {unit} {{{}}} {value}", pairs.join(",")));
            };
            if let AggregatedMetrics::F64(MetricData::Histogram(histogram)) = metric.data() {
                for point in histogram.data_points() {
                    let bounds: Vec<_> = point.bounds().collect();
                    assert_eq!(bounds, names::DURATION_BOUNDARIES, "{}", metric.name());
                    let value = format!("count={} sum={}", point.count(), point.sum());
                    line(point.attributes().collect(), value);
                }
            } else if let AggregatedMetrics::U64(MetricData::Sum(sum)) = metric.data() {
                for point in sum.data_points() {
                    line(point.attributes().collect(), point.value().to_string());
                }
            } else if let AggregatedMetrics::I64(MetricData::Sum(sum)) = metric.data() {
                for point in sum.data_points() {
                    line(point.attributes().collect(), point.value().to_string());
                }
            } else {
                panic!("unexpected aggregation of {}", metric.name());
            }
        }
        lines
    }

    #[test]
    fn a_server_call_carries_the_stable_names() {
        let measured = measured();
        let call = |status, error| {
            measured
                .metrics
                .server_call("a.B/C", status, error, Duration::from_millis(250));
        };
        call("OK", None);
        call("OK", None);
        call("UNKNOWN", Some("UNKNOWN"));
        assert_eq!(
            points(&measured),
            [
                "rpc.server.call.duration s {error.type=UNKNOWN,rpc.method=a.B/C,rpc.status_code=UNKNOWN,rpc.system.name=grpc} count=1 sum=0.25",
                "rpc.server.call.duration s {rpc.method=a.B/C,rpc.status_code=OK,rpc.system.name=grpc} count=2 sum=0.5",
            ]
        );
    }

    #[test]
    fn a_client_request_derives_its_error_type_from_the_status() {
        let measured = measured();
        let upstream = Upstream::new("graph.microsoft.com", 443);
        let request = |status, error_type, protocol_version| {
            let request = ClientRequest {
                upstream: &upstream,
                method: "POST",
                status,
                error_type,
                protocol_version,
            };
            measured
                .metrics
                .client_request(request, Duration::from_secs(1));
        };
        request(Some(204), None, Some("2"));
        request(Some(429), None, Some("2"));
        request(None, Some(names::ERROR_CONNECT), None);
        let common = "http.request.method=POST";
        let server = "server.address=graph.microsoft.com,server.port=443";
        assert_eq!(
            points(&measured),
            [
                format!(
                    "http.client.request.duration s {{error.type=429,{common},http.response.status_code=429,network.protocol.version=2,{server}}} count=1 sum=1"
                ),
                format!(
                    "http.client.request.duration s {{error.type=connect,{common},{server}}} count=1 sum=1"
                ),
                format!(
                    "http.client.request.duration s {{{common},http.response.status_code=204,network.protocol.version=2,{server}}} count=1 sum=1"
                ),
            ]
        );
    }

    #[test]
    fn guards_take_back_what_they_added() {
        let measured = measured();
        let metrics = measured.metrics.clone();
        let first = metrics.call_in_flight("a.B/C");
        let _second = metrics.call_in_flight("a.B/C");
        let detached = metrics.call_detached();
        let waiting = metrics.call_waiting();
        assert_eq!(
            points(&measured),
            [
                "incidentgate.calls.detached {call} {} 1",
                "incidentgate.calls.in_flight {call} {rpc.method=a.B/C} 2",
                "incidentgate.calls.waiting {call} {} 1",
            ]
        );
        drop((first, detached, waiting));
        assert_eq!(
            points(&measured),
            [
                "incidentgate.calls.detached {call} {} 0",
                "incidentgate.calls.in_flight {call} {rpc.method=a.B/C} 1",
                "incidentgate.calls.waiting {call} {} 0",
            ]
        );
    }

    #[test]
    fn counters_carry_closed_words_only() {
        let measured = measured();
        measured
            .metrics
            .action_outcome(Outcome::AlreadyStarted, "ALREADY_EXISTS");
        measured.metrics.call_without_place();
        assert_eq!(
            points(&measured),
            [
                "incidentgate.action.outcomes {call} {incidentgate.action.outcome=ALREADY_STARTED,rpc.status_code=ALREADY_EXISTS} 1",
                "incidentgate.calls.without_place {call} {} 1",
            ]
        );
    }

    #[test]
    fn the_gates_are_counted_at_each_export() {
        let measured = measured();
        let closed = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&closed);
        let count = move || counted.load(Ordering::Relaxed);
        measured.metrics.observe_closed_gates(count);
        for now in [0, 2, 1] {
            closed.store(now, Ordering::Relaxed);
            assert_eq!(
                points(&measured),
                [format!(
                    "incidentgate.throttle.closed {{credential}} {{}} {now}"
                )]
            );
        }
        measured.metrics.call_throttled();
        let refused = "incidentgate.throttle.refused {call} {} 1".to_owned();
        assert!(points(&measured).contains(&refused));
    }

    #[test]
    fn audit_records_are_told_apart_by_event_and_result() {
        let measured = measured();
        let metrics = &measured.metrics;
        metrics.audit_record("intent", AuditResult::Failed);
        metrics.audit_record("outcome", AuditResult::Written);
        metrics.audit_commit(Duration::from_millis(500));
        let record = |event, result| {
            format!(
                "incidentgate.audit.records {{record}} {{incidentgate.audit.event={event},incidentgate.audit.result={result}}} 1"
            )
        };
        assert_eq!(
            points(&measured),
            [
                "incidentgate.audit.commit.duration s {} count=1 sum=0.5".to_owned(),
                record("intent", "failed"),
                record("outcome", "written"),
            ]
        );
    }

    #[test]
    fn reloads_are_told_apart_by_side_and_result() {
        let measured = measured();
        measured.metrics.tls_reload(Reloaded::Server, true);
        measured.metrics.tls_reload(Reloaded::Graph, false);
        let reload = |what, result| {
            format!(
                "incidentgate.tls.reloads {{reload}} {{incidentgate.reload.result={result},incidentgate.reload.what={what}}} 1"
            )
        };
        assert_eq!(
            points(&measured),
            [reload("graph", "failed"), reload("server", "ok")]
        );
    }

    #[test]
    fn disabled_instruments_accept_everything() {
        let metrics = Metrics::disabled();
        metrics.server_call("a.B/C", "OK", None, Duration::ZERO);
        drop(metrics.call_in_flight("a.B/C"));
    }
}
