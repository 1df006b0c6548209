//! A call that may be made again: it reads, or sets what it sets.

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::{Call, Calls, access::Access, left::Interruption, tools::Tools};
use crate::{
    command::Command,
    credentials::Credential,
    deadline::Deadline,
    failure::{Effect, Failure, Kind, Outcome},
    graph::{Answered, Ask, Inquiry},
    retry::{Course, Finding, Next},
};

/// One inquiry: what, as whom, until when.
#[derive(Debug)]
pub(super) struct Asking<'a, I> {
    pub(super) command: &'a Command<I>,
    pub(super) credential: &'a Credential,
    pub(super) deadline: Deadline,
    /// The span of the call.
    pub(super) parent: &'a Span,
    /// Once nobody waits any more, nothing further is begun.
    pub(super) left: &'a CancellationToken,
}

/// The requests that were made for an inquiry.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tries {
    pub(super) count: u32,
    /// Whether nobody knows what became of one of them.
    pub(super) in_doubt: bool,
    /// Whether one is under way.
    is_under_way: bool,
}

impl Calls {
    /// Asks Graph, again where that may help, until there is an answer or the deadline
    /// comes.
    ///
    /// Cancel-safe where the inquiry only reads.
    pub async fn ask<I: Inquiry>(&self, call: &Call<I>) -> Result<Answered<I::Found>, Failure> {
        let (mut tries, left) = (Tries::default(), CancellationToken::new());
        self.ask_by(call, &mut tries, &left).await
    }

    /// The same; how far it came is told whatever it came to.
    pub(super) async fn ask_by<I: Inquiry>(
        &self,
        call: &Call<I>,
        tries: &mut Tries,
        left: &CancellationToken,
    ) -> Result<Answered<I::Found>, Failure> {
        let asking = Asking {
            command: &call.command,
            credential: &call.credential,
            deadline: call.deadline,
            parent: call.span.span(),
            left,
        };
        let answered = tokio::select! {
            biased;
            answered = self.tools.ask(asking, tries) => Ok(answered),
            () = sleep_until(call.deadline.answer_by()) => Err(Interruption::DeadlinePassed),
            () = self.ending.cancelled() => Err(Interruption::GatewayEnds),
        };
        answered.unwrap_or_else(|interruption| {
            // What was under way then has no end that anybody knows.
            tries.in_doubt |= tries.is_under_way;
            let failure = interrupted(interruption, tries.count);
            Err(completed(
                failure,
                call.command.client_request_id.as_str(),
                *tries,
                I::EFFECT,
            ))
        })
    }
}

/// What a caller is told whose call ended before its work, after so many requests.
pub(super) fn interrupted(interruption: Interruption, tries: u32) -> Failure {
    match (interruption, tries) {
        (Interruption::DeadlinePassed, 0) => Failure::new(
            Kind::DeadlineBeforeSend,
            "the deadline passed before anything was sent to Graph",
        ),
        (Interruption::DeadlinePassed, _) => Failure::new(
            Kind::DeadlineAfterSend,
            "the deadline passed before Graph answered",
        ),
        (Interruption::GatewayEnds, _) => Failure::new(
            Kind::GatewayDraining,
            "this gateway is shutting down; send the call again",
        ),
    }
}

/// The failure of a call, with all that is known of it. A doubt that its message does not
/// tell is added.
fn completed(
    mut failure: Failure,
    client_request_id: &str,
    tries: Tries,
    effect: Effect,
) -> Failure {
    let doubt = effect.doubt().filter(|_| tries.in_doubt);
    if let Some(doubt) = doubt.filter(|doubt| !failure.message.contains(doubt)) {
        failure.message = format!(
            "{}; {doubt} by a request whose answer was lost",
            failure.message
        )
        .into();
    }
    failure.attempts = tries.count;
    failure.in_doubt = tries.in_doubt;
    failure
        .client_request_id
        .get_or_insert_with(|| client_request_id.to_owned());
    failure.with_effect(effect)
}

impl Tools {
    /// The same, but for the end at the deadline and that of the gateway.
    pub(super) async fn ask<I: Inquiry>(
        &self,
        asking: Asking<'_, I>,
        tries: &mut Tries,
    ) -> Result<Answered<I::Found>, Failure> {
        let answered = self.ask_until(&asking, tries).await;
        let id = asking.command.client_request_id.as_str();
        answered.map_err(|failure| completed(failure, id, *tries, I::EFFECT))
    }

    async fn ask_until<I: Inquiry>(
        &self,
        asking: &Asking<'_, I>,
        tries: &mut Tries,
    ) -> Result<Answered<I::Found>, Failure> {
        let Asking {
            command,
            credential,
            deadline,
            parent,
            left,
        } = *asking;
        let remaining = || deadline.remaining(Instant::now());
        let too_late = || interrupted(Interruption::DeadlinePassed, 0);
        let grant = left.run_until_cancelled(self.grant(credential, remaining));
        let mut access = Access::new(grant.await.ok_or_else(too_late)??);
        let mut last = None;
        loop {
            let pass = left.run_until_cancelled(self.pass(&access.grant, deadline, I::EFFECT));
            let passed = pass.await.transpose()?;
            if passed.is_none() || deadline.has_passed(Instant::now()) {
                // Nothing is begun any more; what is known is what came last.
                return Err(last.unwrap_or_else(too_late));
            }
            tries.count += 1;
            tries.is_under_way = true;
            let answered = self.graph.ask(Ask {
                command,
                authorization: access.grant.authorization(),
                number: tries.count,
                settles_doubt: false,
                // The call's own alarm comes first, and tells it better.
                until: deadline.expires(),
                parent,
            });
            let answered = answered.await;
            tries.is_under_way = false;
            let failure = match answered {
                Ok(answered) => {
                    self.inquiry_budget.succeeded();
                    return Ok(answered);
                }
                Err(failure) => failure,
            };
            tries.in_doubt |= failure.kind.outcome() == Outcome::Unknown;
            self.heed(&failure, &access.grant);
            if failure.may_be_sent_again() {
                self.inquiry_budget.failed();
            }
            let course = Course {
                tries: tries.count,
                may_renew: access.may_renew(credential),
                within_budget: self.inquiry_budget.allows(),
                ..self.course(remaining())
            };
            let finding = Finding::Failed(&failure);
            let next = self.policy.decide(finding, &course, rand::random());
            let prepared = left.run_until_cancelled(async {
                match next {
                    Next::Wait(delay) => {
                        sleep(delay).await;
                        access.freshen(credential).await.map(|()| true)
                    }
                    Next::Renew => access.renew(credential, &failure).await.map(|()| true),
                    Next::Stop | Next::Reconcile => Ok(false),
                }
            });
            if prepared.await.transpose()? != Some(true) {
                return Err(failure);
            }
            last = Some(failure);
        }
    }
}
