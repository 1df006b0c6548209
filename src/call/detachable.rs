//! An attempt that outlives its caller once its request has left.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tracing::Span;

use super::place::Place;
use crate::{
    failure::Failure,
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
pub(super) struct Detachable {
    attempt: Option<Running>,
    tasks: TaskTracker,
    metrics: Metrics,
    span: Span,
    place: Place,
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

impl Detachable {
    /// Wraps an attempt of the call whose span is `span`.
    pub(super) fn new(
        future: impl Future<Output = Result<Accepted, Failure>> + Send + 'static,
        departure: Departure,
        tasks: TaskTracker,
        metrics: Metrics,
        span: Span,
        place: Place,
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
        // Only now is `Never` certain. What is still `NotYet` was just being handed
        // to the connection, which may or may not have noticed the drop.
        departure.state()
    }

    fn detach(&self, future: BoxedAttempt, caller: Caller) {
        // Without a runtime the process is ending, and the attempt with it.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let metrics = self.metrics.clone();
        let detached = metrics.call_detached();
        let span = self.span.clone();
        let place = self.place.clone();
        let attempt = async move {
            let result = future.await;
            drop((detached, place));
            if caller == Caller::Gone {
                metrics.action_outcome(graph::outcome(&result), CANCELLED);
            }
            report(&span, &result);
        };
        self.tasks.spawn_on(attempt, &runtime);
    }
}

impl Future for Detachable {
    type Output = Result<Accepted, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(running) = &mut self.attempt else {
            // Polled after its end, which `async` blocks do not do.
            return Poll::Pending;
        };
        let result = std::task::ready!(running.future.as_mut().poll(cx));
        self.attempt = None;
        Poll::Ready(result)
    }
}

impl Drop for Detachable {
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
            parent: &self.span,
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
