//! `incidentgate audit pending`, and the audit log of the real binary.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::program::{Ended, Program, Server, run};

/// Calls 1 to 4: ended well, without an outcome, with an unknown one, and one whose
/// outcome is torn.
fn log() -> String {
    let record = |event: &str, call: u32, more: Value| {
        let mut record = json!({
            "time": format!("2026-11-24T10:00:0{call}.000000Z"),
            "event": event,
            "id": format!("00000000-0000-0000-0000-00000000000{call}"),
            "taskId": format!("task-{call}"),
            "clientRequestId": format!("a2f0b4a6-7d3c-4c5e-9a52-0f6f2f6d9d1{call}"),
            "caller": {"peer": "10.0.0.1:4711", "unverified": {"app": "app\u{1b}[2J"}},
        });
        let members = record.as_object_mut().unwrap();
        members.extend(more.as_object().unwrap().clone());
        record.to_string() + "\n"
    };
    let intent = |call| record("intent", call, json!({}));
    let outcome = |call, outcome: &str, reason: &str| {
        record(
            "outcome",
            call,
            json!({
                "outcome": outcome, "code": "OK", "reason": reason,
                "attempts": 1, "durationMs": 1,
            }),
        )
    };
    let torn = outcome(4, "STARTED", "");
    [
        intent(1),
        intent(2),
        outcome(1, "STARTED", ""),
        intent(3),
        "something else\n".to_owned(),
        outcome(3, "UNKNOWN", "GRAPH_RESPONSE_LOST"),
        intent(4),
        torn[..torn.len() - 3].to_owned(),
    ]
    .concat()
}

/// The task ids of a table.
fn listed(ended: &Ended) -> Vec<&str> {
    let rows = ended.stdout.lines().skip(1);
    rows.map(|row| row.split_whitespace().nth(1).unwrap())
        .collect()
}

fn folder() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    (folder, file.to_str().unwrap().to_owned())
}

fn pending(file: &str, flags: &[&str]) -> Ended {
    run(&[&["audit", "pending", file], flags].concat())
}

