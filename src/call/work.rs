//! The work of one call: POST, look, POST again, until something is certain or
//! nothing more may be done.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};

use super::{
    Auditing, Call,
    done::Done,
    left::Interruption,
    progress::Progress,
    record::Record,
    trail::{Trail, resend_cause},
};
use crate::{
    audit::{Caller, Intent},
    authorization::Claims,
    credentials::Grant,
    failure::{Failure, Kind, Outcome},
    graph::{Attempt, Departed, GraphClient},
    retry::{Budget, Course, Doubt, Finding, Next, Policy},
    telemetry::Metrics,
    throttle::{Gates, Passage},
};

/// What the work of every call needs.
#[derive(Debug)]
pub(super) struct Tools {
    pub(super) graph: GraphClient,
    pub(super) policy: Policy,
    pub(super) budget: Budget,
    pub(super) gates: Gates,
    /// The most time for a look at the task.
    pub(super) look_timeout: Duration,
    /// Turns to look at a task: [`MAX_LOOKS`](super::looks::MAX_LOOKS).
    pub(super) looks: Semaphore,
    pub(super) auditing: Auditing,
    pub(super) metrics: Metrics,
}

/// One call's own. It goes on without its caller, but then begins no further POST.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) tools: Arc<Tools>,
    pub(super) call: Arc<Call>,
    pub(super) progress: Progress,
}

// === impl Work ===

impl Work {
    /// Until the action is known to be started, or there is nothing more to do.
    pub(super) async fn run(&self) -> Result<Done, Failure> {
        let grant = self.grant().await?;
        self.pass(&grant).await?;
        let record = self.record(&grant).await?;
        let result = self.attempts(grant).await;
        record.end(&result);
        result
    }

    /// The token for Graph, asked for again where that may help.
    async fn grant(&self) -> Result<Grant, Failure> {
        let mut tries = 1;
        loop {
            let failure = match self.call.credential.grant().await {
                Ok(grant) => return Ok(grant),
                Err(failure) => failure,
            };
            let course = Course {
                tries,
                ..self.course()
            };
            let policy = &self.tools.policy;
            match policy.decide(Finding::Failed(&failure), &course, rand::random()) {
                Next::Wait(delay) => sleep(delay).await,
                Next::Stop | Next::Renew | Next::Reconcile => return Err(failure),
            }
            tries += 1;
        }
    }

    /// The intent stands in the audit log before anything leaves.
    async fn record(&self, grant: &Grant) -> Result<Record, Failure> {
        let Auditing { log, describe } = &self.tools.auditing;
        let entry = log.intent(|| self.intent(grant)).await.map_err(|error| {
            Failure::new(
                Kind::AuditUnavailable,
                format!("{error}, and nothing is sent to Graph unrecorded"),
            )
            .because(error)
        })?;
        Ok(Record::new(entry, self.progress.clone(), *describe))
    }

    fn intent(&self, grant: &Grant) -> Intent {
        Intent {
            task_id: self.call.command.task_id.as_str().to_owned(),
            client_request_id: self.call.command.client_request_id.as_str().to_owned(),
            caller: Caller {
                peer: self.call.peer.text().to_owned(),
                names: self
                    .call
                    .caller
                    .identities()
                    .map(ToString::to_string)
                    .collect(),
                allowed_by: self.call.caller.pattern().map(str::to_owned),
                // What the gateway's own token says is not about the caller.
                claims: match grant {
                    Grant::Given(token) => self.call.peer.last_claims.of(token).unwrap_or_default(),
                    Grant::Fetched(_) => Claims::default(),
                },
            },
            trace_id: self.call.span.trace_id(),
        }
    }

    /// Waits for its turn where Graph has asked to wait.
    async fn pass(&self, grant: &Grant) -> Result<(), Failure> {
        let authorization = grant.authorization();
        let gates = &self.tools.gates;
        let mut passage = gates.enter(authorization, Instant::now());
        if let Passage::After(wait) = passage
            && wait < self.call.deadline.remaining(Instant::now())
        {
            sleep(wait).await;
            let refused = gates.refuse(authorization, Instant::now());
            passage = refused.map_or(Passage::Open, Passage::Closed);
        }
        match passage {
            Passage::Open => Ok(()),
            Passage::After(wait) | Passage::Closed(wait) => Err(Failure::new(
                Kind::Throttled,
                "Graph has asked the callers with this credential to wait, and the action was not started",
            )
            .with_retry_after(wait)),
        }
    }

