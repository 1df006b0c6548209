//! The state behind its lock. A request is journaled, given its fault and held in one
//! step, so that whoever waits for its arrival may release it at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde_json::json;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::Options;
use super::entra::Entra;
use super::fault::{Fault, On};
use super::journal::{Answer, Entry};
use super::listing::Listing;
use super::operation::Operation;
use super::state::{ANY, State, Stored};
use super::task::{Status, Task};
use super::verdict::Verdict;

/// What a list of tasks is, in the words of its metadata.
pub(super) const CONTEXT: &str =
    "https://graph.microsoft.com/beta/$metadata#security/incidentTasks";

/// The options, Entra, and the state behind its lock.
#[derive(Debug)]
pub(super) struct World {
    pub(super) options: Options,
    pub(super) graph_url: String,
    pub(super) entra: Arc<Entra>,
    state: Mutex<State>,
    /// Marked as changed when a request arrives, when an action is started, and when a
    /// request is done with.
    progress: watch::Sender<()>,
}

/// What a request gets on its arrival.
pub(super) struct Arrival {
    pub(super) ticket: Ticket,
    pub(super) fault: Fault,
    /// Ends when a held request is released.
    pub(super) released: Option<oneshot::Receiver<()>>,
}

impl World {
    pub(super) fn new(options: Options, graph_url: String) -> World {
        let state = Mutex::new(State::new(options.seed));
        World {
            options,
            graph_url,
            entra: Arc::new(Entra::new()),
            state,
            progress: watch::Sender::new(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic of one request must not take the others down; no method leaves a
        // half-made change behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn list_url(&self) -> String {
        format!("{}/security/incidentTasks", self.graph_url)
    }

    /// Journals a request and decides what will happen to it.
    pub(super) fn receive(
        self: &Arc<Self>,
        entry: Entry,
        operation: Option<&Operation>,
    ) -> Arrival {
        let mut state = self.state();
        let ticket = Ticket {
            world: Arc::clone(self),
            seq: state.journal.record(entry),
        };
        let asked = operation.map(|operation| match operation {
            Operation::Execute(id) => (id.as_str(), On::Execute),
            Operation::Read(id) => (id.as_str(), On::Read),
            Operation::Update(id, _) => (id.as_str(), On::Update),
            Operation::List(_) => (ANY, On::List),
        });
        let fault = asked.map_or_else(Fault::default, |(id, on)| {
            state.fault(id, on, Instant::now())
        });
        let released = asked.filter(|_| fault.hold).map(|(id, _)| state.hold(id));
        drop(state);
        self.progress.send_replace(());
        Arrival {
            ticket,
            fault,
            released,
        }
    }

    /// What Graph answers to an operation, done while answering. `seq` is the request that asks.
    pub(super) fn judge(&self, operation: &Operation, seq: u64) -> Verdict {
        let now = Instant::now();
        let id = match operation {
            Operation::List(query) => {
                return match Listing::parse(query) {
                    Ok(listing) => Verdict::entity(listing.page(self.tasks(), &self.list_url())),
                    Err(wrong) => Verdict::error(400, "BadRequest", wrong),
                };
            }
            Operation::Read(id) | Operation::Update(id, _) | Operation::Execute(id) => id,
        };
        if id.is_empty() || id.starts_with("bad-") {
            return Verdict::error(400, "BadRequest", format!("Invalid incidentTask id {id}"));
        }
        let mut state = self.state();
        let Some(stored) = state.tasks.get_mut(id) else {
            return Verdict::error(404, "NotFound", format!("taskId {id} not found"));
        };
        let task = stored.seen(now, self.options.step);
        if let Operation::Read(_) = operation {
            return entity(&task);
        }
        if let Operation::Update(_, body) = operation {
            let status = match new_status(body) {
                Ok(status) => status,
                Err(wrong) => return Verdict::error(400, "BadRequest", wrong),
            };
            stored.set(status, now);
            return entity(&stored.seen(now, self.options.step));
        }
        if !task.is_executable() {
            return self.options.dialect.unsupported(&task.action_type);
        }
        if task.was_started() {
            return self.options.dialect.already_started();
        }
        stored.start(now);
        if let Some(entry) = state.journal.entry(seq) {
            entry.committed = true;
        }
        drop(state);
        self.progress.send_replace(());
        Verdict::accepted()
    }

    /// What a read is answered that has not heard of any start; without such a task, what
    /// it would be answered anyway.
    pub(super) fn judge_stale(&self, operation: &Operation, seq: u64) -> Verdict {
        let put = operation.task().and_then(|id| {
            let state = self.state();
            state.tasks.get(id).map(Stored::put)
        });
        put.map_or_else(|| self.judge(operation, seq), |task| entity(&task))
    }

    pub(super) fn put_task(&self, task: Task) {
        let stored = Stored::new(task);
        self.state().tasks.insert(stored.put().id, stored);
    }

    pub(super) fn task(&self, id: &str) -> Option<Task> {
        let state = self.state();
        let stored = state.tasks.get(id)?;
        Some(stored.seen(Instant::now(), self.options.step))
    }

    pub(super) fn tasks(&self) -> Vec<Task> {
        let (state, now) = (self.state(), Instant::now());
        state
            .tasks
            .values()
            .map(|stored| stored.seen(now, self.options.step))
            .collect()
    }

    pub(super) fn script(&self, id: &str, faults: impl IntoIterator<Item = Fault>) {
        // Collected first: the iterator is the caller's code, which may itself ask the
        // sandbox something.
        let faults: Vec<Fault> = faults.into_iter().collect();
        let State { scripts, dice, .. } = &mut *self.state();
        scripts
            .entry(id.to_owned())
            .or_default()
            .extend(faults.into_iter().map(|fault| fault.drawn(dice)));
    }

    pub(super) fn release(&self, id: &str) {
        let mut state = self.state();
        // Dropping the senders is the signal.
        if id == ANY {
            state.held.clear();
        } else {
            state.held.remove(id);
        }
    }

    pub(super) fn journal(&self) -> Vec<Entry> {
        self.state().journal.entries().cloned().collect()
    }

    pub(super) fn count(&self, id: &str, counts: impl Fn(&Entry) -> bool) -> usize {
        self.state()
            .journal
            .entries()
            .filter(|entry| entry.is_about(id) && counts(entry))
            .count()
    }

    pub(super) async fn wait_until(&self, reached: impl Fn() -> bool) {
        // Subscribed before looking, so nothing that happens in between is missed. The
        // sender lives as long as `self`.
        let mut progress = self.progress.subscribe();
        while !reached() && progress.changed().await.is_ok() {}
    }

    pub(super) fn clear_journal(&self) {
        self.state().journal.clear();
    }

    pub(super) fn reset(&self) {
        self.state().reset(self.options.seed);
        self.entra.reset();
    }
}

/// What a PATCH sets: the status is all that there is to be set.
fn new_status(body: &[u8]) -> Result<Status, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Change {
        status: Status,
    }
    serde_json::from_slice(body)
        .map(|Change { status }| status)
        .map_err(|error| format!("Invalid update of the incidentTask: {error}"))
}

/// The answer to a read.
fn entity(task: &Task) -> Verdict {
    let mut resource = task.resource();
    resource["@odata.context"] = json!(format!("{CONTEXT}/$entity"));
    Verdict::entity(resource)
}

/// A request's place in the journal. Whoever holds it is not done with the request.
#[derive(Debug)]
pub(super) struct Ticket {
    world: Arc<World>,
    pub(super) seq: u64,
}

impl Ticket {
    pub(super) fn read(&self, body_length: usize) {
        if let Some(entry) = self.world.state().journal.entry(self.seq) {
            entry.body_length = body_length;
        }
    }

    pub(super) fn answer(&self, answer: Answer) {
        if let Some(entry) = self.world.state().journal.entry(self.seq) {
            entry.answer = Some(answer);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(entry) = self.world.state().journal.entry(self.seq) {
            entry.answer.get_or_insert(Answer::Abandoned);
            entry.finished = true;
        }
        self.world.progress.send_replace(());
    }
}
