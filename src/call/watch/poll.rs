//! The loop that reads one task for all its watchers.

use std::{
    collections::HashMap,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::FutureExt;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::{Key, Loop, Reading, cadence::Cadence};
use crate::{
    call::{
        ask::{Asking, Tries},
        places::overloaded,
        tools::Tools,
    },
    command::{ClientRequestId, Command, GetTask},
    credentials::Credential,
    deadline::Deadline,
    failure::{Effect, Failure, Kind},
    graph::Answered,
    task::Task,
    telemetry::LevelGuard,
};

/// The most time for one reading and its repetitions.
const POLL_TIME: Duration = Duration::from_secs(30);
/// The longest that somebody who has come waits for a turn.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// One loop. Dropped, by a panic too, it is nobody's any more.
#[derive(Debug)]
pub(super) struct Poll {
    tools: Arc<Tools>,
    key: Key,
    shared: Arc<Loop>,
    credential: Credential,
    cadence: Cadence,
    /// Since when it cannot be read.
    failing_since: Option<Instant>,
    _counted: LevelGuard,
}

/// Why the task is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Somebody has come.
    Arrival,
    /// It is time again.
    Turn,
}

// === impl Poll ===

impl Poll {
    pub(super) fn new(
        tools: Arc<Tools>,
        key: Key,
        shared: Arc<Loop>,
        credential: Credential,
    ) -> Self {
        Self {
            cadence: Cadence::new(&tools.watches.watching),
            _counted: tools.metrics.task_watched(),
            tools,
            key,
            shared,
            credential,
            failing_since: None,
        }
    }

    /// Reads until the task is at its end, cannot be read, or has no watcher left.
    pub(super) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut turn = None;
        loop {
            turn = tokio::select! {
                biased;
                () = shared.latest.closed() => None,
                next = self.step(turn) => next,
            };
            // If it is not left, somebody has come meanwhile.
            if turn.is_none() && self.leave() {
                return;
            }
        }
    }

    /// One reading, and the wait after it; why it is the turn of another one. Nothing at
    /// the end.
    async fn step(&mut self, turn: Option<Why>) -> Option<Why> {
        self.shared.latest.send_if_modified(|latest| {
            latest.is_polled = true;
            // Nobody waits for that.
            false
        });
        // This reading is for them.
        self.shared.wanted.notified().now_or_never();
        let why = match turn {
            Some(why) => why,
            None if self.arrive().await => Why::Arrival,
            None => return None,
        };
        let answered = self.read().await;
        let wait = self.publish(answered, why)?;
        let again = async {
            sleep(wait).await;
            self.tools.watches.pace.turn().await;
        };
        let mut again = pin!(again);
        loop {
            let somebody = async {
                self.shared.wanted.notified().await;
                self.arrive().await
            };
            // Who comes and gets no turn is not to cost the others theirs.
            tokio::select! {
                () = &mut again => return Some(Why::Turn),
                may_come = somebody => if may_come {
                    return Some(Why::Arrival);
                },
            }
        }
    }

    /// Whether who has come gets a turn in time; otherwise they are told that. They do not
    /// wait for those who are there, but not too many come at once.
    async fn arrive(&self) -> bool {
        let turn = self.tools.watches.arrivals.turn();
        let is_in_time = timeout(MAX_WAIT, turn).await.is_ok();
        if !is_in_time {
            let failure = overloaded(
                "too many tasks have begun to be watched at once; watch the task again later",
            );
            self.shared.latest.send_modify(|latest| {
                latest.fail(failure, true);
            });
        }
        is_in_time
    }

    async fn read(&self) -> Result<Answered<Task>, Failure> {
        let command = Command {
            what: GetTask {
                task_id: self.key.task_id.clone(),
            },
            client_request_id: ClientRequestId::random(),
        };
        // It is nobody's call alone, so that it is no part of anybody's trace.
        let (nobody, left) = (Span::none(), CancellationToken::new());
        let asking = Asking {
            command: &command,
            credential: &self.credential,
            deadline: Deadline::new(Instant::now(), POLL_TIME),
            parent: &nobody,
            left: &left,
        };
        self.tools.ask(asking, &mut Tries::default()).await
    }

    /// Tells the watchers, and how long to wait before the next reading. Nothing at the end.
    fn publish(&mut self, answered: Result<Answered<Task>, Failure>, why: Why) -> Option<Duration> {
        let now = Instant::now();
        match answered {
            Ok(answered) => {
                self.failing_since = None;
                let reading = Reading {
                    task: answered.found,
                    graph_request_id: answered.graph_request_id,
                    read_at: SystemTime::now(),
                    at: now,
                };
                let is_final = reading.task.is_final();
                let mut has_changed = true;
                self.shared.latest.send_modify(|latest| {
                    let last = latest.reading.as_ref();
                    has_changed = last.is_none_or(|last| last.task.differs_in_state(&reading.task));
                    latest.reading = Some(Arc::new(reading));
                    latest.readings += 1;
                    latest.is_polled = false;
                    latest.is_over = is_final;
                });
                (!is_final).then(|| self.wait(has_changed, why))
            }
            Err(failure) => {
                let named = failure.named_delay().unwrap_or_default();
                let since = *self.failing_since.get_or_insert(now);
                // The time for a reading is the gateway's own, and no caller's.
                let is_late = matches!(
                    failure.kind,
                    Kind::DeadlineBeforeSend | Kind::DeadlineAfterSend
                );
                let passes = (is_late || failure.may_be_sent_again())
                    && now - since + named < self.tools.watches.watching.max_silence;
                let mut goes_on = passes;
                self.shared.latest.send_modify(|latest| {
                    latest.fail(failure, passes);
                    goes_on = !latest.is_over;
                });
                goes_on.then(|| self.wait(false, why).max(named))
            }
        }
    }

    /// Those who come do not make the others wait longer.
    fn wait(&mut self, has_changed: bool, why: Why) -> Duration {
        if why == Why::Turn || has_changed {
            self.cadence.after(has_changed, rand::random())
        } else {
            self.cadence.current()
        }
    }

    /// Gives the loop up, unless somebody has come who has a use for it.
    fn leave(&self) -> bool {
        let mut loops = self.tools.watches.loops();
        let is_over = self.shared.latest.borrow().is_over;
        // Whoever joins holds the lock, so that nobody comes between.
        let is_left = is_over || self.shared.latest.receiver_count() == 0;
        if is_left {
            self.forget(&mut loops);
        }
        is_left
    }

    /// Whoever comes from now on begins another loop, and may have done so already.
    fn forget(&self, loops: &mut HashMap<Key, Arc<Loop>>) {
        let is_own = |found: &Arc<Loop>| Arc::ptr_eq(found, &self.shared);
        if loops.get(&self.key).is_some_and(is_own) {
            loops.remove(&self.key);
        }
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        self.forget(&mut self.tools.watches.loops());
        // After a panic; watchers have heard whatever else there was to tell.
        self.shared.latest.send_if_modified(|latest| {
            let is_untold = !latest.is_over;
            if is_untold {
                let message = "the gateway failed while it read the task";
                let failure = Failure::new(Kind::GatewayFault, message);
                latest.fail(failure.with_effect(Effect::Nothing), false);
            }
            is_untold
        });
    }
}
