//! kill -9 of a gateway at work: no POST without an intent, and what is open afterwards
//! is known.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::OpenOptions,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use incidentgate::{
    pb::incident_task_service_client::IncidentTaskServiceClient,
    sandbox::{Fault, Sandbox, Task},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;
use tokio::task::{JoinSet, spawn_blocking};
use tonic::{Status, transport::Endpoint};
use tonic_types::StatusExt as _;

use super::{Log, start_sandbox};
use crate::support::{
    TOKEN,
    program::{Program, Server},
    request, within,
};

const SEED: u64 = 9;
const ROUNDS: usize = 8;
const CALLERS: usize = 48;

/// Calls one task after the other, each once, until the gateway is gone.
async fn call_until_the_end(addr: String, graph: Sandbox, tasks: Arc<AtomicUsize>) {
    let channel = Endpoint::try_from(addr).unwrap().connect_lazy();
    let mut client = IncidentTaskServiceClient::new(channel);
    loop {
        let n = tasks.fetch_add(1, Ordering::Relaxed);
        let id = format!("crash-{n}");
        graph.put_task(Task::new(&id));
        let mut dice = StdRng::seed_from_u64(n as u64);
        let wait = Duration::from_millis(dice.random_range(0..40));
        let fault = match dice.random_range(0..20) {
            0 => Fault::error(403, "accessDenied", ""),
            1 => Fault::error(504, "UnknownError", ""),
            2 => Fault::error(504, "UnknownError", "").committed(),
            3..8 => Fault::default().committed(),
            _ => Fault::default(),
        };
        graph.script(&id, [fault.delayed(wait)]);
        if let Err(status) = within(client.execute_response_action(request(&id))).await
            && is_from_no_gateway(&status)
        {
            return;
        }
    }
}

fn is_from_no_gateway(status: &Status) -> bool {
    status.get_error_details().error_info().is_none()
}

/// `audit pending` in JSON, with more flags; the token is on stdin.
async fn pending(log: &Log, flags: &[&str]) -> Vec<Value> {
    let command = ["audit", "pending", &log.path, "--json"];
    let program = Program::start_with(&[&command[..], flags].concat(), &[], TOKEN);
    let ended = spawn_blocking(|| program.ended()).await.unwrap();
    let lines = ended.stdout.lines();
    let calls: Vec<_> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(ended.stderr.contains("torn"), "{}", ended.stderr);
    calls
}

/// The tasks whose action was started.
fn started(graph: &Sandbox) -> BTreeSet<String> {
    let journal = graph.journal().into_iter();
    let committed = journal.filter(|entry| entry.committed);
    committed.filter_map(|entry| entry.task).collect()
}

/// Every POST has its intent.
fn assert_recorded(log: &Log, graph: &Sandbox) {
    // Before the file: what is sent later may be recorded later.
    let journal = graph.journal();
    let intents: BTreeSet<_> = log
        .sound_records()
        .into_iter()
        .filter(|record| record["event"] == "intent")
        .map(|record| record["clientRequestId"].as_str().unwrap().to_owned())
        .collect();
    for post in journal.iter().filter(|entry| entry.is_post()) {
        let id = post.header("client-request-id").unwrap();
        assert!(intents.contains(id), "{post:?}");
    }
}

/// Kills a gateway after so many POSTs of its own.
async fn round(log: &Log, graph: &Sandbox, fsync: &str, posts: usize, tasks: &Arc<AtomicUsize>) {
    let variables = [
        &log.variables()[..],
        &[("INCIDENTGATE_AUDIT__FSYNC", fsync)],
    ]
    .concat();
    let mut server = Server::before_graph(&graph.graph_url(), &variables);
    let before = graph.posts("*");
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (addr, graph, tasks) = (server.endpoint(), graph.clone(), Arc::clone(tasks));
        callers.spawn(call_until_the_end(addr, graph, tasks));
    }
    within(graph.wait_for_posts("*", before + posts)).await;
    // The last of them has just arrived: whatever it left undone is undone.
    server.program.kill();
    callers.join_all().await;
    let ended = spawn_blocking(|| server.program.ended()).await.unwrap();
    assert_eq!(ended.code, None, "{ended:?}");
    assert_recorded(log, graph);
    // Such an end is seldom left by the kernel, which writes a batch as a whole.
    let mut file = OpenOptions::new().append(true).open(&log.path).unwrap();
    file.write_all(br#"{"time":"2026-11-24T10:00:0"#).unwrap();
}

async fn a_gateway_is_killed_again_and_again(fsync: &str) {
    let graph = start_sandbox().await;
    let log = Log::new();
    let mut dice = StdRng::seed_from_u64(SEED);
    let tasks = Arc::default();
    for _ in 0..ROUNDS {
        let posts = dice.random_range(1..300);
        round(&log, &graph, fsync, posts, &tasks).await;
    }

    // The tasks by the last word on them in the file.
    let mut last = BTreeMap::new();
    for record in log.sound_records() {
        let task = record["taskId"].as_str().unwrap().to_owned();
        last.insert(task, record["event"] == "intent");
    }
    let open: BTreeSet<_> = last
        .iter()
        .filter_map(|(task, open)| open.then_some(task.clone()))
        .collect();
    let task = |call: &Value| call["taskId"].as_str().unwrap().to_owned();
    let listed: BTreeSet<_> = pending(&log, &[]).await.iter().map(task).collect();
    assert_eq!(listed, open);
    assert!(listed.len() >= ROUNDS, "{fsync}: {listed:?}");
    for task in started(&graph) {
        assert!(last.contains_key(&task), "{task} was never recorded");
    }

    // What was on its way when the gateway was killed may still start something.
    let before = started(&graph);
    let source = ["--reconcile", "--token-file", "-", "--graph-url"];
    let url = graph.graph_url();
    let calls = pending(&log, &[&source[..], &[&*url]].concat()).await;
    let after = started(&graph);
    assert_eq!(calls.len(), listed.len());
    for call in calls {
        let shown = call["now"] == "STARTED";
        let task = task(&call);
        assert!(call["actionStatus"].is_string(), "{call}");
        assert!(shown || !before.contains(&task), "{call}");
        assert!(!shown || after.contains(&task), "{call}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_post_of_a_gateway_that_was_killed_lacks_its_intent() {
    a_gateway_is_killed_again_and_again("always").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nor_where_records_become_durable_now_and_then() {
    a_gateway_is_killed_again_and_again("interval").await;
}
