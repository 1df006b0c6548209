//! A simulator of Microsoft Graph's `incidentTasks`, made to misbehave on demand, and of
//! the Microsoft Entra ID that issues the tokens for it.
//!
//! It shares no type with the gateway's client: what both know about Graph is written
//! twice, so that one mistake cannot hide the other. HTTP/1.1 and HTTP/2 (prior
//! knowledge) are served on one port.
//!
//! One request, file by file: `connection` owns the socket and may cut it, `operation` is
//! what the request asks for, `serve` takes it through its life, `world` knows the tasks
//! and what is scripted, `journal` remembers, and `verdict` is Graph's answer in Graph's
//! dress. `stream` knows what an HTTP/2 connection may give up. `fault` is the vocabulary of misbehaviour, `control` the API below.
//!
//! # The control API
//!
//! Tasks, scripts and the journal can also be reached under `/sandbox`, on the same port,
//! without a token and without a trace in the journal. A field that is not known is
//! refused with 422 and a message that names it.
//!
//! ```sh
//! S=http://127.0.0.1:8080
//! # An action that really starts, while its caller is answered by a gateway's 504:
//! curl -X POST $S/sandbox/tasks/213213/faults -d '[{"commit": true, "do": {"error": {"status": 504, "code": "UnknownError"}}}]'
//! curl -X POST $S/beta/security/incidentTasks/213213/executeResponseAction -H 'Authorization: Bearer x' -d ''
//! # What was received, and which request started the action:
//! curl $S/sandbox/journal
//! # The connection is reset before / after the start; the next two requests of any task, one fault each:
//! curl -X POST $S/sandbox/tasks/*/faults -d '[{"do": "reset"}, {"commit": true, "do": "reset"}]'
//! # A request that waits until it is released, then is answered as usual:
//! curl -X POST $S/sandbox/tasks/213213/faults -d '[{"hold": true}]'
//! curl -X POST $S/sandbox/tasks/213213/release
//! # Over HTTP/2, a refusal that promises that nothing was processed; then a read that shows
//! # the task as it was before its action was started:
//! curl -X POST $S/sandbox/tasks/213213/faults -d '[{"do": {"goAway": {"lastStream": "before"}}}, {"on": "read", "do": "staleRead"}]'
//! # The list by Graph's parameters, a new status, and faults for both:
//! curl "$S/beta/security/incidentTasks?\$top=2&\$filter=status%20eq%20'open'" -H 'Authorization: Bearer x'
//! curl -X PATCH $S/beta/security/incidentTasks/213213 -H 'Authorization: Bearer x' -d '{"status": "completed"}'
//! curl -X POST $S/sandbox/tasks/213213/faults -d '[{"on": "update", "do": "reset"}]'
//! curl -X POST $S/sandbox/tasks/*/faults -d '[{"on": "list", "do": {"error": {"status": 503}}}]'
//! # A new task whose action will fail; every field may be left out:
//! curl -X PUT $S/sandbox/tasks/7 -d '{"actionType": "runAntiVirusScan", "actionStatus": "notStarted", "status": "open", "actionOutcome": "fails"}'
//! curl $S/sandbox/tasks
//! curl -X DELETE $S/sandbox/journal
//! curl -X POST $S/sandbox/reset
//! ```
//!
//! The JSON of a fault is described at [`Fault`].
//!
//! # Entra
//!
//! Beside Graph there is a Microsoft Entra ID of one tenant (`entra`), which issues tokens,
//! publishes its keys, and can be made to misbehave as well. The gateway's application and
//! its secret are known from the start.
//!
//! ```sh
//! T=5a4db0c5-7e4a-4000-8000-00000000000a C=9a7e3a11-c11e-4000-8000-00000000000b
//! curl $S/$T/v2.0/.well-known/openid-configuration
//! curl $S/$T/oauth2/v2.0/token -d grant_type=client_credentials -d client_id=$C -d client_secret=sandbox-secret -d scope=https://graph.microsoft.com/.default
//! # A token without asking for one, here a user's for the gateway:
//! curl -X POST $S/sandbox/entra/tokens -d '{"user": "3f1c9f3e-5d1b-4a57-9d0c-6f1f4d1f7a10", "scopes": ["Tasks.Execute"], "expiresIn": 60}'
//! # Another application, which shows the token of a Kubernetes service account:
//! curl -X PUT $S/sandbox/entra/clients/8d1f4b7e-0000-4000-8000-00000000000c -d '{"federated": [{"issuer": "https://kubernetes", "subject": "system:serviceaccount:a:b"}]}'
//! # The next two token requests, and the next one for the keys:
//! curl -X POST $S/sandbox/entra/faults -d '[{"do": {"aadsts": {"code": 50196}}}, {"hold": true}, {"on": "keys", "do": "reset"}]'
//! curl -X POST $S/sandbox/entra/release
//! # Graph refuses all tokens issued so far, with a claims challenge; the keys change:
//! curl -X POST $S/sandbox/entra/revoke -d '{"challenge": true}'
//! curl -X POST $S/sandbox/entra/rotate -d '{"keep": true}'
//! # What was asked for, and by whom:
//! curl $S/sandbox/entra/journal
//! curl -X DELETE $S/sandbox/entra/journal
//! ```
//!
//! The JSON of its faults is described at [`EntraFault`], of a token at [`Mint`], of an
//! application at [`Registration`], of a revocation at [`Revoke`].

