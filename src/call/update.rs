//! A task's status is set: what an inquiry does, and the audit log hears of it.

use std::sync::Arc;

use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use super::{
    Call, Calls,
    ask::{Tries, interrupted},
    left::{CANCELLED, Interruption},
};
use crate::{
    audit::{Act, Entry, Outcome},
    command::UpdateTask,
    failure::{Effect, Failure, Kind},
    graph::Answered,
    task::{Member as _, Task},
    telemetry,
};

impl Calls {
    /// Sets the status of one task, or says why not, before the deadline.
    ///
    /// Dropping the future does not end a request that may have left: it comes to its end in
    /// a task of its own, which a shutdown waits for, and the audit log hears of it. Nothing
    /// more is begun then: the caller may have set another status meanwhile.
    pub async fn update(&self, call: Arc<Call<UpdateTask>>) -> Result<Answered<Task>, Failure> {
        // From here on it answers by itself.
        call.place.begin();
        let left = CancellationToken::new();
        let leaving = left.clone().drop_guard();
        let calls = self.clone();
        let work = self
            .tasks
            .spawn(async move { calls.recorded(&call, &left).await });
        let answered = work.await.unwrap_or_else(|panic| {
            let message =
                "the gateway failed while it handled the call, and the status may have been set";
            let mut failure = Failure::new(Kind::GatewayFault, message).because(panic);
            failure.in_doubt = true;
            Err(failure.with_effect(Effect::Update))
        });
        leaving.disarm();
        answered
    }

    async fn recorded(
        &self,
        call: &Call<UpdateTask>,
        left: &CancellationToken,
    ) -> Result<Answered<Task>, Failure> {
        let entry = self.intent(call, left).await;
        let entry = entry.map_err(|failure| failure.with_effect(Effect::Update))?;
        let mut tries = Tries::default();
        let answered = self.ask_by(call, &mut tries, left).await;
        let mut outcome = self.outcome(&answered, tries);
        if left.is_cancelled() {
            outcome.code = CANCELLED;
        }
        entry.outcome(&outcome);
        answered
    }

    /// The intent stands in the audit log, which may take its time, before anything leaves.
    async fn intent(
        &self,
        call: &Call<UpdateTask>,
        left: &CancellationToken,
    ) -> Result<Entry, Failure> {
        let act = Act::SetStatus(call.command.what.status.as_str());
        let task_id = &call.command.what.task_id;
        let intent = || call.intent(act, task_id, call.credential.given());
        let interruption = tokio::select! {
            biased;
            entry = self.tools.auditing.record(intent) => return entry,
            () = sleep_until(call.deadline.answer_by()) => Interruption::DeadlinePassed,
            () = left.cancelled() => Interruption::DeadlinePassed,
            () = self.ending.cancelled() => Interruption::GatewayEnds,
        };
        Err(interrupted(interruption, 0))
    }

    fn outcome(&self, answered: &Result<Answered<Task>, Failure>, tries: Tries) -> Outcome {
        let (code, reason) = match answered {
            Ok(_) => ("OK", None),
            Err(failure) => {
                let (code, reason) = (self.tools.auditing.describe)(failure);
                (code, Some(reason))
            }
        };
        Outcome {
            outcome: match answered {
                Ok(_) => telemetry::Outcome::Started,
                Err(failure) if failure.in_doubt => telemetry::Outcome::Unknown,
                Err(_) => telemetry::Outcome::NotStarted,
            },
            code,
            reason,
            graph_request_id: match answered {
                Ok(answered) => answered.graph_request_id.clone(),
                Err(failure) => failure
                    .reply
                    .as_ref()
                    .and_then(|reply| reply.request_id.clone()),
            },
            attempts: tries.count,
        }
    }
}
