//! Everything that changes: the tasks, the scripts, who is throttled, who is held, and the journal.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, SystemTime};

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::fault::{Act, Fault, On};
use super::journal::{Entry, Journal};
use super::task::{ActionStatus, Status, Task};
use super::throttle::Throttle;

/// The key of faults and of throttling for any task.
pub(super) const ANY: &str = "*";

#[derive(Debug)]
pub(super) struct State {
    pub(super) tasks: BTreeMap<String, Stored>,
    pub(super) scripts: HashMap<String, VecDeque<Fault>>,
    throttles: HashMap<String, Throttle>,
    pub(super) held: HashMap<String, Vec<oneshot::Sender<()>>>,
    pub(super) journal: Journal<Entry>,
    pub(super) dice: StdRng,
}

#[derive(Debug)]
pub(super) struct Stored {
    task: Task,
    started: Option<Moment>,
    /// The last status that was set, and when.
    set: Option<(Status, Moment)>,
}

/// When something happened, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    at: Instant,
    wall: SystemTime,
}

impl State {
    pub(super) fn new(seed: u64) -> State {
        let tasks = Task::seeds().map(|task| (task.id.clone(), Stored::new(task)));
        State {
            tasks: tasks.into(),
            scripts: HashMap::new(),
            throttles: HashMap::new(),
            held: HashMap::new(),
            journal: Journal::default(),
            dice: StdRng::seed_from_u64(seed),
        }
    }

    /// As new, but for the numbers of the journal, which go on.
    pub(super) fn reset(&mut self, seed: u64) {
        let mut journal = std::mem::take(&mut self.journal);
        journal.clear();
        *self = State {
            journal,
            ..State::new(seed)
        };
    }

    /// The fault of a request: throttling that lasts goes first, then the task's script,
    /// then that of any task.
    pub(super) fn fault(&mut self, id: &str, on: On, now: Instant) -> Fault {
        for key in [id, ANY] {
            if on == On::Execute
                && let Some(retry_after) = self
                    .throttles
                    .get_mut(key)
                    .and_then(|throttle| throttle.refuse(now))
            {
                return Fault::throttle(retry_after, false);
            }
        }
        for key in [id, ANY] {
            if let Some(fault) = self
                .scripts
                .get_mut(key)
                .and_then(|script| take(script, on))
            {
                if let Act::Throttle {
                    retry_after,
                    extends,
                } = fault.act
                {
                    self.throttles
                        .insert(key.to_owned(), Throttle::new(retry_after, extends, now));
                }
                return fault;
            }
        }
        Fault::default()
    }

    pub(super) fn hold(&mut self, id: &str) -> oneshot::Receiver<()> {
        let (sender, released) = oneshot::channel();
        let held = self.held.entry(id.to_owned()).or_default();
        held.retain(|sender| !sender.is_closed());
        held.push(sender);
        released
    }
}

impl Stored {
    pub(super) fn new(task: Task) -> Stored {
        Stored {
            task,
            started: None,
            set: None,
        }
    }

    /// The task as it was put, whatever was done to it since.
    pub(super) fn put(&self) -> Task {
        self.task.clone()
    }

    /// The task as it is now.
    pub(super) fn seen(&self, now: Instant, step: Duration) -> Task {
        let started = self.started.map(|started| started.at);
        let mut task = self.task.seen(started, now, step);
        // A failure sets the status too, after what was set before it.
        let failed = started.filter(|_| task.action_status == ActionStatus::Failed);
        if let Some((status, set)) = self.set
            && failed.is_none_or(|started| set.at >= started + step)
        {
            task.status = status;
        }
        // The latest that happened to it.
        let begun = self.started.map(|started| started.wall);
        let ended = self
            .started
            .filter(|started| now >= started.at + step)
            .map(|started| started.wall + step);
        let set = self.set.map(|(_, set)| set.wall);
        task.modified = [begun, ended, set].into_iter().flatten().max();
        task
    }

    pub(super) fn start(&mut self, now: Instant) {
        self.started = Some(Moment::new(now));
    }

    pub(super) fn set(&mut self, status: Status, now: Instant) {
        self.set = Some((status, Moment::new(now)));
    }
}

impl Moment {
    fn new(at: Instant) -> Moment {
        Moment {
            at,
            wall: SystemTime::now(),
        }
    }
}

fn take(script: &mut VecDeque<Fault>, on: On) -> Option<Fault> {
    let next = script.iter().position(|fault| fault.on == on)?;
    script.remove(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::ActionOutcome;

    #[test]
    fn a_status_that_was_set_stays_unless_the_action_fails_after_it() {
        let step = Duration::from_secs(5);
        let begun = Instant::now();
        for (outcome, set_at, end) in [
            (ActionOutcome::Completes, 1, Status::InProgress),
            (ActionOutcome::Fails, 1, Status::Failed),
            (ActionOutcome::Fails, 6, Status::InProgress),
        ] {
            let mut stored = Stored::new(Task {
                action_outcome: outcome,
                ..Task::new("1")
            });
            stored.start(begun);
            stored.set(Status::InProgress, begun + Duration::from_secs(set_at));
            assert_eq!(stored.seen(begun, step).status, Status::InProgress);
            let over = begun + 2 * step;
            assert_eq!(stored.seen(over, step).status, end, "{outcome:?} {set_at}");
        }
    }

    #[test]
    fn a_request_takes_the_next_fault_of_its_kind_and_the_tasks_own_first() {
        let mut state = State::new(0);
        let script = |faults: &[Fault]| faults.iter().cloned().collect();
        state.scripts.insert(
            "1".to_owned(),
            script(&[Fault::close().on_read(), Fault::reset()]),
        );
        state
            .scripts
            .insert(ANY.to_owned(), script(&[Fault::hang()]));
        let now = Instant::now();
        assert_eq!(state.fault("1", On::Execute, now), Fault::reset());
        assert_eq!(state.fault("1", On::Execute, now), Fault::hang());
        assert_eq!(state.fault("1", On::Execute, now), Fault::default());
        assert_eq!(state.fault("1", On::Read, now), Fault::close().on_read());
    }

    #[test]
    fn throttling_of_one_task_leaves_the_others_alone() {
        let mut state = State::new(0);
        state
            .scripts
            .insert("1".to_owned(), VecDeque::from([Fault::throttle(9, false)]));
        let now = Instant::now();
        for _ in 0..2 {
            assert_eq!(
                state.fault("1", On::Execute, now),
                Fault::throttle(9, false)
            );
        }
        assert_eq!(state.fault("1", On::Read, now), Fault::default());
        assert_eq!(state.fault("2", On::Execute, now), Fault::default());
    }
}
