//! The work of one call: POST, look, POST again, until something is certain or
//! nothing more may be done.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    Call,
    done::Done,
    left::Interruption,
    progress::Progress,
    record::Record,
    tools::Tools,
    trail::{Trail, resend_cause},
};
use crate::{
    audit::Act,
    credentials::Grant,
    failure::{Effect, Failure, Outcome},
    graph::{Attempt, Departed},
    retry::{Course, Finding, Next},
};

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
        let call = &*self.call;
        let grant = self
            .tools
            .grant(&call.credential, || self.remaining())
            .await?;
        self.tools
            .pass(&grant, call.deadline, Effect::Action)
            .await?;
        let record = self.record(&grant).await?;
        let result = self.attempts(grant).await;
        record.end(&result);
        result
    }

    /// The intent stands in the audit log before anything leaves.
    async fn record(&self, grant: &Grant) -> Result<Record, Failure> {
        let auditing = &self.tools.auditing;
        let task_id = &self.call.command.what.task_id;
        // What the gateway's own token says is not about the caller.
        let given = match grant {
            Grant::Given(token) => Some(token),
            Grant::Fetched(_) => None,
        };
        let intent = || self.call.intent(Act::Execute, task_id, given);
        let entry = auditing.record(intent).await?;
        let progress = self.progress.clone();
        Ok(Record::new(entry, progress, auditing.describe))
    }

    async fn attempts(&self, grant: Grant) -> Result<Done, Failure> {
        if self.is_over() {
            return Err(Interruption::DeadlinePassed.failure(Departed::Never, 0));
        }
        let credential = &self.call.credential;
        let mut trail = Trail::new(grant);
        loop {
            let failure = match self.attempt(&mut trail).await {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            let next = self.decide(Finding::Failed(&failure), &trail);
            let next = match next {
                Next::Reconcile => match self.look(&trail.access.grant).await {
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
                    trail.access.freshen(credential).await
                }
                Next::Renew => trail.access.renew(credential, &failure).await,
                Next::Stop | Next::Reconcile => {
                    return Err(self.settle(trail.verdict(failure)));
                }
            };
            let ready = match ready {
                Ok(()) => {
                    let (grant, deadline) = (&trail.access.grant, self.call.deadline);
                    self.tools.pass(grant, deadline, Effect::Action).await
                }
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
        let grant = trail.access.grant.clone();
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
                self.tools.heed(&failure, &grant);
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

    fn decide(&self, finding: Finding<'_>, trail: &Trail) -> Next {
        let course = Course {
            tries: trail.tries,
            doubt: trail.doubt(),
            may_renew: trail.access.may_renew(&self.call.credential),
            ..self.tools.course(self.remaining())
        };
        self.tools.policy.decide(finding, &course, rand::random())
    }

    /// The time that the caller still gives.
    fn remaining(&self) -> Duration {
        match self.progress.left() {
            Some(_) => Duration::ZERO,
            None => self.call.deadline.remaining(Instant::now()),
        }
    }

    fn settle(&self, mut failure: Failure) -> Failure {
        failure.attempts = self.progress.sent();
        failure
    }
}
