//! What the tasks of pending calls show now.

use std::{error::Error as _, iter, sync::OnceLock, time::Duration};

use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::{
    audit::pending::PendingCall,
    command::{ClientRequestId, Command, GetTask, TaskId},
    credentials::Credential,
    failure::{Failure, Kind},
    graph::{Ask, GraphClient},
    task::{ActionStatus, Member as _, Open},
};

/// A success that says nothing.
const NO_STATE: &str = " without a state that is known";
/// The most tasks that are asked for at a time.
const AT_A_TIME: usize = 8;

/// What a task shows now of its action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Now {
    /// How far it is.
    Seen(ActionStatus),
    /// Nothing, and why.
    Unknown(String),
}

/// Asks Graph.
pub(super) struct Inquiry {
    pub(super) graph: GraphClient,
    pub(super) credential: Credential,
    /// The most time for one task.
    pub(super) limit: Duration,
}

/// The same as members of a JSON object. `NOT_STARTED` holds for the moment of asking alone.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown<'a> {
    now: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    action_status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

// === impl Now ===

impl Now {
    /// As a cell of the table.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Seen(status) if status.is_started() => format!("started ({})", status.as_str()),
            Self::Seen(_) => "not started, as yet".to_owned(),
            Self::Unknown(why) => format!("unknown: {why}"),
        }
    }

    /// As JSON.
    pub(super) fn shown(&self) -> Shown<'_> {
        let (now, action_status, why) = match self {
            Self::Seen(status) if status.is_started() => ("STARTED", Some(status.as_str()), None),
            Self::Seen(status) => ("NOT_STARTED", Some(status.as_str()), None),
            Self::Unknown(why) => ("UNKNOWN", None, Some(&**why)),
        };
        Shown {
            now,
            action_status,
            why,
        }
    }
}

// === impl Inquiry ===

impl Inquiry {
    /// One answer for each call, in their order. Once interrupted, no task is asked for
    /// any longer.
    pub(super) async fn ask(
        &self,
        calls: &[PendingCall],
        interrupted: &CancellationToken,
    ) -> Vec<Now> {
        let given_up = OnceLock::new();
        let answers = calls.iter().map(async |call| {
            tokio::select! {
                biased;
                () = interrupted.cancelled() => Now::Unknown("interrupted".to_owned()),
                now = self.look(call, &given_up) => now,
            }
        });
        stream::iter(answers).buffered(AT_A_TIME).collect().await
    }

    /// `given_up`: why no further task is to be asked for.
    async fn look(&self, call: &PendingCall, given_up: &OnceLock<String>) -> Now {
        if let Some(why) = given_up.get() {
            return Now::Unknown(why.clone());
        }
        let command = match command(call) {
            Ok(command) => command,
            Err(why) => return Now::Unknown(why.to_owned()),
        };
        let nobody = Span::none();
        let grant = match self.credential.grant().await {
            Ok(grant) => grant,
            Err(failure) => {
                return Now::Unknown(given_up.get_or_init(|| failure.to_string()).clone());
            }
        };
        let ask = Ask {
            command: &command,
            authorization: grant.authorization(),
            number: 1,
            settles_doubt: true,
            until: Instant::now() + self.limit,
            parent: &nobody,
        };
        match self.graph.ask(ask).await {
            Ok(answered) => {
                let status = answered.found.action_status.as_ref().and_then(Open::known);
                let unknown = || format!("Graph answered HTTP {}{NO_STATE}", answered.status);
                status.map_or_else(|| Now::Unknown(unknown()), Now::Seen)
            }
            Err(failure) => {
                let concerns_all = concerns_all(&failure);
                let why = why(failure, self.limit);
                if concerns_all {
                    given_up.get_or_init(|| format!("not asked, since {why}"));
                }
                Now::Unknown(why)
            }
        }
    }
}

/// What a log says may be anything; only what a call can have asked for goes to Graph.
fn command(call: &PendingCall) -> Result<Command<GetTask>, &'static str> {
    Ok(Command {
        what: GetTask {
            task_id: TaskId::parse(call.task_id.clone()).map_err(|_| "not a task id")?,
        },
        client_request_id: ClientRequestId::parse_or_new(call.client_request_id.clone())
            .map_err(|_| "not a client-request-id")?,
    })
}

/// Why a task was not seen. What the failure says of an answer is about a POST, and would
/// claim what a reading cannot know.
fn why(failure: Failure, limit: Duration) -> String {
    let Some(reply) = &failure.reply else {
        return if failure.source().is_none() {
            let limit = humantime::format_duration(limit);
            format!("no answer within {limit}")
        } else {
            format!("{:#}", anyhow::Error::new(failure))
        };
    };
    let status = reply.status;
    let code = reply.code.iter().map(|code| format!(" {code}"));
    let message = reply.message.iter().map(|message| format!(": {message}"));
    let no_state = NO_STATE.to_owned();
    iter::once(format!("Graph answered HTTP {status}"))
        .chain(code)
        .chain(message)
        .chain((status < 300).then_some(no_state))
        .collect()
}

/// Whether the next task would fare no better: Graph asks to wait, or takes no such token.
fn concerns_all(failure: &Failure) -> bool {
    failure.named_delay().is_some()
        || failure.kind == Kind::Throttled
        || failure.kind.refuses_token()
}
