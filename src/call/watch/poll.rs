//! The loop that reads one task for all its watchers.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::{Instant, sleep};
use tracing::Span;

use super::{Key, Latest, Loop, Reading, cadence::Cadence};
use crate::{
    call::{
        ask::{Asking, Tries},
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
/// After so many readings in a row that failed, and might have succeeded, the watchers are
/// told.
const MAX_FAILURES: u32 = 5;

/// One loop. Dropped, by a panic too, it is nobody's any more.
#[derive(Debug)]
pub(super) struct Poll {
    tools: Arc<Tools>,
    key: Key,
    shared: Arc<Loop>,
    credential: Credential,
    cadence: Cadence,
    /// Readings in a row that have failed.
    failures: u32,
    _counted: LevelGuard,
}

/// What is to be done after a reading.
#[derive(Debug)]
enum Then {
    /// Read again in a while.
    Wait(Duration),
    /// Nothing is left to be read, or nothing can be.
    End,
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
            failures: 0,
        }
    }

    /// Reads until the task is at its end, cannot be read, or has no watcher left.
    pub(super) async fn run(mut self) {
        self.tools.watches.pace.without_turn(Instant::now());
        let shared = Arc::clone(&self.shared);
        loop {
            let goes_on = tokio::select! {
                biased;
                () = shared.latest.closed() => false,
                goes_on = self.step() => goes_on,
            };
            if !goes_on && self.leave() {
                return;
            }
        }
    }

    /// One reading, and the wait after it. `false` at the end.
    async fn step(&mut self) -> bool {
        self.shared.latest.send_if_modified(|latest| {
            latest.is_polled = true;
            // Nobody waits for that.
            false
        });
        let answered = self.read().await;
        match self.publish(answered) {
            Then::End => false,
            Then::Wait(wait) => {
                tokio::select! {
                    () = self.rest(wait) => {}
                    () = self.shared.wanted.notified() => {
                        self.tools.watches.pace.without_turn(Instant::now());
                    }
                }
                true
            }
        }
    }

    async fn rest(&self, wait: Duration) {
        sleep(wait).await;
        let turn = self.tools.watches.pace.turn(Instant::now());
        sleep(turn).await;
    }

    async fn read(&self) -> Result<Answered<Task>, Failure> {
        let command = Command {
            what: GetTask {
                task_id: self.key.task_id.clone(),
            },
            client_request_id: ClientRequestId::random(),
        };
        // It is nobody's call alone, so that it is no part of anybody's trace.
        let nobody = Span::none();
        let asking = Asking {
            command: &command,
            credential: &self.credential,
            deadline: Deadline::new(Instant::now(), POLL_TIME),
            parent: &nobody,
        };
        self.tools.ask(asking, &mut Tries::default()).await
    }

    /// Tells the watchers, and decides what is next.
    fn publish(&mut self, answered: Result<Answered<Task>, Failure>) -> Then {
        let random = rand::random();
        match answered {
            Ok(answered) => {
                self.failures = 0;
                let reading = Reading {
                    task: answered.found,
                    graph_request_id: answered.graph_request_id,
                    read_at: SystemTime::now(),
                    at: Instant::now(),
                };
                let is_final = reading.task.is_final();
                let mut has_changed = true;
                self.shared.latest.send_modify(|latest| {
                    let last = latest.reading.as_ref();
                    has_changed = last.is_none_or(|last| last.task.differs_in_state(&reading.task));
                    latest.reading = Some(Arc::new(reading));
                    latest.polls += 1;
                    latest.is_polled = false;
                });
                if is_final {
                    Then::End
                } else {
                    Then::Wait(self.cadence.after(has_changed, random))
                }
            }
            Err(failure) => {
                let is_asked_to_wait = failure.kind == Kind::Throttled;
                self.failures += u32::from(!is_asked_to_wait);
                let may_go_on = failure.may_be_sent_again() && self.failures < MAX_FAILURES;
                let mut goes_on = false;
                self.shared.latest.send_modify(|latest| {
                    latest.polls += 1;
                    latest.is_polled = false;
                    // Whoever has seen nothing yet is told at once.
                    goes_on = may_go_on && latest.reading.is_some();
                    if !goes_on {
                        latest.ended = Some(failure.clone());
                    }
                });
                if !goes_on {
                    return Then::End;
                }
                let named = failure.named_delay().unwrap_or_default();
                Then::Wait(self.cadence.after(false, random).max(named))
            }
        }
    }

    /// Gives the loop up, unless it still has something to tell to somebody.
    fn leave(&self) -> bool {
        let mut loops = self.tools.watches.loops();
        let is_over = {
            let latest = self.shared.latest.borrow();
            latest.ended.is_some()
                || latest
                    .reading
                    .as_ref()
                    .is_some_and(|reading| reading.task.is_final())
        };
        // Whoever joins holds the lock, so that nobody comes between.
        let is_left = is_over || self.shared.latest.receiver_count() == 0;
        if is_left {
            loops.remove(&self.key);
        }
        is_left
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        let mut loops = self.tools.watches.loops();
        let is_own = |found: &Arc<Loop>| Arc::ptr_eq(found, &self.shared);
        if loops.get(&self.key).is_some_and(is_own) {
            loops.remove(&self.key);
        }
        drop(loops);
        // After a panic; watchers have seen whatever else there was to tell.
        self.shared.latest.send_if_modified(|latest| {
            let Latest { reading, ended, .. } = latest;
            let is_final = reading
                .as_ref()
                .is_some_and(|reading| reading.task.is_final());
            let is_untold = ended.is_none() && !is_final;
            if is_untold {
                let message = "the gateway failed while it read the task";
                let failure = Failure::new(Kind::GatewayFault, message);
                *ended = Some(failure.with_effect(Effect::Nothing));
            }
            is_untold
        });
    }
}
