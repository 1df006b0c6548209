//! An attempt that outlives its caller once its request has left.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::FutureExt as _;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tracing::Span;

use super::place::Place;
use crate::{
    failure::{Failure, Kind},
    graph::{self, Accepted, Departed, Departure},
    telemetry::{Metrics, Outcome},
};

/// The gRPC status of a call whose caller has gone away.
const CANCELLED: &str = "CANCELLED";

type BoxedAttempt = Pin<Box<dyn Future<Output = Result<Accepted, Failure>> + Send>>;

/// Runs inside the call that awaits it. If the call goes away (cancel, lost
/// connection, deadline) after the request has left, the attempt moves into a
/// task of its own, which the shutdown waits for; before that, it is dropped and
/// nothing is sent.
#[derive(Debug)]
pub(super) struct Detachable<'a> {
    attempt: Option<Running>,
    tasks: &'a TaskTracker,
    metrics: &'a Metrics,
    span: &'a Span,
    place: &'a Place,
}

/// Who hears what becomes of an attempt that is left to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    /// The caller, whose deadline passed, has been told that nobody knows.
    Answered,
    /// Nobody: the outcome is counted when it is known.
    Gone,
}

struct Running {
    future: BoxedAttempt,
    departure: Departure,
}

// === impl Detachable ===

impl<'a> Detachable<'a> {
    /// Wraps an attempt of the call whose span is `span`. `departure` is the attempt's
    /// own.
    pub(super) fn new(
        future: impl Future<Output = Result<Accepted, Failure>> + Send + 'static,
        departure: Departure,
        tasks: &'a TaskTracker,
        metrics: &'a Metrics,
        span: &'a Span,
        place: &'a Place,
    ) -> Self {
        Self {
            attempt: Some(Running {
                future: Box::pin(future),
                departure,
            }),
            tasks,
            metrics,
            span,
            place,
        }
    }

    /// Leaves the attempt to itself, and says how far its request got. The caller
    /// is told so.
    pub(super) fn leave(&mut self) -> Departed {
        self.part(Caller::Answered)
    }

    fn part(&mut self, caller: Caller) -> Departed {
        let Some(Running { future, departure }) = self.attempt.take() else {
            return Departed::Yes;
        };
        if departure.state() == Departed::Yes {
            self.detach(future, caller);
            return Departed::Yes;
        }
        drop(future);
        match departure.state() {
            // Only now is it certain.
            Departed::Never => Departed::Never,
            // It was just being handed to the connection, which may or may not have
            // noticed the drop; whatever Graph answers, nobody hears it.
            Departed::NotYet | Departed::Yes => Departed::NotYet,
        }
    }

    fn detach(&self, future: BoxedAttempt, caller: Caller) {
        // Without a runtime the process is ending, and the attempt with it.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let (metrics, span, place) = (self.metrics.clone(), self.span.clone(), self.place.clone());
        let detached = metrics.call_detached();
        let attempt = async move {
            let result = AssertUnwindSafe(future)
                .catch_unwind()
                .await
                .unwrap_or_else(|_panic| Err(fault()));
            drop((detached, place));
            if caller == Caller::Gone {
                metrics.action_outcome(graph::outcome(&result), CANCELLED);
            }
            report(&span, &result);
        };
        self.tasks.spawn_on(attempt, &runtime);
    }
}

impl Future for Detachable<'_> {
    type Output = Result<Accepted, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Taken out while it runs: one that panics is not to be detached.
        let Some(mut running) = self.attempt.take() else {
            // Polled after its end, which `async` blocks do not do.
            return Poll::Pending;
        };
        let polled = running.future.as_mut().poll(cx);
        if polled.is_pending() {
            self.attempt = Some(running);
        }
        polled
    }
}

impl Drop for Detachable<'_> {
    fn drop(&mut self) {
        if self.attempt.is_none() {
            return;
        }
        let departed = self.part(Caller::Gone);
        match departed {
            // Counted when it is known.
            Departed::Yes => {}
            Departed::NotYet => self.metrics.action_outcome(Outcome::Unknown, CANCELLED),
            Departed::Never => self.metrics.action_outcome(Outcome::NotStarted, CANCELLED),
        }
        tracing::info!(
            parent: self.span,
            departed = departed.as_str(),
            "the caller left before the action was answered"
        );
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("departure", &self.departure)
            .finish_non_exhaustive()
    }
}

fn fault() -> Failure {
    Failure::new(
        Kind::GatewayFault,
        "the gateway failed while Graph was answering, and the action may have been started",
    )
}

