//! The spine: one command to its end.
//!
//! ```text
//! [ attempt -> classify -> decide ]*  ->  Done | Failure
//! ```

mod detachable;
mod done;
mod left;
mod place;
mod places;
mod progress;
mod record;
mod work;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Span;

use self::{
    detachable::Detachable,
    left::Interruption,
    progress::Progress,
    work::{MAX_LOOKS, Tools, Work},
};
pub use self::{
    done::{Confirmation, Done},
    place::Place,
    places::{PlaceLimits, Places},
    record::Describe,
};
use crate::{
    audit::Audit,
    authorization::Authorization,
    command::Command,
    deadline::Deadline,
    failure::Failure,
    graph::{Departed, GraphClient},
    retry::{Budget, Policy},
    telemetry::Metrics,
    throttle::Gates,
};

/// Carries commands out.
#[derive(Debug, Clone)]
pub struct Calls {
    tools: Arc<Tools>,
    tasks: TaskTracker,
    ending: CancellationToken,
}

/// What a call does with a failure, and how long that may take.
#[derive(Debug, Clone)]
pub struct Resilience {
    /// When to send again, and when to look at the task.
    pub policy: Policy,
    /// How much of that the process as a whole allows.
    pub budget: Budget,
    /// Who must not go to Graph now.
    pub gates: Gates,
    /// The most time for a look at the task.
    pub look_timeout: Duration,
}

/// Where each call is written down, and in which words.
#[derive(Debug, Clone)]
pub struct Auditing {
    /// The log.
    pub log: Audit,
    /// How a failure is told to a caller.
    pub describe: Describe,
}

/// One call: what to do, as whom, until when.
#[derive(Debug)]
pub struct Call {
    /// Which task's action to start.
    pub command: Command,
    /// What Graph is shown.
    pub authorization: Authorization,
    /// The other end of the caller's connection.
    pub peer: SocketAddr,
    /// Until when the caller must be answered.
    pub deadline: Deadline,
    /// The server span.
    pub span: Span,
    /// Its place among the calls in flight.
    pub place: Place,
}

impl Calls {
    /// `tasks` holds the work that goes on after its callers have left; wait for it
    /// before the process ends. Once `ending` is cancelled, every call is answered at
    /// once, and that work ends.
    pub fn new(
        graph: GraphClient,
        resilience: Resilience,
        auditing: Auditing,
        tasks: TaskTracker,
        ending: CancellationToken,
        metrics: Metrics,
    ) -> Self {
        let Resilience {
            policy,
            budget,
            gates,
            look_timeout,
        } = resilience;
        Self {
            tools: Arc::new(Tools {
                graph,
                policy,
                budget,
                gates,
                look_timeout,
                looks: Semaphore::new(MAX_LOOKS),
                auditing,
                metrics,
            }),
            tasks,
            ending,
        }
    }

    /// Starts the action of one task, or says why not, before the deadline.
    ///
    /// Dropping the future does not cancel a POST that may have left: it is
    /// finished in a task of its own, unless the gateway ends, and its outcome goes to
    /// span, log and audit log.
    pub async fn execute(&self, call: Call) -> Result<Done, Failure> {
        call.place.begin();
        let progress = Progress::default();
        let client_request_id = call.command.client_request_id.clone();
        let result = if call.deadline.has_passed(Instant::now()) {
            Err(Interruption::DeadlinePassed.failure(Departed::Never, 0))
        } else {
            self.work(call, &progress).await
        };
        result.map_err(|mut failure| {
            failure
                .client_request_id
                .get_or_insert_with(|| client_request_id.into_string());
            failure
        })
    }

    /// The work, for as long as the caller waits and the gateway lives.
    async fn work(&self, call: Call, progress: &Progress) -> Result<Done, Failure> {
        let Call {
            command,
            authorization,
            peer,
            deadline,
            span,
            place,
        } = call;
        let work = Work {
            tools: Arc::clone(&self.tools),
            command,
            authorization,
            peer,
            deadline,
            span: span.clone(),
            progress: progress.clone(),
        };
        let mut work = Detachable::new(
            work.run(),
            progress,
            &self.tasks,
            &self.ending,
            &self.tools.metrics,
            &span,
            &place,
        );
        tokio::select! {
            biased;
            result = &mut work => result,
            () = sleep_until(deadline.answer_by()) => {
                Err(work.interrupt(Interruption::DeadlinePassed))
            }
            () = self.ending.cancelled() => {
                Err(work.interrupt(Interruption::GatewayEnds))
            }
        }
    }
}