mod connection;
mod control;
mod dialect;
mod entra;
mod fault;
mod journal;
mod listing;
mod named;
mod operation;
mod reply;
mod serve;
mod stamp;
mod state;
mod stream;
mod task;
mod throttle;
mod verdict;
mod world;

#[cfg(test)]
mod answer_tests;
#[cfg(test)]
mod control_tests;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod refusal_tests;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use dialect::Dialect;
pub use entra::{
    Endpoint, EntraAct, EntraEntry, EntraFault, Federated, Mint, Proof, Registration, Revoke,
};
pub use fault::{Act, End, Fault, Headers, On, Pace, Reply};
pub use journal::{Answer, Entry};
pub use stream::LastStream;
pub use task::{ActionOutcome, ActionStatus, Status, Task};

use world::World;

/// The bearer token of the sandbox. Well known, so it is no secret.
const TOKEN: &str = "sandbox-token";

/// How the simulated Graph behaves while nobody scripts it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which version of Microsoft's page the refusals are worded after.
    pub dialect: Dialect,
    /// How long an action stays `inProgress` once it was started.
    pub step: Duration,
    /// What [`Act::OneOf`] is drawn from: the same seed and the same scripts give the same faults.
    pub seed: u64,
    /// The bearer tokens that Graph accepts.
    pub tokens: Tokens,
}

/// The bearer tokens that Graph accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tokens {
    /// Any that is not empty. Only one that was issued here has to be good: for Graph, in
    /// time, and not revoked.
    #[default]
    Any,
    /// Exactly these, whoever issued them.
    Only(Vec<String>),
    /// Those that the sandbox's own Entra has issued for Graph, in time, and not revoked.
    /// Not even [`Sandbox::token`] is accepted then, so that nothing gets by without Entra.
    Issued,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            dialect: Dialect::default(),
            step: Duration::from_secs(5),
            seed: 0,
            tokens: Tokens::Any,
        }
    }
}

fn graph_url(addr: SocketAddr) -> String {
    format!("http://{addr}/beta")
}

/// A handle on a running sandbox. Clones share one sandbox, which runs until
/// [`Sandbox::shutdown`] or the runtime's end.
///
/// Wherever a task id is asked for, `"*"` means any task.
#[derive(Clone, Debug)]
pub struct Sandbox {
    addr: SocketAddr,
    world: Arc<World>,
    closing: CancellationToken,
    connections: TaskTracker,
}