/// Says in the log what the caller no longer hears.
fn report(span: &Span, result: &Result<Accepted, Failure>) {
    let outcome = graph::outcome(result).as_str();
    match result {
        Ok(accepted) => tracing::info!(
            parent: span,
            outcome,
            graph_request_id = accepted.graph_request_id,
            "an action was answered after its caller had left"
        ),
        Err(failure) => tracing::warn!(
            parent: span,
            outcome,
            kind = ?failure.kind,
            client_request_id = failure.client_request_id,
            error = failure as &dyn std::error::Error,
            "an action was answered after its caller had left"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body::Body as _;
    use opentelemetry::metrics::MeterProvider as _;
    use opentelemetry_sdk::metrics::{
        InMemoryMetricExporter, SdkMeterProvider,
        data::{AggregatedMetrics, MetricData, ResourceMetrics},
    };
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::call::{PlaceLimits, Places};

    struct Counted {
        exporter: InMemoryMetricExporter,
        meters: SdkMeterProvider,
        metrics: Metrics,
        tasks: TaskTracker,
        span: Span,
        place: Place,
    }

    impl Counted {
        fn new() -> Self {
            let exporter = InMemoryMetricExporter::default();
            let meters = SdkMeterProvider::builder()
                .with_periodic_exporter(exporter.clone())
                .build();
            let metrics = Metrics::new(&meters.meter("test"));
            let limits = PlaceLimits {
                max_in_flight: 1,
                max_waiting: 0,
                max_wait: Duration::ZERO,
            };
            let places = Places::new(limits, CancellationToken::new(), metrics.clone());
            Self {
                exporter,
                metrics,
                meters,
                tasks: TaskTracker::new(),
                span: Span::none(),
                place: Place::new(places),
            }
        }

        fn detachable(
            &self,
            departure: &Departure,
            future: impl Future<Output = Result<Accepted, Failure>> + Send + 'static,
        ) -> Detachable<'_> {
            Detachable::new(
                future,
                departure.clone(),
                &self.tasks,
                &self.metrics,
                &self.span,
                &self.place,
            )
        }

        /// The outcomes that were counted, in no order.
        fn outcomes(&self) -> Vec<String> {
            self.meters.force_flush().unwrap();
            let exports = self.exporter.get_finished_metrics().unwrap();
            let mut outcomes = Vec::new();
            for scope in exports.iter().flat_map(ResourceMetrics::scope_metrics) {
                for metric in scope.metrics() {
                    if let AggregatedMetrics::U64(MetricData::Sum(sum)) = metric.data() {
                        for point in sum.data_points() {
                            for outcome in point.attributes().take(1) {
                                outcomes.push(format!("{} {}", outcome.value, point.value()));
                            }
                        }
                    }
                }
            }
            outcomes
        }
    }

    /// Asks the body whether it is empty when it is dropped, as a connection on
    /// another thread may do at that moment.
    struct LeavesLate<B: http_body::Body>(B);

    impl<B: http_body::Body> Drop for LeavesLate<B> {
        fn drop(&mut self) {
            self.0.is_end_stream();
        }
    }

    #[tokio::test]
    async fn a_request_that_leaves_while_it_is_dropped_counts_as_unknown() {
        let counted = Counted::new();
        let departure = Departure::default();
        let body = LeavesLate(departure.body());
        let attempt = counted.detachable(&departure, async move {
            let _body = body;
            std::future::pending().await
        });
        drop(attempt);
        assert_eq!(departure.state(), Departed::Yes);
        assert_eq!(counted.outcomes(), ["UNKNOWN 1"]);
    }

    #[tokio::test]
    async fn a_panic_after_the_caller_has_left_counts_as_unknown() {
        let counted = Counted::new();
        let departure = Departure::default();
        departure.body().is_end_stream();
        let attempt = counted.detachable(&departure, async { panic!("a bug") });
        drop(attempt);
        counted.tasks.close();
        counted.tasks.wait().await;
        assert_eq!(counted.outcomes(), ["UNKNOWN 1"]);
    }

    #[tokio::test]
    async fn a_panic_before_the_caller_has_left_is_for_the_server_to_count() {
        let counted = Counted::new();
        for leaves in [false, true] {
            let departure = Departure::default();
            let body = departure.body();
            if leaves {
                body.is_end_stream();
            }
            let attempt = counted.detachable(&departure, async { panic!("a bug") });
            assert!(AssertUnwindSafe(attempt).catch_unwind().await.is_err());
        }
        assert!(counted.tasks.is_empty());
        assert!(counted.outcomes().is_empty());
    }
}
