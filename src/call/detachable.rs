//! Work that outlives its caller once a request has left.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::FutureExt as _;
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Span;

use super::{
    done::{Done, outcome},
    left::{CANCELLED, Interruption, Left},
    place::Place,
    progress::Progress,
};
use crate::{
    failure::{Failure, Kind},
    graph::Departed,
    telemetry::{Metrics, Outcome},
};

type BoxedWork = Pin<Box<dyn Future<Output = Result<Done, Failure>> + Send>>;

/// Runs inside the call that awaits it. If the call goes away (cancel, lost
/// connection, deadline) while the outcome of a request that has left is not known,
/// the work moves into a task of its own, which the shutdown waits for; else it is
/// dropped and nothing more is sent. The gateway's end drops it too, so that the audit
/// log still hears of it.
pub(super) struct Detachable<'a> {
    work: Option<BoxedWork>,
    progress: &'a Progress,
    tasks: &'a TaskTracker,
    ending: &'a CancellationToken,
    metrics: &'a Metrics,
    span: &'a Span,
    place: &'a Place,
}

// === impl Detachable ===

impl<'a> Detachable<'a> {
    /// Wraps the work of the call whose span is `span`; `progress` is the work's own.
    pub(super) fn new(
        work: impl Future<Output = Result<Done, Failure>> + Send + 'static,
        progress: &'a Progress,
        tasks: &'a TaskTracker,
        ending: &'a CancellationToken,
        metrics: &'a Metrics,
        span: &'a Span,
        place: &'a Place,
    ) -> Self {
        Self {
            work: Some(Box::pin(work)),
            progress,
            tasks,
            ending,
            metrics,
            span,
            place,
        }
    }

    /// Leaves the work to itself, and says what its caller is told now.
    pub(super) fn interrupt(&mut self, interruption: Interruption) -> Failure {
        let departed = self.leave(Left::Answered(interruption));
        interruption.failure(departed, self.progress.sent())
    }

    /// Leaves the work to itself, and says whether anything has left whose outcome is
    /// not known.
    fn leave(&mut self, left: Left) -> Departed {
        self.progress.leave(left);
        let Some(work) = self.work.take() else {
            return Departed::Yes;
        };
        if self.progress.departed() == Departed::Yes {
            self.detach(work, left);
            return Departed::Yes;
        }
        drop(work);
        match self.progress.departed() {
            // Only now is it certain.
            Departed::Never => Departed::Never,
            // It was just being handed to the connection, which may or may not have
            // noticed the drop; whatever Graph answers, nobody hears it.
            Departed::NotYet | Departed::Yes => Departed::NotYet,
        }
    }

    fn detach(&self, work: BoxedWork, left: Left) {
        // Without a runtime the process is ending, and the work with it.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let (metrics, span, place) = (self.metrics.clone(), self.span.clone(), self.place.clone());
        let (detached, ending) = (metrics.call_detached(), self.ending.clone());
        let work = async move {
            let work = AssertUnwindSafe(work).catch_unwind();
            let result = tokio::select! {
                biased;
                result = work => Some(result.unwrap_or_else(|_panic| Err(fault()))),
                () = ending.cancelled() => None,
            };
            drop((detached, place));
            // Who was answered was counted then.
            if left == Left::Cancelled {
                let outcome = result.as_ref().map_or(Outcome::Unknown, outcome);
                metrics.action_outcome(outcome, CANCELLED);
            }
            if let Some(result) = result {
                report(&span, &result);
            }
        };
        self.tasks.spawn_on(work, &runtime);
    }
}

impl Future for Detachable<'_> {
    type Output = Result<Done, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Taken out while it runs: one that panics is not to be detached.
        let Some(mut work) = self.work.take() else {
            // Polled after its end, which `async` blocks do not do.
            return Poll::Pending;
        };
        let polled = work.as_mut().poll(cx);
        if polled.is_pending() {
            self.work = Some(work);
        }
        polled
    }
}

impl Drop for Detachable<'_> {
    fn drop(&mut self) {
        if self.work.is_none() {
            return;
        }
        let departed = self.leave(Left::Cancelled);
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

impl std::fmt::Debug for Detachable<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Detachable")
            .field("progress", &self.progress)
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
fn report(span: &Span, result: &Result<Done, Failure>) {
    let outcome = outcome(result).as_str();
    match result {
        Ok(done) => tracing::info!(
            parent: span,
            outcome,
            graph_request_id = done.graph_request_id,
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

    use super::*;
    use crate::call::{PlaceLimits, Places};

    struct Counted {
        exporter: InMemoryMetricExporter,
        meters: SdkMeterProvider,
        metrics: Metrics,
        tasks: TaskTracker,
        ending: CancellationToken,
        span: Span,
        place: Place,
        progress: Progress,
    }

    impl Counted {
        fn new() -> Self {
            let exporter = InMemoryMetricExporter::default();
            let meters = SdkMeterProvider::builder()
                .with_periodic_exporter(exporter.clone())
                .build();
            let metrics = Metrics::new(&meters.meter("test"));
            let limits = PlaceLimits {
                max_open: 1,
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
                ending: CancellationToken::new(),
                span: Span::none(),
                place: Place::new(places),
                progress: Progress::default(),
            }
        }

        fn detachable(
            &self,
            work: impl Future<Output = Result<Done, Failure>> + Send + 'static,
        ) -> Detachable<'_> {
            Detachable::new(
                work,
                &self.progress,
                &self.tasks,
                &self.ending,
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
        let departure = counted.progress.begin();
        let body = LeavesLate(departure.body());
        let work = counted.detachable(async move {
            let _body = body;
            std::future::pending().await
        });
        drop(work);
        assert_eq!(departure.state(), Departed::Yes);
        assert_eq!(counted.outcomes(), ["UNKNOWN 1"]);
    }

    #[tokio::test]
    async fn a_panic_after_the_caller_has_left_counts_as_unknown() {
        let counted = Counted::new();
        counted.progress.begin().body().is_end_stream();
        drop(counted.detachable(async { panic!("a bug") }));
        counted.tasks.close();
        counted.tasks.wait().await;
        assert_eq!(counted.outcomes(), ["UNKNOWN 1"]);
    }

    #[tokio::test]
    async fn the_end_of_the_gateway_drops_what_nobody_waits_for() {
        let counted = Counted::new();
        counted.progress.begin().body().is_end_stream();
        let dropped = CancellationToken::new();
        let drops = dropped.clone().drop_guard();
        drop(counted.detachable(async move {
            let _drops = drops;
            std::future::pending().await
        }));
        counted.tasks.close();
        counted.ending.cancel();
        counted.tasks.wait().await;
        assert!(dropped.is_cancelled());
        assert_eq!(counted.outcomes(), ["UNKNOWN 1"]);
    }

    #[tokio::test]
    async fn a_panic_before_the_caller_has_left_is_for_the_server_to_count() {
        let counted = Counted::new();
        for leaves in [false, true] {
            let body = counted.progress.begin().body();
            if leaves {
                body.is_end_stream();
            }
            let work = counted.detachable(async { panic!("a bug") });
            assert!(AssertUnwindSafe(work).catch_unwind().await.is_err());
        }
        assert!(counted.tasks.is_empty());
        assert!(counted.outcomes().is_empty());
    }
}
