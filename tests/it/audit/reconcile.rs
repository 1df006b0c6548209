//! `incidentgate audit pending --reconcile`: what Graph shows of the calls that a crash
//! has left open.

use std::fs;

use incidentgate::sandbox::{ActionStatus, Fault, Options, Sandbox, Task, Tokens};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::spawn_blocking};

use super::{Log, start_sandbox};
use crate::support::{
    Stub, TOKEN,
    program::{Ended, Program},
    within,
};

/// An intent for each task, with nothing after it.
fn intents(log: &Log, tasks: &[&str]) {
    let lines = tasks.iter().enumerate().map(|(n, task)| {
        let record = json!({
            "time": "2026-11-24T10:00:00.000000Z",
            "event": "intent",
            "id": format!("00000000-0000-0000-0000-{n:012}"),
            "taskId": task,
            "clientRequestId": format!("a2f0b4a6-7d3c-4c5e-9a52-{n:012}"),
            "caller": {"peer": "10.0.0.1:4711"},
        });
        format!("{record}\n")
    });
    fs::write(&log.path, lines.collect::<String>()).unwrap();
}

/// `audit pending LOG --reconcile` with the token on stdin; the process itself.
fn start(log: &Log, graph: &str, flags: &[&str]) -> Program {
    let command = ["audit", "pending", &log.path, "--reconcile"];
    let source = ["--token-file", "-", "--graph-url", graph];
    let variables = [("INCIDENTGATE_RECONCILIATION__TIMEOUT", "500ms")];
    let arguments = [&command[..], &source, flags].concat();
    Program::start_with(&arguments, &variables, TOKEN)
}

async fn ended(program: Program) -> Ended {
    let ended = within(spawn_blocking(|| program.ended())).await.unwrap();
    assert!(!ended.stdout.contains(TOKEN), "{ended:?}");
    assert!(!ended.stderr.contains(TOKEN), "{ended:?}");
    ended
}

/// What stands in each row of a table from the column `NOW` on.
fn now(ended: &Ended) -> Vec<&str> {
    let mut rows = ended.stdout.lines();
    let column = rows.next().unwrap().find("NOW").unwrap();
    rows.map(|row| &row[column..]).collect()
}

#[tokio::test]
async fn each_call_is_listed_with_what_its_task_shows_in_their_order() {
    let graph = start_sandbox().await;
    let states = [
        (ActionStatus::NotStarted, "not started, as yet"),
        (ActionStatus::InProgress, "started (inProgress)"),
        (
            ActionStatus::PartiallyCompleted,
            "started (partiallyCompleted)",
        ),
        (ActionStatus::Completed, "started (completed)"),
        (ActionStatus::Failed, "started (failed)"),
    ];
    // More than are asked for at a time.
    let tasks: Vec<_> = (0..25).map(|n| format!("task {n}/?")).collect();
    for (id, (action_status, _)) in tasks.iter().zip(states.iter().cycle()) {
        graph.put_task(Task {
            action_status: *action_status,
            ..Task::new(id)
        });
    }
    let log = Log::new();
    intents(&log, &tasks.iter().map(|id| &**id).collect::<Vec<_>>());
    let wanted: Vec<_> = states
        .iter()
        .map(|(_, text)| *text)
        .cycle()
        .take(25)
        .collect();

    let table = ended(start(&log, &graph.graph_url(), &[])).await;
    assert_eq!(table.code, Some(0), "{table:?}");
    assert_eq!(now(&table), wanted);

    let objects = ended(start(&log, &graph.graph_url(), &["--json"])).await;
    assert_eq!(objects.code, Some(0), "{objects:?}");
    for (line, id) in objects.stdout.lines().zip(&tasks) {
        let call: Value = serde_json::from_str(line).unwrap();
        assert_eq!(call["taskId"], **id);
        let word = match call["actionStatus"].as_str().unwrap() {
            "notStarted" => "NOT_STARTED",
            _ => "STARTED",
        };
        assert_eq!(call["now"], word);
        assert_eq!(call.get("why"), None);
    }
    assert_eq!(objects.stdout.lines().count(), 25);

    let journal = graph.journal();
    assert_eq!(journal.len(), 50);
    assert!(journal.iter().all(|entry| entry.method == "GET"));
}

