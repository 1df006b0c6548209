//! The commands that follow a task, and the one that lists them, as processes.

use std::{collections::BTreeSet, net::SocketAddr, path::Path, time::Duration};

use incidentgate::{
    sandbox::{ActionOutcome, ActionStatus, Fault, Options, Task},
    server::UnixSocket,
};
use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::support::{
    Gateway, GatewayBuilder, TOKEN,
    program::{Ended, Program},
    within,
};

const ID: &str = "213213";

/// Reads often, before actions that take so long.
fn eager(step: Duration) -> GatewayBuilder {
    Gateway::builder()
        .with("watch.min_interval", "5ms")
        .with("watch.max_interval", "20ms")
        .with("watch.max_polls_per_minute", "1000000")
        .with_sandbox(Options {
            step,
            ..Options::default()
        })
}

/// A command with the caller's token, against this gateway.
fn start(gateway: &Gateway, arguments: &[&str]) -> Program {
    start_at(&format!("http://{}", gateway.addr), arguments)
}

fn start_at(endpoint: &str, arguments: &[&str]) -> Program {
    let common = ["--endpoint", endpoint, "--token-file", "-"];
    Program::start_with(&[arguments, &common].concat(), &[], TOKEN)
}

async fn ended(program: Program) -> Ended {
    let ended = within(spawn_blocking(|| program.ended())).await.unwrap();
    assert!(!ended.stdout.contains(TOKEN) && !ended.stderr.contains(TOKEN));
    ended
}

/// The words of the states, in their order.
fn states(ended: &Ended) -> Vec<String> {
    let word = |line: &str| {
        let (_, rest) = line.split_once(" s  ")?;
        let (action, task) = rest.split_once(" task ")?;
        Some(format!("{} {task}", action.trim()))
    };
    ended.stdout.lines().filter_map(word).collect()
}