#[test]
fn calls_without_an_outcome_are_listed_and_the_exit_code_says_so() {
    let (_folder, file) = folder();
    fs::write(&file, log()).unwrap();

    let ended = pending(&file, &[]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert_eq!(listed(&ended), ["task-2", "task-4"]);
    assert!(ended.stdout.starts_with("TIME "), "{ended:?}");
    assert!(ended.stdout.contains("10.0.0.1:4711 app=app"), "{ended:?}");
    assert!(!ended.stdout.contains('\u{1b}'), "{ended:?}");
    let note = "incidentgate: lines that are torn or no audit records: 2\n";
    assert_eq!(ended.stderr, note);

    let ended = pending(&file, &["--unknown"]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert_eq!(listed(&ended), ["task-2", "task-3", "task-4"]);
    assert!(ended.stdout.contains(" UNKNOWN (GRAPH_RESPONSE_LOST) "));

    let ended = pending(&file, &["--unknown", "--json"]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    let calls: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let tasks: Vec<_> = calls.iter().map(|call| &call["taskId"]).collect();
    assert_eq!(tasks, ["task-2", "task-3", "task-4"]);
    assert_eq!(calls[0].get("outcome"), None);
    assert_eq!(calls[1]["outcome"], "UNKNOWN");
}

#[test]
fn a_rotated_log_is_read_from_the_oldest_file_on() {
    let (folder, file) = folder();
    let old = folder.path().join("audit.jsonl.1");
    let text = log();
    let (first, second) = text.split_at(text.match_indices('\n').nth(1).unwrap().0 + 1);
    fs::write(&old, first).unwrap();
    fs::write(&file, second).unwrap();
    let ended = run(&["audit", "pending", old.to_str().unwrap(), &file]);
    assert_eq!(listed(&ended), ["task-2", "task-4"]);

    let ended = pending(&file, &[]);
    assert_eq!(listed(&ended), ["task-4"]);
    let note = "outcomes without an intent before them: 1;";
    assert!(ended.stderr.contains(note), "{ended:?}");
}

#[test]
fn standard_input_is_a_log_too_and_none_pending_is_success() {
    let by_stdin = ["audit", "pending", "-"];
    let ended = Program::start_with(&by_stdin, &[], &log()).ended();
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert_eq!(listed(&ended), ["task-2", "task-4"]);

    for (flags, printed) in [(&[][..], "no call is pending\n"), (&["--json"], "")] {
        let ended = pending("/dev/null", flags);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(ended.stdout, printed);
        assert_eq!(ended.stderr, "");
    }
}

#[test]
fn whatever_else_the_file_holds_the_calls_in_it_are_found() {
    let (_folder, file) = folder();
    let mut bytes = b"\xff\xfe\x00not text\n\x80".to_vec();
    bytes.extend(b"x".repeat(1 << 20));
    bytes.extend(b"\n\r\n{}\n[1]\n");
    bytes.extend(log().into_bytes());
    bytes.extend(b"\0".repeat(4096));
    fs::write(&file, bytes).unwrap();
    let ended = pending(&file, &[]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert_eq!(listed(&ended), ["task-2", "task-4"]);
    let note = "incidentgate: lines that are torn or no audit records: 6\n";
    assert_eq!(ended.stderr, note);
}

#[test]
fn a_file_without_a_single_record_is_no_log_without_a_pending_call() {
    let (_folder, file) = folder();
    fs::write(&file, "2026-11-24 some other log\n").unwrap();
    let ended = pending(&file, &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.contains("this is no audit log"), "{ended:?}");
}

#[test]
fn a_log_that_cannot_be_read_is_named() {
    let (folder, file) = folder();
    for path in [&file, folder.path().to_str().unwrap()] {
        let ended = pending(path, &[]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert_eq!(ended.stdout, "");
        let wanted = format!("incidentgate: {path} cannot be read: ");
        assert!(ended.stderr.starts_with(&wanted), "{ended:?}");
    }
    assert_eq!(run(&["audit", "pending"]).code, Some(64));
}

#[test]
fn two_gateways_never_share_a_file_and_a_reader_hears_that_one_writes_it() {
    let (_folder, file) = folder();
    let variables = [
        ("INCIDENTGATE_AUDIT__SINK", "file"),
        ("INCIDENTGATE_AUDIT__FILE", file.as_str()),
    ];
    let server = Server::with_variables(&variables);
    let ended = pending(&file, &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let note = format!("incidentgate: a running gateway writes {file}: ");
    assert!(ended.stderr.starts_with(&note), "{ended:?}");

    let serve = ["serve", "--sandbox", "--listen", "127.0.0.1:0"];
    let second = Program::start_with(&serve, &variables, "").ended();
    assert_eq!(second.code, Some(1), "{second:?}");
    let wanted = format!("incidentgate: the audit log {file} is in use by another process\n");
    assert!(second.stderr.ends_with(&wanted), "{second:?}");

    server.program.signal("TERM");
    assert_eq!(server.program.ended().code, Some(0));
    assert_eq!(pending(&file, &[]).stderr, "");
}

#[test]
fn a_log_that_cannot_be_written_ends_the_start_before_a_port_is_open() {
    let serve = ["serve", "--sandbox", "--listen", "127.0.0.1:0"];
    let sink = ("INCIDENTGATE_AUDIT__SINK", "file");
    for (file, why) in [
        ("/nowhere/audit.jsonl", "No such file"),
        ("/proc", "Is a directory"),
    ] {
        let variables = [sink, ("INCIDENTGATE_AUDIT__FILE", file)];
        let ended = Program::start_with(&serve, &variables, "").ended();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let wanted = format!("incidentgate: the audit log {file} cannot be opened: {why}");
        assert!(ended.stderr.contains(&wanted), "{ended:?}");
        assert!(!ended.stderr.contains("incidentgate serves"), "{ended:?}");
    }

    let ended = Program::start_with(&serve, &[sink], "").ended();
    assert_eq!(ended.code, Some(64), "{ended:?}");
    assert!(
        ended.stderr.contains("audit.file (default): expected"),
        "{ended:?}"
    );
}
