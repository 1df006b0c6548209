//! Looks at the task: what it shows where an answer does not.

use std::future::pending;

use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::work::Work;
use crate::{
    command::{Command, GetTask},
    credentials::Grant,
    failure::{Failure, Kind},
    graph::{Answered, Ask, Departed, Departure},
    retry::Reconciliation,
    task::{ActionStatus, Open, Task},
    telemetry::Reconciled,
};

/// What a look at the task has shown of its action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// How far it is.
    pub(super) action_status: ActionStatus,
    /// Graph's `request-id` of this reading.
    pub(super) graph_request_id: Option<String>,
}

/// The most looks at a time. Where thousands of calls hang, Graph is in trouble: as many
/// looks would be no help, and giving them up at once would make Graph's side end the
/// connection as under a "rapid reset" attack, with every POST on it.
pub(super) const MAX_LOOKS: usize = 100;

/// The most tries to find a connection for one look.
const MAX_LOOK_TRIES: u32 = 3;

impl Work {
    /// The task, once it shows near the end of the caller's time that the action has
    /// been started, although the POST is not answered yet. Else it never ends.
    pub(super) async fn seen_started(&self, departure: &Departure, grant: &Grant) -> Seen {
        if self.tools.policy.reconciliation != Reconciliation::Off {
            let share = self.tools.look_timeout;
            // A POST that still waits for its connection then is looked at later.
            loop {
                sleep_until(self.call.deadline.look_at(share, Instant::now())).await;
                if departure.state() != Departed::NotYet
                    || self.call.deadline.has_passed(Instant::now())
                {
                    break;
                }
            }
            if departure.state() == Departed::Yes
                && let Some(seen) = self.look(grant).await
                && seen.action_status.is_started()
            {
                return seen;
            }
        }
        pending().await
    }

    /// The task as it is now, if Graph shows it in time. A token that Graph refuses
    /// meanwhile is renewed once: a doubt is worth it.
    ///
    /// Boxed: every call that waits for Graph would have the room for it, and few look.
    pub(super) fn look<'a>(&'a self, grant: &'a Grant) -> BoxFuture<'a, Option<Seen>> {
        self.look_now(grant).boxed()
    }

    async fn look_now(&self, grant: &Grant) -> Option<Seen> {
        let most = self.tools.look_timeout;
        let timeout = match self.progress.left() {
            Some(_) => most,
            None => most.min(self.call.deadline.remaining(Instant::now())),
        };
        let until = Instant::now() + timeout;
        let mut seen = self.look_until(until, grant).await;
        if let Err(failure) = &seen
            && failure.kind.refuses_token()
            && let Ok(Ok(Some(renewed))) = timeout_at(
                until,
                self.call.credential.renew(grant, failure.claims.as_deref()),
            )
            .await
        {
            seen = self.look_until(until, &renewed).await;
        }
        self.tools.metrics.reconciliation(match &seen {
            Ok(seen) if seen.action_status.is_started() => Reconciled::Started,
            Ok(_) => Reconciled::NotStarted,
            Err(_) => Reconciled::Unseen,
        });
        match seen {
            Ok(seen) => Some(seen),
            Err(failure) => {
                self.tools.heed(&failure, grant);
                tracing::info!(
                    parent: self.call.span.span(),
                    client_request_id = self.call.command.client_request_id.as_str(),
                    error = &failure as &dyn std::error::Error,
                    "the task could not be looked at"
                );
                None
            }
        }
    }

    /// One reading, or more where there is no connection for it: several that wait for the
    /// same one all fail when whoever makes it leaves.
    async fn look_until(&self, until: Instant, grant: &Grant) -> Result<Seen, Failure> {
        let Ok(_turn) = timeout_at(until, self.tools.looks.acquire()).await else {
            let message = "too many tasks are being looked at";
            return Err(Failure::new(Kind::GatewayOverloaded, message));
        };
        let command = Command {
            what: GetTask {
                task_id: self.call.command.what.task_id.clone(),
            },
            client_request_id: self.call.command.client_request_id.clone(),
        };
        let mut tries = 1;
        loop {
            let answered = self.tools.graph.ask(Ask {
                command: &command,
                authorization: grant.authorization(),
                number: tries,
                settles_doubt: true,
                until,
                parent: self.call.span.span(),
            });
            match answered.await {
                Err(failure) if failure.kind == Kind::Unreachable && tries < MAX_LOOK_TRIES => {
                    tries += 1;
                }
                answered => return answered.and_then(seen),
            }
        }
    }
}

/// A state that is not known here says nothing about the action.
fn seen(answered: Answered<Task>) -> Result<Seen, Failure> {
    let action_status = answered.found.action_status.as_ref().and_then(Open::known);
    match action_status {
        Some(action_status) => Ok(Seen {
            action_status,
            graph_request_id: answered.graph_request_id,
        }),
        None => Err(Failure::new(
            Kind::UnreadableReply,
            "the task shows no state of its action that is known",
        )),
    }
}
