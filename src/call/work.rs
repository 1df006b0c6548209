//! The work of one call: POST, look, POST again, until something is certain or
//! nothing more may be done.

use std::{future::pending, pin::pin, sync::Arc, time::Duration};

use opentelemetry::trace::TraceContextExt as _;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, sleep_until, timeout_at},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{Auditing, done::Done, left::Interruption, progress::Progress, record::Record};
use crate::{
    audit::{Caller, Intent},
    authorization::Authorization,
    command::Command,
    deadline::Deadline,
    failure::{Failure, Kind, Outcome},
    graph::{Attempt, Departed, Departure, GraphClient, Look, Seen},
    peer::PeerAddress,
    retry::{Budget, Course, Finding, Next, Policy, Reconciliation},
    telemetry::{Metrics, Reconciled, ResendCause},
    throttle::{Gates, Passage},
};

/// The most looks at a time. Where thousands of calls hang, Graph is in trouble: as many
/// looks would be no help, and giving them up at once would make Graph's side end the
/// connection as under a "rapid reset" attack, with every POST on it.
pub(super) const MAX_LOOKS: usize = 100;

/// The most tries to find a connection for one look.
const MAX_LOOK_TRIES: u32 = 3;

/// What the work of every call needs.
#[derive(Debug)]
pub(super) struct Tools {
    pub(super) graph: GraphClient,
    pub(super) policy: Policy,
    pub(super) budget: Budget,
    pub(super) gates: Gates,
    /// The most time for a look at the task.
    pub(super) look_timeout: Duration,
    /// Turns to look at a task: [`MAX_LOOKS`].
    pub(super) looks: Semaphore,
    pub(super) auditing: Auditing,
    pub(super) metrics: Metrics,
}

/// One call's own. It goes on without its caller, but then begins no further POST.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) tools: Arc<Tools>,
    pub(super) command: Command,
    pub(super) authorization: Authorization,
    pub(super) peer: PeerAddress,
    pub(super) deadline: Deadline,
    pub(super) span: Span,
    pub(super) progress: Progress,
}

/// What the tries of one call have left behind.
#[derive(Debug, Default)]
struct Trail {
    tries: u32,
    /// The last failure that left the outcome unknown.
    doubt: Option<Failure>,
    resent: bool,
    on_new_connection: bool,
}

// === impl Work ===

impl Work {
    /// Until the action is known to be started, or there is nothing more to do.
    pub(super) async fn run(self) -> Result<Done, Failure> {
        self.pass().await?;
        let record = self.record().await?;
        let result = self.attempts().await;
        record.end(&result);
        result
    }

    /// The intent stands in the audit log before anything leaves.
    async fn record(&self) -> Result<Record, Failure> {
        let Auditing { log, describe } = &self.tools.auditing;
        let entry = log.intent(|| self.intent()).await.map_err(|error| {
            Failure::new(
                Kind::AuditUnavailable,
                format!("{error}, and nothing is sent to Graph unrecorded"),
            )
            .because(error)
        })?;
        Ok(Record::new(entry, self.progress.clone(), *describe))
    }

    fn intent(&self) -> Intent {
        let context = self.span.context();
        let span = context.span().span_context().clone();
        Intent {
            task_id: self.command.task_id.as_str().to_owned(),
            client_request_id: self.command.client_request_id.as_str().to_owned(),
            caller: Caller {
                peer: self.peer.to_string(),
                claims: self.authorization.claims().unwrap_or_default(),
            },
            trace_id: span.is_valid().then(|| span.trace_id().to_string()),
        }
    }

