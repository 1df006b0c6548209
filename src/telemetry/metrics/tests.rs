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
    metrics.audit_records("intent", AuditResult::Failed, 1);
    metrics.audit_records("outcome", AuditResult::Written, 2);
    metrics.audit_commit(Duration::from_millis(500));
    let record = |event, result, count| {
        format!(
            "incidentgate.audit.records {{record}} {{incidentgate.audit.event={event},incidentgate.audit.result={result}}} {count}"
        )
    };
    assert_eq!(
        points(&measured),
        [
            "incidentgate.audit.commit.duration s {} count=1 sum=0.5".to_owned(),
            record("intent", "failed", 1),
            record("outcome", "written", 2),
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