#[tokio::test]
async fn one_whose_task_is_not_seen_is_unknown_and_the_exit_code_says_so() {
    let graph = start_sandbox().await;
    let unavailable = || Fault::error(503, "serviceNotAvailable", "busy");
    graph.script("a", [unavailable().on_read()]);
    graph.script("b", [Fault::captive_page().on_read()]);
    let future = r#"{"actionStatus":"unknownFutureValue"}"#;
    graph.script("c", [Fault::reply(200, future).on_read()]);
    graph.script("d", [Fault::hang().on_read()]);
    graph.script("e", [Fault::reset().on_read()]);
    let evil = format!("\u{1b}[2J {TOKEN}");
    graph.script("f", [Fault::error(403, "accessDenied", &evil).on_read()]);
    for id in ["a", "b", "c", "d", "e", "f", "z"] {
        graph.put_task(Task::new(id));
    }
    let log = Log::new();
    let too_long = "x".repeat(257);
    intents(
        &log,
        &["a", "b", "c", "d", "e", "f", "g", "..", &too_long, "z"],
    );
    let ended = ended(start(&log, &graph.graph_url(), &["--json"])).await;
    assert_eq!(ended.code, Some(4), "{ended:?}");
    let calls: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (seen, unseen) = calls.split_last().unwrap();
    assert_eq!(seen["now"], "NOT_STARTED");
    for (call, why) in unseen.iter().zip([
        "Graph answered HTTP 503 serviceNotAvailable: busy",
        "Graph answered HTTP 200 without a state that is known",
        "Graph answered HTTP 200 without a state that is known",
        "no answer within 500ms",
        "the connection to Graph broke before its answer: ",
        "Graph answered HTTP 403 accessDenied: ",
        "Graph answered HTTP 404 ",
        "not a task id",
        "not a task id",
    ]) {
        assert_eq!(call["now"], "UNKNOWN", "{call}");
        assert_eq!(call.get("actionStatus"), None);
        let said = call["why"].as_str().unwrap();
        assert!(said.starts_with(why), "{said:?} and not {why:?}");
        assert!(!said.contains("started"), "{said:?}");
    }
    // Nor does what is no id of a task ever go to Graph.
    assert_eq!(graph.journal().len(), 8);
}

#[tokio::test]
async fn once_graph_asks_to_wait_or_takes_no_such_token_the_others_are_not_asked_for() {
    for (refusal, first) in [
        (
            Fault::error(429, "TooManyRequests", "").header("Retry-After", "60"),
            "unknown: Graph answered HTTP 429 TooManyRequests",
        ),
        (
            Fault::error(503, "serviceNotAvailable", "").header("Retry-After", "60"),
            "unknown: Graph answered HTTP 503 serviceNotAvailable",
        ),
        (
            Fault::error(401, "InvalidAuthenticationToken", ""),
            "unknown: Graph answered HTTP 401 InvalidAuthenticationToken",
        ),
    ] {
        let graph = start_sandbox().await;
        let refusals = (0..100).map(|_| refusal.clone().on_read());
        graph.script("*", refusals);
        let tasks: Vec<_> = (0..100).map(|n| n.to_string()).collect();
        let log = Log::new();
        intents(&log, &tasks.iter().map(|id| &**id).collect::<Vec<_>>());
        let ended = ended(start(&log, &graph.graph_url(), &[])).await;
        assert_eq!(ended.code, Some(4), "{ended:?}");
        let now = now(&ended);
        assert!(now[0].starts_with(first), "{now:?}");
        let not_asked = first.replace("unknown:", "unknown: not asked, since");
        assert!(now[99].starts_with(&not_asked), "{now:?}");
        // Those that were under way at that moment.
        assert!(graph.journal().len() <= 16, "{}", graph.journal().len());
    }
}

