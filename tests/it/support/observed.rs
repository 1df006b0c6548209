//! What spans and metrics look like from outside, as text that a test can compare.

use std::{collections::BTreeSet, sync::Arc};

use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics, ScopeMetrics},
    trace::{InMemorySpanExporter, SpanData, SpanExporter},
};
use tokio::sync::watch;

use super::within;

/// Wakes whoever waits for a span or a log line.
#[derive(Debug, Clone, Default)]
pub(super) struct Changes(Arc<watch::Sender<()>>);

/// Keeps spans, and tells that there is a new one.
#[derive(Debug, Clone, Default)]
pub(super) struct SpanKeeper {
    pub(super) kept: InMemorySpanExporter,
    pub(super) changes: Changes,
}

// === impl Changes ===

impl Changes {
    pub(super) fn happened(&self) {
        self.0.send_replace(());
    }

    /// Looks now and after every change, until something is found.
    #[track_caller]
    pub(super) fn until<T>(&self, mut look: impl FnMut() -> Option<T>) -> impl Future<Output = T> {
        let mut changed = self.0.subscribe();
        within(async move {
            loop {
                if let Some(found) = look() {
                    return found;
                }
                changed.changed().await.unwrap();
            }
        })
    }
}

// === impl SpanKeeper ===

impl SpanExporter for SpanKeeper {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.kept.export(batch).await?;
        self.changes.happened();
        Ok(())
    }
}

/// `key=type:value` of every attribute; a key that stands there twice is the test's failure.
#[track_caller]
pub(crate) fn attributes(list: &[KeyValue]) -> BTreeSet<String> {
    let keys: BTreeSet<_> = list.iter().map(|pair| pair.key.as_str()).collect();
    assert_eq!(keys.len(), list.len(), "a key twice: {list:?}");
    list.iter()
        .map(|pair| {
            let kind = match pair.value {
                Value::Bool(_) => "bool",
                Value::I64(_) => "int",
                Value::F64(_) => "float",
                Value::String(_) => "text",
                Value::Array(_) | _ => "other",
            };
            format!("{}={kind}:{}", pair.key, pair.value)
        })
        .collect()
}

/// Every data point as `name unit {key=value,…} value`, sorted; of a histogram the count.
pub(crate) fn points(metrics: &ResourceMetrics) -> Vec<String> {
    let mut lines = Vec::new();
    for metric in metrics.scope_metrics().flat_map(ScopeMetrics::metrics) {
        let mut line = |list: &mut dyn Iterator<Item = &KeyValue>, value: String| {
            let mut pairs: Vec<_> = list
                .map(|pair| format!("{}={}", pair.key, pair.value))
                .collect();
            pairs.sort();
            let (name, unit) = (metric.name(), metric.unit());
            lines.push(format!("{name} {unit} {{{}}} {value}", pairs.join(",")));
        };
        if let AggregatedMetrics::F64(MetricData::Histogram(histogram)) = metric.data() {
            for point in histogram.data_points() {
                line(&mut point.attributes(), point.count().to_string());
            }
        } else if let AggregatedMetrics::U64(MetricData::Sum(sum)) = metric.data() {
            for point in sum.data_points() {
                line(&mut point.attributes(), point.value().to_string());
            }
        } else if let AggregatedMetrics::I64(MetricData::Sum(sum)) = metric.data() {
            for point in sum.data_points() {
                line(&mut point.attributes(), point.value().to_string());
            }
        } else {
            panic!("unexpected aggregation of {}", metric.name());
        }
    }
    lines.sort();
    lines
}

/// The boundaries of every data point of every histogram, with its name.
pub(crate) fn boundaries(metrics: &ResourceMetrics) -> Vec<(String, Vec<f64>)> {
    let mut found = Vec::new();
    for metric in metrics.scope_metrics().flat_map(ScopeMetrics::metrics) {
        if let AggregatedMetrics::F64(MetricData::Histogram(histogram)) = metric.data() {
            for point in histogram.data_points() {
                found.push((metric.name().to_owned(), point.bounds().collect()));
            }
        }
    }
    found
}
