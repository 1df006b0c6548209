//! A task followed to its end, over as many streams as that takes.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tonic::{Status, Streaming};

use super::{
    peer::NoAnswer,
    said::Said,
    service::{Client, Service},
    sight::Sight,
};
use crate::pb::{WatchIncidentTaskRequest, WatchIncidentTaskResponse};

/// The action is at its end, and has not completed.
const NOT_COMPLETED: u8 = 5;
/// The gateway itself ends its streams so, for another one to be begun.
const DRAINING: &str = "GATEWAY_DRAINING";
/// Graph's copies of a task agree after a moment.
const STALE: Duration = Duration::from_secs(1);
/// How long a gateway may be away that was there before.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest wait before another try where nobody has named one.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// One follower of a task.
pub(super) struct Follower<'a> {
    service: &'a Service,
    request: WatchIncidentTaskRequest,
    stream: Option<Streaming<WatchIncidentTaskResponse>>,
    shown: Option<Sight>,
    /// Until when the first state must be there.
    first_by: Instant,
    outage: Option<Outage>,
    /// The action was started, so that a task which does not show it is not at its end.
    is_started: bool,
    /// No further stream is begun before.
    not_before: Option<Instant>,
}

/// Since when nothing has come from a gateway that was there.
struct Outage {
    since: Instant,
    tries: u32,
    /// Whether it has been told.
    is_told: bool,
}

/// What there is to tell.
pub(super) enum News {
    /// The task is in another state.
    State(Box<Seen>),
    /// The stream is broken, and another one is begun.
    Lost(Box<Said>),
}

/// The task at one moment.
pub(super) struct Seen {
    pub(super) task: Sight,
    pub(super) is_final: bool,
    pub(super) graph_request_id: String,
}

// === impl Follower ===

impl<'a> Follower<'a> {
    pub(super) fn new(service: &'a Service, id: String, client_request_id: String) -> Self {
        Self {
            service,
            request: WatchIncidentTaskRequest {
                incident_task_id: id,
                client_request_id,
            },
            stream: None,
            shown: None,
            first_by: Instant::now() + service.gateway.timeout(),
            outage: None,
            is_started: false,
            not_before: None,
        }
    }

    /// The state at once, within the time of `--timeout`, then each change to the final one.
    /// A stream that ends before is begun again, where the gateway says so or nobody says
    /// anything. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<News, Said> {
        loop {
            if let Some(moment) = self.not_before {
                sleep_until(moment).await;
                self.not_before = None;
            }
            let message = match &mut self.stream {
                Some(stream) => stream.message().await.map_err(|status| Said::of(&status)),
                None => match self.begin().await {
                    Ok(stream) => {
                        self.stream = Some(stream);
                        continue;
                    }
                    Err(error) => Err(error.into()),
                },
            };
            match message {
                Ok(Some(message)) => {
                    self.outage = None;
                    if let Some(seen) = self.see(message) {
                        return Ok(News::State(Box::new(seen)));
                    }
                }
                Ok(None) => {
                    let status = Status::unknown("the stream ended before the task was at its end");
                    return Err(Said::of(&status));
                }
                Err(said) => {
                    self.stream = None;
                    let Some(wait) = self.wait_before_another(&said) else {
                        return Err(said);
                    };
                    self.not_before = Some(Instant::now() + wait);
                    if let Some(outage) = &mut self.outage
                        && !outage.is_told
                        && said.reason.as_deref() != Some(DRAINING)
                    {
                        outage.is_told = true;
                        return Ok(News::Lost(Box::new(said)));
                    }
                }
            }
        }
    }

    /// From now on the action is known to be started, whatever an old copy of the task shows.
    pub(super) fn expect_started(&mut self) {
        self.is_started = true;
    }

    /// What of it is to be told.
    fn see(&mut self, message: WatchIncidentTaskResponse) -> Option<Seen> {
        let seen = Seen {
            is_final: message.is_final,
            task: Sight::of(message.incident_task.unwrap_or_default()),
            graph_request_id: message.graph_request_id,
        };
        if seen.is_final {
            // Whoever asks once more sees it anew.
            self.stream = None;
            if self.is_started && seen.task.action_status == Some("NOT_STARTED") {
                self.not_before = Some(Instant::now() + STALE);
                return None;
            }
        }
        let shown = self.shown.as_ref();
        let is_news = shown.is_none_or(|shown| !shown.is_in_the_state_of(&seen.task));
        (is_news || seen.is_final).then(|| {
            self.shown = Some(seen.task.clone());
            seen
        })
    }

    async fn begin(&self) -> Result<Streaming<WatchIncidentTaskResponse>, NoAnswer> {
        let method = async |mut client: Client, request| client.watch_incident_task(request).await;
        self.service.stream(self.request.clone(), method).await
    }

    /// How long to wait, if another stream may bring more in time.
    fn wait_before_another(&mut self, said: &Said) -> Option<Duration> {
        let now = Instant::now();
        let named = said.retry_after_ms.map(Duration::from_millis);
        if self.shown.is_none() {
            return named.filter(|wait| now + *wait < self.first_by);
        }
        let outage = self.outage.get_or_insert(Outage {
            since: now,
            tries: 0,
            is_told: false,
        });
        outage.tries += 1;
        let pause = Duration::from_secs(1 << outage.tries.min(8)).min(MAX_PAUSE) / 2;
        // Without a word of the gateway's the connection is lost, or a proxy has cut it.
        let wait = named.or_else(|| said.reason.is_none().then_some(pause))?;
        (now + wait < outage.since + PATIENCE.max(wait * 2)).then_some(wait)
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
