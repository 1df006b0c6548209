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
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

pub use self::watcher::{Showing, Watcher};
use self::{cadence::Pace, poll::Poll};
use super::{Call, Calls, ask::interrupted, left::Interruption};
use crate::{
    command::{GetTask, TaskId},
    credentials::Identity,
    deadline::Deadline,
    failure::{Effect, Failure},
    task::Task,
};

/// Readings that need not wait for each other, where there were few lately.
const BURST: u32 = 10;
/// So many times as many tasks can be begun to be followed in a minute as are read again.
const ARRIVALS: u32 = 6;

/// How often a task is read for those who follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watching {
    /// The time between two readings of a task that has just changed.
    pub min_interval: Duration,
    /// The same once nothing has changed for long.
    pub max_interval: Duration,
    /// The most readings of all tasks together, those aside that begin a watch.
    pub polls_per_minute: u32,
    /// How long a task may not be readable before those who follow it are told.
    pub max_silence: Duration,
}

/// All loops.
#[derive(Debug)]
pub(super) struct Watches {
    watching: Watching,
    /// The turns of tasks that are read again.
    pace: Pace,
    /// The turns of those that are read for the first time, or for somebody who has come.
    arrivals: Pace,
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
    /// How many readings there were.
    readings: u64,
    /// The last try that has failed.
    failure: Option<Failure>,
    /// How many tries have failed.
    failures: u64,
    /// Whether Graph is being asked now, or is about to be.
    is_polled: bool,
    /// Whether nothing follows: the task is at its end, or cannot be read.
    is_over: bool,
}

/// What had been read and tried before somebody came.
#[derive(Debug, Clone, Copy, Default)]
struct Before {
    readings: u64,
    failures: u64,
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

    /// Takes part in the task's loop, or begins it; and what of it is too old to be shown.
    fn join(&self, call: &Call<GetTask>) -> (watch::Receiver<Latest>, Before) {
        let key = Key {
            task_id: call.command.what.task_id.clone(),
            identity: call.credential.identity(),
        };
        let mut loops = self.tools.watches.loops();
        if let Some(found) = loops.get(&key)
            && let Some(joined) = found.join(self.tools.watches.watching.min_interval)
        {
            return joined;
        }
        let (latest, receiver) = watch::channel(Latest {
            is_polled: true,
            ..Latest::default()
        });
        let begun = Arc::new(Loop {
            latest,
            wanted: Notify::new(),
        });
        let (tools, credential) = (Arc::clone(&self.tools), call.credential.clone());
        let poll = Poll::new(tools, key.clone(), Arc::clone(&begun), credential);
        loops.insert(key, begun);
        // A runtime that ends drops the loop at once, which takes the lock.
        drop(loops);
        self.tasks.spawn(poll.run());
        (receiver, Before::default())
    }
}

// === impl Latest ===

impl Latest {
    /// A try has failed. `passes`: the next one may succeed.
    fn fail(&mut self, failure: Failure, passes: bool) {
        self.failure = Some(failure);
        self.failures += 1;
        self.is_polled = false;
        // Without a reading nobody is here but those who are told of it.
        self.is_over = !passes || self.reading.is_none();
    }
}

// === impl Loop ===

impl Loop {
    /// Takes part in it, unless it is over.
    fn join(&self, min_interval: Duration) -> Option<(watch::Receiver<Latest>, Before)> {
        let receiver = self.latest.subscribe();
        let now = Instant::now();
        let mut joined = None;
        self.latest.send_if_modified(|latest| {
            if latest.is_over {
                return false;
            }
            let reading = latest.reading.as_ref();
            let is_new = reading.is_some_and(|reading| reading.at + min_interval >= now);
            joined = Some(Before {
                // One that is as new as any is to be shown.
                readings: latest.readings - u64::from(is_new),
                failures: latest.failures,
            });
            if !is_new && !latest.is_polled {
                latest.is_polled = true;
                self.wanted.notify_one();
            }
            // Nobody waits for that.
            false
        });
        Some((receiver, joined?))
    }
}

// === impl Watches ===

impl Watches {
    pub(super) fn new(watching: Watching) -> Self {
        Self {
            watching,
            pace: Pace::new(watching.polls_per_minute, BURST),
            arrivals: Pace::new(
                watching.polls_per_minute.saturating_mul(ARRIVALS),
                watching.polls_per_minute,
            ),
            loops: Mutex::default(),
        }
    }

    fn loops(&self) -> MutexGuard<'_, HashMap<Key, Arc<Loop>>> {
        self.loops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