#[tokio::test]
async fn an_interrupt_ends_the_asking_and_what_is_known_is_listed() {
    let graph = start_sandbox().await;
    graph.put_task(Task::new("a"));
    graph.script("held", (0..7).map(|_| Fault::hold().on_read()));
    let log = Log::new();
    let held = ["held"; 7];
    intents(&log, &[&["a"], &held[..], &["b", "c"]].concat());
    let command = ["audit", "pending", &log.path, "--reconcile"];
    let source = ["--token-file", "-", "--graph-url", &graph.graph_url()];
    let patient = [("INCIDENTGATE_RECONCILIATION__TIMEOUT", "1h")];
    let program = Program::start_with(&[&command[..], &source].concat(), &patient, TOKEN);
    // Eight at a time: the ninth has its turn when the first is known.
    within(async {
        while graph.journal().len() < 9 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    program.signal("INT");
    let ended = ended(program).await;
    assert_eq!(ended.code, Some(4), "{ended:?}");
    let now = now(&ended);
    assert_eq!(now[0], "not started, as yet");
    assert_eq!(now[1..8], ["unknown: interrupted"; 7]);
    assert_eq!(now[9], "unknown: interrupted");
    assert_eq!(graph.journal().len(), 9);
}

#[tokio::test]
async fn where_nothing_is_pending_nobody_is_asked() {
    let graph = Stub::start(|_, _, _| async {}).await;
    let log = Log::new();
    intents(&log, &[]);
    let ended = ended(start(&log, &graph.http_url(), &[])).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stdout, "no call is pending\n");
    assert_eq!(graph.heard.connections(), 0);
}

#[tokio::test]
async fn the_gateways_own_token_will_do() {
    let options = Options {
        tokens: Tokens::Issued,
        ..Options::default()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let graph = Sandbox::start(listener, options).await.unwrap();
    let log = Log::new();
    intents(&log, &["213213", "213215"]);
    let (url, authority) = (graph.graph_url(), graph.authority());
    let arguments = [
        "audit",
        "pending",
        &log.path,
        "--reconcile",
        "--graph-url",
        &url,
    ];
    let variables = [
        ("INCIDENTGATE_CREDENTIALS__MODE", "application"),
        ("INCIDENTGATE_CREDENTIALS__AUTHORITY", &authority),
        ("INCIDENTGATE_CREDENTIALS__TENANT", graph.tenant()),
        ("INCIDENTGATE_CREDENTIALS__CLIENT_ID", graph.client_id()),
        (
            "INCIDENTGATE_CREDENTIALS__CLIENT_SECRET",
            graph.client_secret(),
        ),
    ];
    let ended = ended(Program::start_with(&arguments, &variables, "")).await;
    assert_eq!(now(&ended), ["not started, as yet", "started (inProgress)"]);
    assert_eq!(graph.token_requests(), 1);
    assert_eq!(graph.posts("213213"), 0);
}

#[tokio::test]
async fn a_mistake_is_said_before_anything_is_read_or_asked() {
    let graph = "https://graph.example/beta";
    let log = Log::new();
    // There is no such log, which would be exit code 1.
    for (flags, said) in [
        (&["--reconcile"][..], "--reconcile needs --token-file"),
        (&["--token-file", "-"], "--reconcile"),
        (&["--graph-url", graph], "--reconcile"),
        (&["--config", "x.toml"], "--reconcile"),
        (
            &["--reconcile", "--token-file", "-", "-"],
            "stdin cannot be both an audit log and --token-file",
        ),
        (
            &["--reconcile", "--token-file", "/nowhere"],
            "--token-file /nowhere cannot be read",
        ),
        (
            &["--reconcile", "--token-file", "-"],
            "--token-file is empty",
        ),
        (
            &["--reconcile", "--token-file", "-", "--graph-url", "x"],
            "graph.url (flag --graph-url)",
        ),
    ] {
        let command = ["audit", "pending", &log.path];
        let ended = ended(Program::start(&[&command[..], flags].concat())).await;
        assert_eq!(ended.code, Some(64), "{ended:?}");
        assert!(ended.stderr.contains(said), "{ended:?}");
        assert_eq!(ended.stdout, "");
    }
}
