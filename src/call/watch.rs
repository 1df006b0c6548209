//! Tasks that somebody follows: each is read by one loop for all its watchers.
//!
//! | file | does |
//! |---|---|
//! | `cadence` | when a task is read again, and how often all of them are |
//! | `poll` | the loop that reads one task |
//! | `watcher` | what one follower sees of it |
//!
//! Watchers share a loop where Graph sees the same identity behind them: what one caller may
//! read, another may not. A loop keeps its last reading only, and its watchers take it at
//! their own pace, so that a slow one holds nobody up.

mod cadence;
mod poll;
mod watcher;

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

pub use self::watcher::{Update, Watcher};
use self::{cadence::Pace, poll::Poll};
use super::{Call, Calls, ask::interrupted, left::Interruption};
use crate::{
    command::{GetTask, TaskId},
    credentials::Identity,
    deadline::Deadline,
    failure::{Effect, Failure},
    task::Task,
};

/// How often a task is read for those who follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watching {
    /// The time between two readings of a task that has just changed.
    pub min_interval: Duration,
    /// The same once nothing has changed for long.
    pub max_interval: Duration,
    /// The most readings of all tasks together.
    pub polls_per_minute: u32,
}

/// All loops.
#[derive(Debug)]
pub(super) struct Watches {
    watching: Watching,
    pace: Pace,
    loops: Mutex<HashMap<Key, Arc<Loop>>>,
}

/// Which loop: of which task, for whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    task_id: TaskId,
    identity: Identity,
}

/// What a loop and its watchers share.
#[derive(Debug)]
struct Loop {
    latest: watch::Sender<Latest>,
    /// Somebody has come who wants to see the task as it is now.
    wanted: Notify,
}

/// The last that a loop has to tell.
#[derive(Debug, Clone, Default)]
struct Latest {
    reading: Option<Arc<Reading>>,
    /// How many times Graph was asked, whatever it said.
    polls: u64,
    /// Whether it is being asked now.
    is_polled: bool,
    /// Why there are no more readings.
    ended: Option<Failure>,
}

/// The task at one moment.
#[derive(Debug)]
pub struct Reading {
    /// The task.
    pub task: Task,
    /// Graph's `request-id`.
    pub graph_request_id: Option<String>,
    /// When it was read.
    pub read_at: SystemTime,
    at: Instant,
}

impl Calls {
    /// Follows a task: the first state is there when this returns, before the call's own
    /// deadline. `until` is when the caller stops following, and `closing` ends every watch
    /// of its connection.
    ///
    /// Cancel-safe.
    pub async fn watch(
        &self,
        call: &Call<GetTask>,
        until: Option<Deadline>,
        closing: CancellationToken,
    ) -> Result<Watcher, Failure> {
        let latest = self.join(call);
        let mut watcher = Watcher::new(latest, until, closing);
        let met = tokio::select! {
            biased;
            met = watcher.meet() => met,
            () = sleep_until(call.deadline.answer_by()) => {
                Err(interrupted(Interruption::DeadlinePassed, 1))
            }
            () = self.ending.cancelled() => Err(interrupted(Interruption::GatewayEnds, 1)),
        };
        match met {
            Ok(()) => Ok(watcher),
            Err(mut failure) => {
                // The loop's own requests have ids of their own.
                let id = call.command.client_request_id.as_str().to_owned();
                failure.client_request_id = Some(id);
                Err(failure.with_effect(Effect::Nothing))
            }
        }
    }

    /// Takes part in the task's loop, or begins it; and how many of its readings are too old
    /// to be shown.
    fn join(&self, call: &Call<GetTask>) -> (watch::Receiver<Latest>, u64) {
        let key = Key {
            task_id: call.command.what.task_id.clone(),
            identity: call.credential.identity(),
        };
        let watches = &self.tools.watches;
        let mut loops = watches.loops();
        match loops.entry(key) {
            Entry::Occupied(entry) => {
                let found = entry.get();
                let receiver = found.latest.subscribe();
                let (now, fresh) = (Instant::now(), watches.watching.min_interval);
                let latest = found.latest.borrow();
                let reading = latest.reading.as_ref();
                let is_fresh = reading.is_some_and(|reading| reading.at + fresh >= now);
                if !is_fresh && !latest.is_polled {
                    found.wanted.notify_one();
                }
                let stale = if is_fresh { 0 } else { latest.polls };
                drop(latest);
                (receiver, stale)
            }
            Entry::Vacant(entry) => {
                let (sender, receiver) = watch::channel(Latest {
                    is_polled: true,
                    ..Latest::default()
                });
                let begun = Arc::new(Loop {
                    latest: sender,
                    wanted: Notify::new(),
                });
                let poll = Poll::new(
                    Arc::clone(&self.tools),
                    entry.key().clone(),
                    Arc::clone(&begun),
                    call.credential.clone(),
                );
                entry.insert(begun);
                self.tasks.spawn(poll.run());
                (receiver, 0)
            }
        }
    }
}

// === impl Watches ===

impl Watches {
    pub(super) fn new(watching: Watching) -> Self {
        Self {
            watching,
            pace: Pace::new(watching.polls_per_minute),
            loops: Mutex::default(),
        }
    }

    fn loops(&self) -> MutexGuard<'_, HashMap<Key, Arc<Loop>>> {
        self.loops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