fn json(ended: &Ended) -> Vec<Value> {
    let lines = ended.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_is_followed_from_before_its_start_to_its_end() {
    let gateway = eager(Duration::from_millis(300)).start().await;
    let waited = ended(start(&gateway, &["execute", ID, "--wait"])).await;
    assert_eq!(waited.code, Some(0), "{waited:?}");
    assert_eq!(
        states(&waited),
        ["notStarted open", "inProgress open", "completed open"]
    );
    let heads: Vec<_> = waited
        .stdout
        .lines()
        .filter(|line| !line.starts_with(' '))
        .collect();
    assert_eq!(
        heads,
        [
            "STARTED: the action was started",
            "COMPLETED: the action has completed"
        ]
    );
    assert_eq!(gateway.sandbox.commits(ID), 1);

    // It had been started before, and is at its end: the same end.
    let again = ended(start(&gateway, &["execute", ID, "--wait"])).await;
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(states(&again), ["completed open"]);
    assert!(again.stdout.contains("ALREADY_STARTED"));
    assert_eq!(gateway.sandbox.commits(ID), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_that_fails_is_told_by_the_exit_code_and_with_what_graph_says() {
    let gateway = eager(Duration::from_millis(100)).start().await;
    let failed = ended(start(&gateway, &["execute", "213216", "--wait"])).await;
    assert_eq!(failed.code, Some(5), "{failed:?}");
    assert_eq!(states(&failed).last().unwrap(), "failed failed");
    for line in [
        "FAILED: the action was started and has failed",
        "  task               Run anti virus scan testmachine20 (runAntiVirusScan)",
        "  actionStatus       failed",
        "  status             failed",
    ] {
        assert!(
            failed.stdout.lines().any(|printed| printed == line),
            "{failed:?}"
        );
    }

    let watched = ended(start(&gateway, &["watch", "213216", "--json"])).await;
    assert_eq!(watched.code, Some(5));
    let [state] = &json(&watched)[..] else {
        panic!("{watched:?}");
    };
    assert_eq!(state["event"], "state");
    assert_eq!(state["actionStatus"], "FAILED");
    assert_eq!(state["final"], true);
    assert_eq!(state["task"]["unknownSource"], "defenderExpertsXDR");
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_one_object_a_line() {
    let gateway = eager(Duration::from_millis(300)).start().await;
    let waited = ended(start(&gateway, &["execute", ID, "--wait", "--json"])).await;
    assert_eq!(waited.code, Some(0), "{waited:?}");
    let lines: Vec<_> = json(&waited)
        .iter()
        .map(|line| {
            let word = |key: &str| line[key].as_str().unwrap_or("-").to_owned();
            ["event", "actionStatus", "outcome"].map(word).join(" ")
        })
        .collect();
    assert_eq!(
        lines,
        [
            "state NOT_STARTED -",
            "execution - STARTED",
            "state IN_PROGRESS -",
            "state COMPLETED -",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_waiting_stops_nothing() {
    let gateway = eager(Duration::from_secs(3600)).start().await;
    for (id, arguments) in [(ID, &["execute", ID, "--wait"][..]), (ID, &["watch", ID])] {
        let program = start(&gateway, arguments);
        let program = spawn_blocking(|| {
            program.output_line(|line| line.contains("inProgress").then_some(()));
            program.signal("INT");
            program
        });
        let stopped = ended(within(program).await.unwrap()).await;
        assert_eq!(stopped.code, Some(130), "{stopped:?}");
        let last = stopped.stdout.lines().last().unwrap();
        assert!(
            last.starts_with("INTERRUPTED; whatever was started goes on"),
            "{last}"
        );
        assert!(
            last.ends_with(&format!("incidentgate watch {id}")),
            "{last}"
        );
        let task = gateway.sandbox.task(id).unwrap();
        assert_eq!(task.action_status, ActionStatus::InProgress);
    }
    let late = ended(start(
        &gateway,
        &["watch", ID, "--wait-timeout", "200ms", "--json"],
    ))
    .await;
    assert_eq!(late.code, Some(1), "{late:?}");
    let stopped = json(&late).pop().unwrap();
    assert_eq!(
        (&stopped["event"], &stopped["why"]),
        (&"stopped".into(), &"TIMEOUT".into())
    );
    assert_eq!(gateway.sandbox.commits(ID), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_before_the_answer_is_told_that_nobody_knows() {
    let gateway = eager(Duration::from_millis(100)).start().await;
    gateway.sandbox.script(ID, [Fault::hold().committed()]);
    let program = start(&gateway, &["execute", ID, "--wait"]);
    within(gateway.sandbox.wait_for_posts(ID, 1)).await;
    program.signal("INT");
    let stopped = ended(program).await;
    assert_eq!(stopped.code, Some(4), "{stopped:?}");
    assert!(
        stopped
            .stdout
            .contains("UNKNOWN: the action may have been started")
    );
    gateway.sandbox.release(ID);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_cannot_be_told_the_end_starts_nothing() {
    let gateway = eager(Duration::from_millis(100)).start().await;
    let forbidden = Fault::error(403, "Forbidden", "No.").on_read();
    gateway.sandbox.script(ID, [forbidden]);
    let refused = ended(start(&gateway, &["execute", ID, "--wait"])).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused
            .stdout
            .starts_with("NOT_STARTED: the action was not started")
    );
    assert!(refused.stdout.contains("leave --wait out"));
    assert_eq!(gateway.sandbox.posts(ID), 0);

    let missing = ended(start(&gateway, &["watch", "nobody"])).await;
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(
        missing
            .stdout
            .starts_with("the task cannot be followed\n  code               NOT_FOUND")
    );

    // Graph asks to wait for longer than anybody has said to look.
    let throttled = Fault::throttle(3600, false).on_read();
    gateway.sandbox.script("213216", [throttled]);
    let arguments = ["execute", "213216", "--wait", "--timeout", "2s"];
    let asked_to_wait = ended(start(&gateway, &arguments)).await;
    assert_eq!(asked_to_wait.code, Some(1), "{asked_to_wait:?}");
    assert!(
        asked_to_wait
            .stdout
            .contains("send the same call again in 1h"),
        "{asked_to_wait:?}"
    );
    assert_eq!(gateway.sandbox.posts("213216"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_shown_once_whatever_its_state() {
    let gateway = eager(Duration::from_secs(3600)).start().await;
    let shown = ended(start(&gateway, &["get", ID])).await;
    assert_eq!(shown.code, Some(0), "{shown:?}");
    let want = "Isolate device testmachine20\n  id                 213213\n  actionStatus       notStarted\n";
    assert!(shown.stdout.starts_with(want), "{}", shown.stdout);
    let lines = json(&ended(start(&gateway, &["get", ID, "--json"])).await);
    assert_eq!(lines[0]["actionStatus"], "NOT_STARTED");
    let missing = ended(start(&gateway, &["get", "nobody"])).await;
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(
        missing.stderr.contains("the task cannot be read"),
        "{missing:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_for_waiting_needs_waiting() {
    let wrong = spawn_blocking(|| Program::start(&["execute", ID, "--wait-timeout", "1s"]).ended());
    let wrong = within(wrong).await.unwrap();
    assert_eq!(wrong.code, Some(64), "{wrong:?}");
    assert!(wrong.stderr.contains("--wait"), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_told_is_not_waited_for() {
    let gateway = eager(Duration::from_secs(3600)).start().await;
    let endpoint = format!("http://{}", gateway.addr);
    for (arguments, code) in [
        (&["watch", "213215"][..], 1),
        (&["list"], 1),
        (&["execute", ID, "--wait"], 1),
    ] {
        let common = ["--endpoint", &endpoint, "--token-file", "-"];
        let arguments = [arguments, &common].concat().join(" ");
        let program = env!("CARGO_BIN_EXE_incidentgate");
        let line = format!("echo {TOKEN} | {program} {arguments} >/dev/full");
        let ended = spawn_blocking(move || {
            std::process::Command::new("sh")
                .args(["-c", &line])
                .output()
                .unwrap()
        });
        let ended = within(ended).await.unwrap();
        let errors = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(code), "{arguments}: {errors}");
        assert!(errors.contains("standard output"), "{arguments}: {errors}");
    }
    // Who does not read has not asked for an action either.
    assert_eq!(gateway.sandbox.posts(ID), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_started_anew_is_followed_on() {
    let folder = tempfile::Builder::new().tempdir_in("/tmp").unwrap();
    let path = folder.path().join("gate");
    let endpoint = format!("unix:{}", path.display());
    let simulator = eager(Duration::from_secs(3600)).start().await;
    simulator.sandbox.put_task(Task {
        action_status: ActionStatus::InProgress,
        ..Task::new("runs")
    });
    let mut first = at(&path, &simulator).await;
    let program = start_at(&endpoint, &["watch", "runs"]);
    let program = within(spawn_blocking(|| {
        program.output_line(|line| line.contains("inProgress").then_some(()));
        program
    }));
    let program = program.await.unwrap();
    // In the middle of everything, and away for a while.
    first.shutdown.immediate.cancel();
    first.stopped().await;
    let program = within(spawn_blocking(|| {
        program.output_line(|line| line.contains("trying again").then_some(()));
        program
    }));
    let program = program.await.unwrap();
    simulator.sandbox.put_task(Task {
        action_status: ActionStatus::Completed,
        ..Task::new("runs")
    });
    let _second = at(&path, &simulator).await;
    let watched = ended(program).await;
    assert_eq!(watched.code, Some(0), "{watched:?}");
    // What had been shown is not shown again.
    assert_eq!(states(&watched), ["inProgress open", "completed open"]);
}

/// A gateway at this socket, before the other one's sandbox.
async fn at(path: &Path, other: &Gateway) -> Gateway {
    let socket = UnixSocket::bind(path).await.unwrap();
    eager(Duration::ZERO)
        .with_graph(other.sandbox.graph_url())
        .start_on(socket, SocketAddr::from(([0; 4], 0)))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_task_whose_action_can_be_started_is_followed_once_it_is() {
    let gateway = eager(Duration::from_millis(300)).start().await;
    gateway.sandbox.put_task(Task {
        status: incidentgate::sandbox::Status::NotRelevant,
        action_outcome: ActionOutcome::Fails,
        ..Task::new("closed")
    });
    let watched = ended(start(&gateway, &["watch", "closed"])).await;
    assert_eq!(watched.code, Some(5), "{watched:?}");
    assert!(watched.stdout.contains("the action was never started"));
    let waited = ended(start(&gateway, &["execute", "closed", "--wait"])).await;
    assert_eq!(waited.code, Some(5), "{waited:?}");
    assert_eq!(states(&waited).last().unwrap(), "failed failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_listed_as_a_table_or_as_json_over_all_pages() {
    let gateway = eager(Duration::from_millis(100)).start().await;
    gateway.sandbox.put_task(Task {
        action_type: "wipe\u{1b}[2J".to_owned(),
        ..Task::new("strange")
    });
    let table = ended(start(&gateway, &["list", "--page-size", "2"])).await;
    assert_eq!(table.code, Some(0), "{table:?}");
    let rows: Vec<_> = table.stdout.lines().collect();
    assert_eq!(rows.len(), 6, "{table:?}");
    let heads: Vec<_> = rows[0]
        .split("  ")
        .filter(|head| !head.is_empty())
        .map(str::trim)
        .collect();
    assert_eq!(
        heads,
        [
            "ID",
            "ACTION",
            "ACTION STATUS",
            "TASK STATUS",
            "INCIDENT",
            "UPDATED",
            "TITLE"
        ]
    );
    assert!(rows[1].starts_with("213213   isolateDevice"), "{}", rows[1]);
    assert!(!table.stdout.contains('\u{1b}'));
    assert_eq!(gateway.sandbox.journal().len(), 3);

    let lines = ended(start(
        &gateway,
        &["list", "--json", "--action-type", "isolateDevice"],
    ))
    .await;
    let lines = json(&lines);
    let ids: BTreeSet<_> = lines
        .iter()
        .map(|task| task["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, BTreeSet::from(["213213", "213215"]));

    let none = ended(start(&gateway, &["list", "--incident-id", "nobody's"])).await;
    assert_eq!((none.code, &*none.stdout), (Some(0), "no task\n"));
    let refused = Fault::error(403, "Forbidden", "No.").on_list();
    gateway.sandbox.script("*", [refused]);
    let refused = ended(start(&gateway, &["list"])).await;
    assert_eq!(refused.code, Some(1));
    assert!(
        refused
            .stderr
            .contains("the tasks cannot be listed\n  code               PERMISSION_DENIED")
    );
    // Pages that go round in circles.
    let page = |to: &str| {
        let url = gateway.sandbox.graph_url();
        let url = format!("{url}/security/incidentTasks?$skiptoken={to}");
        let body = serde_json::json!({"value": [{"id": "1"}], "@odata.nextLink": url});
        Fault::reply(200, body.to_string()).on_list()
    };
    gateway.sandbox.script("*", ["a", "b", "a", "b"].map(page));
    let circle = ended(start(&gateway, &["list"])).await;
    assert_eq!(circle.code, Some(1));
    assert!(circle.stderr.contains("lead in a circle"), "{circle:?}");

    let wrong = ended(start(&gateway, &["list", "--status", "closed"])).await;
    assert_eq!(wrong.code, Some(64));
    assert!(wrong.stderr.contains("notRelevant"), "{wrong:?}");
}