    async fn attempts(&self, grant: Grant) -> Result<Done, Failure> {
        if self.is_over() {
            return Err(Interruption::DeadlinePassed.failure(Departed::Never, 0));
        }
        let mut trail = Trail::new(grant);
        loop {
            let failure = match self.attempt(&mut trail).await {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            let next = self.decide(Finding::Failed(&failure), &trail);
            let next = match next {
                Next::Reconcile => match self.look(&trail.grant).await {
                    Some(seen) if seen.action_status.is_started() => {
                        return Ok(Done::observed(seen, self.progress.sent()));
                    }
                    Some(_) => self.decide(Finding::NotStartedYet, &trail),
                    None => Next::Stop,
                },
                Next::Stop | Next::Wait(_) | Next::Renew => next,
            };
            let ready = match next {
                Next::Wait(delay) => {
                    sleep(delay).await;
                    self.freshen(&mut trail).await
                }
                Next::Renew => self.renew(&mut trail, &failure).await,
                Next::Stop | Next::Reconcile => {
                    return Err(self.settle(trail.verdict(failure)));
                }
            };
            let ready = match ready {
                Ok(()) => self.pass(&trail.grant).await,
                Err(refusal) => Err(refusal),
            };
            if let Err(refusal) = ready {
                return Err(self.settle(trail.verdict(refusal)));
            }
            if self.is_over() {
                return Err(self.settle(trail.verdict(failure)));
            }
            self.tools.metrics.resend(resend_cause(&failure));
            trail.turn(&failure);
        }
    }

    /// The token as it is now: the last one may have expired meanwhile, or a look has found
    /// it refused and renewed it.
    async fn freshen(&self, trail: &mut Trail) -> Result<(), Failure> {
        trail.grant = self.call.credential.grant().await?;
        Ok(())
    }

    /// Another token in place of the one that Graph has refused, or why there is none.
    async fn renew(&self, trail: &mut Trail, refused: &Failure) -> Result<(), Failure> {
        let claims = refused.claims.as_deref();
        let renewed = self.call.credential.renew(&trail.grant, claims).await?;
        trail.grant = renewed.ok_or_else(|| refused.clone())?;
        trail.renewed = true;
        Ok(())
    }

    /// Whether nothing may be begun any more: whoever has left, or is about to, is not to
    /// find the action started later. The deadline is asked for, too, since a wait that
    /// ends late on a machine that stood still ends beside the deadline's own alarm.
    fn is_over(&self) -> bool {
        self.progress.left().is_some() || self.call.deadline.has_passed(Instant::now())
    }

    /// One POST; and a look at the task beside it, should it take too long for a look
    /// after it.
    async fn attempt(&self, trail: &mut Trail) -> Result<Done, Failure> {
        trail.tries += 1;
        let grant = trail.grant.clone();
        let departure = self.progress.begin();
        let attempt = self.tools.graph.attempt(Attempt {
            command: &self.call.command,
            authorization: grant.authorization(),
            number: trail.tries,
            on_new_connection: trail.on_new_connection,
            departure: &departure,
            parent: self.call.span.span(),
        });
        let mut attempt = pin!(attempt);
        let result = tokio::select! {
            biased;
            result = &mut attempt => result,
            seen = self.seen_started(&departure, &grant) => {
                self.progress.end(true);
                return Ok(Done::observed(seen, self.progress.sent()));
            }
        };
        let unknown = matches!(&result, Err(failure) if failure.outcome() == Outcome::Unknown);
        self.progress.end(unknown);
        match result {
            Ok(accepted) => {
                self.tools.budget.succeeded();
                Ok(Done::accepted(accepted, self.progress.sent()))
            }
            Err(failure) => {
                self.heed(&failure, &grant);
                if unknown || failure.kind.may_be_sent_again() {
                    self.tools.budget.failed();
                }
                if unknown {
                    trail.lost = Some(failure.clone());
                }
                Err(failure)
            }
        }
    }

    /// Keeps this credential from Graph for as long as Graph asks.
    pub(super) fn heed(&self, failure: &Failure, grant: &Grant) {
        if let (Kind::Throttled | Kind::Unavailable, Some(delay)) =
            (failure.kind, failure.named_delay())
        {
            let gates = &self.tools.gates;
            gates.close(grant.authorization(), Instant::now(), delay);
        }
    }

    fn decide(&self, finding: Finding<'_>, trail: &Trail) -> Next {
        let course = Course {
            tries: trail.tries,
            doubt: trail.doubt(),
            may_renew: self.call.credential.is_renewable() && !trail.renewed,
            ..self.course()
        };
        self.tools.policy.decide(finding, &course, rand::random())
    }

    /// As far as a call has come that has not begun.
    fn course(&self) -> Course {
        let remaining = match self.progress.left() {
            Some(_) => Duration::ZERO,
            None => self.call.deadline.remaining(Instant::now()),
        };
        Course {
            tries: 0,
            doubt: Doubt::None,
            remaining,
            within_budget: self.tools.budget.allows(),
            may_renew: false,
        }
    }

    fn settle(&self, mut failure: Failure) -> Failure {
        failure.attempts = self.progress.sent();
        failure
    }
}