    /// Waits for its turn where Graph has asked to wait.
    async fn pass(&self) -> Result<(), Failure> {
        let gates = &self.tools.gates;
        let mut passage = gates.enter(&self.authorization, Instant::now());
        if let Passage::After(wait) = passage
            && wait < self.deadline.remaining(Instant::now())
        {
            sleep(wait).await;
            let refused = gates.refuse(&self.authorization, Instant::now());
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

    async fn attempts(&self) -> Result<Done, Failure> {
        if self.is_over() {
            return Err(Interruption::DeadlinePassed.failure(Departed::Never, 0));
        }
        let mut trail = Trail::default();
        loop {
            let failure = match self.attempt(&mut trail).await {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            let next = self.decide(Finding::Failed(&failure), &trail);
            let next = match next {
                Next::Reconcile => match self.look().await {
                    Some(seen) if seen.action_status.is_started() => {
                        return Ok(Done::observed(seen, self.progress.sent()));
                    }
                    Some(_) => self.decide(Finding::NotStartedYet, &trail),
                    None => Next::Stop,
                },
                Next::Stop | Next::Wait(_) => next,
            };
            let Next::Wait(delay) = next else {
                return Err(self.settle(trail.verdict(failure)));
            };
            sleep(delay).await;
            if let Err(refusal) = self.pass().await {
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
        self.progress.left().is_some() || self.deadline.has_passed(Instant::now())
    }

    /// One POST; and a look at the task beside it, should it take too long for a look
    /// after it.
    async fn attempt(&self, trail: &mut Trail) -> Result<Done, Failure> {
        trail.tries += 1;
        let departure = self.progress.begin();
        let attempt = self.tools.graph.attempt(Attempt {
            command: &self.command,
            authorization: &self.authorization,
            number: trail.tries,
            on_new_connection: trail.on_new_connection,
            departure: &departure,
            parent: &self.span,
        });
        let mut attempt = pin!(attempt);
        let result = tokio::select! {
            biased;
            result = &mut attempt => result,
            seen = self.seen_started(&departure) => {
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
                self.heed(&failure);
                if unknown || failure.kind.may_be_sent_again() {
                    self.tools.budget.failed();
                }
                if unknown {
                    trail.doubt = Some(failure.clone());
                }
                Err(failure)
            }
        }
    }

    /// Keeps this credential from Graph for as long as Graph asks.
    fn heed(&self, failure: &Failure) {
        if let (Kind::Throttled | Kind::Unavailable, Some(delay)) =
            (failure.kind, failure.named_delay())
        {
            let gates = &self.tools.gates;
            gates.close(&self.authorization, Instant::now(), delay);
        }
    }

    fn decide(&self, finding: Finding<'_>, trail: &Trail) -> Next {
        let remaining = match self.progress.left() {
            Some(_) => Duration::ZERO,
            None => self.deadline.remaining(Instant::now()),
        };
        let course = Course {
            tries: trail.tries,
            in_doubt: trail.doubt.is_some(),
            resent: trail.resent,
            remaining,
            within_budget: self.tools.budget.allows(),
        };
        self.tools.policy.decide(finding, &course, rand::random())
    }

    /// The task, once it shows near the end of the caller's time that the action has
    /// been started, although the POST is not answered yet. Else it never ends.
    async fn seen_started(&self, departure: &Departure) -> Seen {
        if self.tools.policy.reconciliation != Reconciliation::Off {
            let share = self.tools.look_timeout;
            // A POST that still waits for its connection then is looked at later.
            loop {
                sleep_until(self.deadline.look_at(share, Instant::now())).await;
                if departure.state() != Departed::NotYet || self.deadline.has_passed(Instant::now())
                {
                    break;
                }
            }
            if departure.state() == Departed::Yes
                && let Some(seen) = self.look().await
                && seen.action_status.is_started()
            {
                return seen;
            }
        }
        pending().await
    }

    /// The task as it is now, if Graph shows it in time.
    async fn look(&self) -> Option<Seen> {
        let most = self.tools.look_timeout;
        let timeout = match self.progress.left() {
            Some(_) => most,
            None => most.min(self.deadline.remaining(Instant::now())),
        };
        let seen = self.look_until(Instant::now() + timeout).await;
        self.tools.metrics.reconciliation(match &seen {
            Ok(seen) if seen.action_status.is_started() => Reconciled::Started,
            Ok(_) => Reconciled::NotStarted,
            Err(_) => Reconciled::Unseen,
        });
        match seen {
            Ok(seen) => Some(seen),
            Err(failure) => {
                self.heed(&failure);
                tracing::info!(
                    parent: &self.span,
                    client_request_id = self.command.client_request_id.as_str(),
                    error = &failure as &dyn std::error::Error,
                    "the task could not be looked at"
                );
                None
            }
        }
    }

    /// One reading, or more where there is no connection for it: several that wait for the
    /// same one all fail when whoever makes it leaves.
    async fn look_until(&self, until: Instant) -> Result<Seen, Failure> {
        let Ok(_turn) = timeout_at(until, self.tools.looks.acquire()).await else {
            let message = "too many tasks are being looked at";
            return Err(Failure::new(Kind::GatewayOverloaded, message));
        };
        let look = Look {
            command: &self.command,
            authorization: &self.authorization,
            until,
            parent: &self.span,
        };
        let mut seen = self.tools.graph.look(look).await;
        for _ in 1..MAX_LOOK_TRIES {
            match &seen {
                Err(failure) if failure.kind == Kind::Unreachable => {
                    seen = self.tools.graph.look(look).await;
                }
                _ => break,
            }
        }
        seen
    }

    fn settle(&self, mut failure: Failure) -> Failure {
        failure.attempts = self.progress.sent();
        failure
    }
}

// === impl Trail ===

impl Trail {
    /// The answer after the last failure. A refusal says nothing about an earlier POST
    /// that was lost: that doubt stays, unless the action is known to be started.
    fn verdict(&self, mut last: Failure) -> Failure {
        match &self.doubt {
            Some(doubt) if last.outcome() == Outcome::NotStarted => doubt.clone(),
            Some(_) if last.outcome() == Outcome::AlreadyStarted => {
                "the action has been started, by an earlier POST of this call whose answer was lost, or by another call"
                    .clone_into(&mut last.message);
                last
            }
            Some(_) | None => last,
        }
    }

    /// The POST is sent again after `failure`.
    fn turn(&mut self, failure: &Failure) {
        self.resent |= self.doubt.is_some();
        // "Always make new retry requests over a new HTTP connection" after a 503 (Graph
        // page "Best practices for working with Microsoft Graph").
        self.on_new_connection = matches!(failure.kind, Kind::Unavailable | Kind::ServerFault);
    }
}

fn resend_cause(failure: &Failure) -> ResendCause {
    if failure.outcome() == Outcome::Unknown {
        return ResendCause::NotStarted;
    }
    if failure.kind == Kind::Throttled {
        ResendCause::Throttled
    } else if failure.kind == Kind::Unavailable {
        ResendCause::Unavailable
    } else {
        ResendCause::Unreachable
    }
}