impl Sandbox {
    /// Serves on `listener` from now on, with the seeded tasks.
    #[expect(
        clippy::unused_async,
        reason = "the accept loop is spawned, so the caller has to be inside a runtime: async says so"
    )]
    pub async fn start(listener: TcpListener, options: Options) -> io::Result<Sandbox> {
        let addr = listener.local_addr()?;
        let sandbox = Sandbox {
            addr,
            world: Arc::new(World::new(options, graph_url(addr))),
            closing: CancellationToken::new(),
            connections: TaskTracker::new(),
        };
        sandbox.connections.spawn(connection::accept(
            listener,
            Arc::clone(&sandbox.world),
            sandbox.closing.clone(),
            sandbox.connections.clone(),
        ));
        Ok(sandbox)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base URL for a Graph client, as `https://graph.microsoft.com/beta` would be.
    pub fn graph_url(&self) -> String {
        self.world.graph_url.clone()
    }

    /// A bearer token that is accepted, except with [`Tokens::Issued`]: see [`Sandbox::mint`].
    pub fn token(&self) -> &str {
        match &self.world.options.tokens {
            Tokens::Only(tokens) => tokens.first().map_or(TOKEN, String::as_str),
            Tokens::Any | Tokens::Issued => TOKEN,
        }
    }

    /// Adds a task, or replaces the one with its id.
    pub fn put_task(&self, task: Task) {
        self.world.put_task(task);
    }

    /// The task as it is now.
    pub fn task(&self, id: &str) -> Option<Task> {
        self.world.task(id)
    }

    /// Every task as it is now, by id.
    pub fn tasks(&self) -> Vec<Task> {
        self.world.tasks()
    }

    /// Queues faults for a task. Each request consumes one; the task's own come before
    /// those of `"*"`.
    pub fn script(&self, id: &str, faults: impl IntoIterator<Item = Fault>) {
        self.world.script(id, faults);
    }

    /// Every request to the Graph half in order of arrival, control requests excepted;
    /// the last 100,000 of them.
    pub fn journal(&self) -> Vec<Entry> {
        self.world.journal()
    }

    /// How many POSTs for the task the journal holds, whatever became of them.
    pub fn posts(&self, id: &str) -> usize {
        self.world.count(id, Entry::is_post)
    }

    /// How many times the task was read, whatever became of it.
    pub fn reads(&self, id: &str) -> usize {
        self.world.count(id, Entry::is_read)
    }

    /// Returns once the task was read `n` times.
    pub async fn wait_for_reads(&self, id: &str, n: usize) {
        self.world.wait_until(|| self.reads(id) >= n).await;
    }

    /// How many requests in the journal really started the task's action.
    pub fn commits(&self, id: &str) -> usize {
        self.world.count(id, |entry| entry.committed)
    }

    /// Returns once `n` POSTs for the task were received. Answered they need not be; a
    /// held one is already held.
    pub async fn wait_for_posts(&self, id: &str, n: usize) {
        self.world.wait_until(|| self.posts(id) >= n).await;
    }

    /// Returns once the task's action was started `n` times.
    pub async fn wait_for_commits(&self, id: &str, n: usize) {
        self.world.wait_until(|| self.commits(id) >= n).await;
    }

    /// Returns once the sandbox is done with `n` POSTs for the task: answered, broken, or
    /// given up by their callers.
    pub async fn wait_for_finished(&self, id: &str, n: usize) {
        let finished = |entry: &Entry| entry.is_post() && entry.finished;
        self.world
            .wait_until(|| self.world.count(id, finished) >= n)
            .await;
    }

    /// Lets every request of the task go on that is held now. Those that come later are
    /// not affected.
    pub fn release(&self, id: &str) {
        self.world.release(id);
    }

    /// Forgets the requests received so far. Sequence numbers go on.
    pub fn clear_journal(&self) {
        self.world.clear_journal();
    }

    /// Back to the seeded tasks, without scripts, throttling and journal, and Entra back to
    /// its one application and its first key. Requests that are held are released.
    pub fn reset(&self) {
        self.world.reset();
    }

    fn entra(&self) -> &entra::Entra {
        &self.world.entra
    }

    /// Closes the listener and every connection, whatever they are doing, and returns
    /// when they are closed.
    pub async fn shutdown(&self) {
        self.closing.cancel();
        self.connections.close();
        self.connections.wait().await;
    }
}
