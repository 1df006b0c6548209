//! The spine: one command to its end.
//!
//! ```text
//! [ attempt -> classify -> decide ]*  ->  Done | Failure
//! ```

mod detachable;
mod place;
mod places;

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Span;

use self::detachable::Detachable;
pub use self::{
    place::Place,
    places::{PlaceLimits, Places},
};
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

/// One call: what to do, as whom, until when.
#[derive(Debug)]
pub struct Call {
    /// Which task's action to start.
    pub command: Command,
    /// What Graph is shown.
    pub authorization: Authorization,
    /// Until when the caller must be answered.
    pub deadline: Deadline,
    /// The server span.
    pub span: Span,
    /// Its place among the calls in flight.
    pub place: Place,
}

/// A call that was carried out: Graph started the action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// What Graph answered.
    pub accepted: Accepted,
    /// How many POSTs it took.
    pub attempts: u32,
}

/// How often Graph was tried for one call.
#[derive(Debug, Default)]
struct Tries {
    /// All of them.
    begun: u32,
    /// Those whose POST may have left; one that finds no connection sends nothing.
    sent: u32,
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

    /// Starts the action of one task, or says why not, before the deadline.
    ///
    /// Dropping the future does not cancel a POST that may have left: it is
    /// finished in a task of its own, and its outcome goes to span and log.
    pub async fn execute(&self, call: Call) -> Result<Done, Failure> {
        call.place.begin();
        let mut tries = Tries::default();
        loop {
            let mut failure = match self.attempt(&call, &mut tries).await {
                Ok(accepted) => {
                    return Ok(Done {
                        accepted,
                        attempts: tries.sent,
                    });
                }
                Err(failure) => failure,
            };
            failure.attempts = tries.sent;
            failure
                .client_request_id
                .get_or_insert_with(|| call.command.client_request_id.as_str().to_owned());
            let remaining = call.deadline.remaining(Instant::now());
            match self.policy.decide(&failure, tries.begun, remaining) {
                Next::Stop => return Err(failure),
                Next::Wait(delay) => tokio::select! {
                    () = sleep(delay) => {}
                    () = self.ending.cancelled() => return Err(failure),
                },
            }
        }
    }

    /// One attempt, for as long as the caller waits and the gateway lives.
    async fn attempt(&self, call: &Call, tries: &mut Tries) -> Result<Accepted, Failure> {
        if call.deadline.has_passed(Instant::now()) {
            return Err(deadline_passed(Departed::Never));
        }
        tries.begun += 1;
        let departure = Departure::default();
        let attempt = self.graph.clone().attempt(Attempt {
            command: call.command.clone(),
            authorization: call.authorization.clone(),
            number: tries.begun,
            departure: departure.clone(),
            parent: call.span.clone(),
        });
        let mut attempt = Detachable::new(
            attempt,
            departure.clone(),
            &self.tasks,
            &self.metrics,
            &call.span,
            &call.place,
        );
        let result = tokio::select! {
            biased;
            result = &mut attempt => result,
            () = sleep_until(call.deadline.answer_by()) => Err(deadline_passed(attempt.leave())),
            () = self.ending.cancelled() => Err(gateway_ends(attempt.leave())),
        };
        tries.sent += u32::from(departure.state() != Departed::Never);
        result
    }
}

fn deadline_passed(departed: Departed) -> Failure {
    if departed == Departed::Never {
        Failure::new(
            Kind::DeadlineBeforeSend,
            "the deadline passed before anything was sent to Graph",
        )
    } else {
        Failure::new(
            Kind::DeadlineAfterSend,
            "the deadline passed before Graph answered, and the action may have been started",
        )
    }
}

fn gateway_ends(departed: Departed) -> Failure {
    if departed == Departed::Never {
        Failure::new(
            Kind::GatewayDraining,
            "this gateway is shutting down, and nothing was sent to Graph; send the call again",
        )
    } else {
        Failure::new(
            Kind::ResponseLost,
            "this gateway had to end before Graph answered, and the action may have been started",
        )
    }
}
