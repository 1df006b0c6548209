//! What every call needs: the way to Graph, and what holds for all who take it.

use std::time::Duration;

use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};

use super::{Auditing, watch::Watches};
use crate::{
    credentials::{Credential, Grant},
    deadline::Deadline,
    failure::{Effect, Failure, Kind},
    graph::GraphClient,
    retry::{Budget, Course, Doubt, Finding, Next, Policy},
    telemetry::Metrics,
    throttle::{Gates, Passage},
};

/// Shared by all calls.
#[derive(Debug)]
pub(super) struct Tools {
    pub(super) graph: GraphClient,
    pub(super) policy: Policy,
    pub(super) budget: Budget,
    /// The same for what may be made again: readings that fail do not keep actions from being
    /// sent again, and those that succeed do not allow it.
    pub(super) inquiry_budget: Budget,
    pub(super) gates: Gates,
    /// The most time for a look at the task.
    pub(super) look_timeout: Duration,
    /// Turns to look at a task: [`MAX_LOOKS`](super::looks::MAX_LOOKS).
    pub(super) looks: Semaphore,
    pub(super) watches: Watches,
    pub(super) auditing: Auditing,
    pub(super) metrics: Metrics,
}

// === impl Tools ===

impl Tools {
    /// The token for Graph, asked for again where that may help and the time that
    /// `remaining` tells is not over.
    pub(super) async fn grant(
        &self,
        credential: &Credential,
        remaining: impl Fn() -> Duration,
    ) -> Result<Grant, Failure> {
        let mut tries = 1;
        loop {
            let failure = match credential.grant().await {
                Ok(grant) => return Ok(grant),
                Err(failure) => failure,
            };
            let course = Course {
                tries,
                ..self.course(remaining())
            };
            let finding = Finding::Failed(&failure);
            match self.policy.decide(finding, &course, rand::random()) {
                Next::Wait(delay) => sleep(delay).await,
                Next::Stop | Next::Renew | Next::Reconcile => return Err(failure),
            }
            tries += 1;
        }
    }

    /// Waits for its turn where Graph has asked to wait.
    pub(super) async fn pass(
        &self,
        grant: &Grant,
        deadline: Deadline,
        effect: Effect,
    ) -> Result<(), Failure> {
        let authorization = grant.authorization();
        let mut passage = self.gates.enter(authorization, Instant::now());
        if let Passage::After(wait) = passage
            && wait < deadline.remaining(Instant::now())
        {
            sleep(wait).await;
            let refused = self.gates.refuse(authorization, Instant::now());
            passage = refused.map_or(Passage::Open, Passage::Closed);
        }
        match passage {
            Passage::Open => Ok(()),
            Passage::After(wait) | Passage::Closed(wait) => Err(Failure::new(
                Kind::Throttled,
                match effect {
                    Effect::Action => "Graph has asked the callers with this credential to wait, and the action was not started",
                    Effect::Update | Effect::Nothing => "Graph has asked the callers with this credential to wait",
                },
            )
            .with_retry_after(wait)),
        }
    }

    /// Keeps this credential from Graph for as long as Graph asks.
    pub(super) fn heed(&self, failure: &Failure, grant: &Grant) {
        if let (Kind::Throttled | Kind::Unavailable, Some(delay)) =
            (failure.kind, failure.named_delay())
        {
            self.gates
                .close(grant.authorization(), Instant::now(), delay);
        }
    }

    /// As far as a call has come that has not begun, and has so much time.
    pub(super) fn course(&self, remaining: Duration) -> Course {
        Course {
            tries: 0,
            doubt: Doubt::None,
            remaining,
            within_budget: self.budget.allows(),
            may_renew: false,
        }
    }
}
