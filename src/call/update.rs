//! A task's status is set: what an inquiry does, and the audit log hears of it.

use std::sync::Arc;

use super::{Call, Calls, ask::Tries};
use crate::{
    audit::{Act, Outcome},
    command::UpdateTask,
    failure::{Effect, Failure, Kind},
    graph::Answered,
    task::{Member as _, Task},
    telemetry,
};

impl Calls {
    /// Sets the status of one task, or says why not, before the deadline.
    ///
    /// It goes on to its end although its future is dropped: a shutdown waits for it, and
    /// the audit log hears of it.
    pub async fn update(&self, call: Arc<Call<UpdateTask>>) -> Result<Answered<Task>, Failure> {
        let calls = self.clone();
        let work = self.tasks.spawn(async move { calls.recorded(&call).await });
        work.await.unwrap_or_else(|panic| {
            let message =
                "the gateway failed while it handled the call, and the status may have been set";
            let mut failure = Failure::new(Kind::GatewayFault, message).because(panic);
            failure.in_doubt = true;
            Err(failure.with_effect(Effect::Update))
        })
    }

    async fn recorded(&self, call: &Call<UpdateTask>) -> Result<Answered<Task>, Failure> {
        let act = Act::SetStatus(call.command.what.status.as_str());
        let task_id = &call.command.what.task_id;
        let intent = || call.intent(act, task_id, call.credential.given());
        let entry = self.tools.auditing.record(intent).await;
        let entry = entry.map_err(|failure| failure.with_effect(Effect::Update))?;
        let mut tries = Tries::default();
        let answered = self.ask_by(call, &mut tries).await;
        entry.outcome(&self.outcome(&answered, tries));
        answered
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
