//! A task followed to its end, over as many streams as that takes.

use std::time::Duration;

use tokio::time::sleep;
use tonic::{Request, Status, Streaming};

use super::{
    peer::{Gateway, NoAnswer},
    said::Said,
    sight::Sight,
    token::Authorization,
};
use crate::pb::{
    WatchIncidentTaskRequest, WatchIncidentTaskResponse,
    incident_task_service_client::IncidentTaskServiceClient,
};

/// The action is at its end, and has not completed.
const NOT_COMPLETED: u8 = 5;
/// Streams in a row that bring nothing before this gives up.
const MAX_VAIN: u32 = 5;
/// The wait before another try where nobody has named one.
const PAUSE: Duration = Duration::from_secs(1);

/// One follower of a task.
pub(super) struct Follower<'a> {
    gateway: &'a Gateway,
    authorization: &'a Authorization,
    request: WatchIncidentTaskRequest,
    stream: Option<Streaming<WatchIncidentTaskResponse>>,
    shown: Option<Sight>,
    vain: u32,
}

/// The task at one moment.
pub(super) struct Seen {
    pub(super) task: Sight,
    pub(super) is_final: bool,
    pub(super) graph_request_id: String,
}

// === impl Follower ===

impl<'a> Follower<'a> {
    pub(super) fn new(
        gateway: &'a Gateway,
        authorization: &'a Authorization,
        id: String,
        client_request_id: String,
    ) -> Self {
        Self {
            gateway,
            authorization,
            request: WatchIncidentTaskRequest {
                incident_task_id: id,
                client_request_id,
            },
            stream: None,
            shown: None,
            vain: 0,
        }
    }

    /// The state at once, then each change to the final one. A stream that ends before is
    /// begun again, where the gateway says so or nobody says anything. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Seen, Said> {
        loop {
            let message = match &mut self.stream {
                Some(stream) => stream.message().await,
                None => match self.begin().await {
                    Ok(stream) => {
                        self.stream = Some(stream);
                        continue;
                    }
                    Err(NoAnswer::Failed(status)) => Err(status),
                    // Where it once was, it is likely to be again.
                    Err(NoAnswer::Unreachable(_)) if self.shown.is_some() && self.is_patient() => {
                        sleep(PAUSE).await;
                        continue;
                    }
                    Err(NoAnswer::Unreachable(error)) => return Err(Said::unreachable(&error)),
                },
            };
            match message {
                Ok(Some(message)) => {
                    self.vain = 0;
                    let seen = Seen {
                        is_final: message.is_final,
                        task: Sight::of(message.incident_task.unwrap_or_default()),
                        graph_request_id: message.graph_request_id,
                    };
                    let shown = self.shown.as_ref();
                    let is_news = shown.is_none_or(|shown| !shown.is_in_the_state_of(&seen.task));
                    if seen.is_final {
                        // Whoever asks once more sees it anew.
                        self.stream = None;
                    }
                    if is_news || seen.is_final {
                        self.shown = Some(seen.task.clone());
                        return Ok(seen);
                    }
                }
                Ok(None) => {
                    let status = Status::unknown("the stream ended before the task was at its end");
                    return Err(Said::of(&status));
                }
                Err(status) => {
                    self.stream = None;
                    let said = Said::of(&status);
                    let wait = self.wait_before_another(&said).ok_or(said)?;
                    sleep(wait).await;
                }
            }
        }
    }

    async fn begin(&self) -> Result<Streaming<WatchIncidentTaskResponse>, NoAnswer> {
        let call = async |channel, mut request: Request<_>| {
            self.authorization.add_to(&mut request);
            IncidentTaskServiceClient::new(channel)
                .watch_incident_task(request)
                .await
        };
        self.gateway.stream(self.request.clone(), call).await
    }

    /// How long to wait, if another stream may bring more.
    fn wait_before_another(&mut self, said: &Said) -> Option<Duration> {
        let named = said.retry_after_ms.map(Duration::from_millis);
        // Without a word of the gateway's the connection is lost, or a proxy has cut it.
        let is_cut = said.reason.is_none() && self.shown.is_some();
        let wait = named.or_else(|| is_cut.then_some(PAUSE))?;
        self.is_patient().then_some(wait)
    }

    fn is_patient(&mut self) -> bool {
        self.vain += 1;
        self.vain < MAX_VAIN
    }
}

// === impl Seen ===

impl Seen {
    /// 0 only when the action has completed.
    pub(super) fn exit_code(&self) -> u8 {
        match self.task.action_status {
            Some("COMPLETED") => 0,
            _ => NOT_COMPLETED,
        }
    }

    /// Whether the action is known to have been started.
    pub(super) fn is_started(&self) -> bool {
        matches!(
            self.task.action_status,
            Some("COMPLETED" | "FAILED" | "PARTIALLY_COMPLETED")
        )
    }
}
