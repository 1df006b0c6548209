//! The spine: one command to its end.
//!
//! ```text
//! [ attempt -> classify -> decide ]*  ->  Done | Failure
//! ```

mod detachable;

use std::sync::Arc;

use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Span;

use self::detachable::Detachable;
pub use self::detachable::Place;
use crate::{
    authorization::Authorization,
    command::Command,
    deadline::Deadline,
    failure::{Failure, Kind},
    graph::{Accepted, Attempt, Departed, Departure, GraphClient},
    retry::{Next, Policy},
    telemetry::Metrics,
};

/// Carries commands out.
#[derive(Debug, Clone)]
pub struct Calls {
    graph: GraphClient,
    policy: Policy,
    tasks: TaskTracker,
    ending: CancellationToken,
    metrics: Metrics,
}

/// A command that was carried out: Graph started the action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// What Graph answered.
    pub accepted: Accepted,
    /// How many POSTs it took.
    pub attempts: u32,
}

impl Calls {
    /// `tasks` holds the attempts that go on after their callers have left; wait
    /// for it before the process ends. Once `ending` is cancelled, every call is
    /// answered at once.
    pub fn new(
        graph: GraphClient,
        tasks: TaskTracker,
        ending: CancellationToken,
        metrics: Metrics,
    ) -> Self {
        Self {
            graph,
            policy: Policy::SINGLE,
            tasks,
            ending,
            metrics,
        }
    }

    /// Starts the action of one task, or says why not, before `deadline`.
    ///
    /// Dropping the future does not cancel a POST that may have left: it is
    /// finished in a task of its own, and its outcome goes to span and log.
    pub async fn execute(
        &self,
        command: Command,
        authorization: Authorization,
        deadline: Deadline,
        span: Span,
        place: Place,
    ) -> Result<Done, Failure> {
        let command = Arc::new(command);
        // Those that found no connection are tries, too, but put nothing on the wire.
        let mut tries = 0;
        let mut attempts = 0;
        loop {
            let now = Instant::now();
            if deadline.has_passed(now) {
                return Err(before_send(&command, attempts));
            }
            let departure = Departure::default();
            let attempt = self.graph.clone().attempt(Attempt {
                command: Arc::clone(&command),
                authorization: authorization.clone(),
                number: attempts + 1,
                departure: departure.clone(),
                parent: span.clone(),
            });
            let mut attempt = Detachable::new(
                attempt,
                departure.clone(),
                self.tasks.clone(),
                self.metrics.clone(),
                span.clone(),
                place.clone(),
            );
            let result = tokio::select! {
                result = timeout_at(deadline.answer_by(), &mut attempt) => match result {
                    Ok(result) => result,
                    Err(_) => Err(passed(attempt.leave(), &command, attempts)),
                },
                () = self.ending.cancelled() => Err(cut_short(attempt.leave(), &command)),
            };
            tries += 1;
            attempts += u32::from(departure.state() != Departed::Never);
            let mut failure = match result {
                Ok(accepted) => return Ok(Done { accepted, attempts }),
                Err(failure) => failure,
            };
            failure.attempts = attempts;
            let remaining = deadline
                .answer_by()
                .saturating_duration_since(Instant::now());
            match self.policy.decide(&failure, tries, remaining) {
                Next::Stop => return Err(failure),
                Next::Wait(delay) => sleep(delay).await,
            }
        }
    }
}

/// The deadline passed while an attempt was under way.
fn passed(departed: Departed, command: &Command, attempts: u32) -> Failure {
    if departed == Departed::Never {
        return before_send(command, attempts);
    }
    let mut failure = Failure::new(
        Kind::DeadlineAfterSend,
        "the deadline passed before Graph answered, and the action may have been started",
    );
    failure.client_request_id = Some(command.client_request_id.as_str().to_owned());
    failure
}

/// The gateway had to end while an attempt was under way.
fn cut_short(departed: Departed, command: &Command) -> Failure {
    let mut failure = if departed == Departed::Never {
        Failure::new(
            Kind::GatewayDraining,
            "this gateway is shutting down, and nothing was sent to Graph; send the call again",
        )
    } else {
        Failure::new(
            Kind::ResponseLost,
            "this gateway had to end before Graph answered, and the action may have been started",
        )
    };
    failure.client_request_id = Some(command.client_request_id.as_str().to_owned());
    failure
}

fn before_send(command: &Command, attempts: u32) -> Failure {
    let mut failure = Failure::new(
        Kind::DeadlineBeforeSend,
        "the deadline passed before anything was sent to Graph",
    );
    failure.client_request_id = Some(command.client_request_id.as_str().to_owned());
    failure.attempts = attempts;
    failure
}
