//! Media that fail, stall and come back, and files that somebody changes meanwhile.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use incidentgate::{
    pb::{IncidentTask, IncidentTaskStatus, UpdateIncidentTaskRequest},
    sandbox::{Fault, Task},
};
use prost::Message;
use serde_json::Value;
use tokio::net::unix::pipe::{self, Receiver};
use tonic::Code;

use super::{Log, records};
use crate::support::{
    Gateway, TOKEN, Wire, answer, frame, head,
    program::{Program, Server, Simulator, TempFile, run},
    within,
};

const ID: &str = "213213";
const OTHER: &str = "213216";
const BROKEN: &str = "the audit log cannot be written";
const MENDED: &str = "the audit log can be written again";

const UPDATE: &str = "/incidentgate.v1.IncidentTaskService/UpdateIncidentTask";

/// The request that sets a task to completed.
fn completes(id: &str) -> UpdateIncidentTaskRequest {
    UpdateIncidentTaskRequest {
        incident_task: Some(IncidentTask {
            id: id.to_owned(),
            status: IncidentTaskStatus::Completed.into(),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["status".to_owned()],
        }),
        ..Default::default()
    }
}

async fn refused(gateway: &Gateway, id: &str) {
    let error = answer(&gateway.execute(id).await.unwrap_err());
    assert_eq!(error.code, Code::Unavailable);
    assert_eq!(error.reason, "AUDIT_UNAVAILABLE");
    assert_eq!(error.outcome, "NOT_STARTED");
    assert!(error.details.retry_info().is_some());
    assert!(error.metadata.contains_key("clientRequestId"));
    assert_eq!(gateway.sandbox.posts(id), 0);
}

/// The words of the outcomes for a task, and how many intents it has.
fn of_task<'a>(records: &'a [Value], id: &str) -> (usize, Vec<&'a str>) {
    let own = || records.iter().filter(move |record| record["taskId"] == id);
    let outcomes = own().filter_map(|record| record["outcome"].as_str());
    let intents = own().filter(|record| record["event"] == "intent");
    (intents.count(), outcomes.collect())
}

#[tokio::test]
async fn on_a_full_disk_a_call_is_refused_unless_it_may_go_on_unrecorded() {
    let full = || {
        Gateway::builder()
            .with("audit.sink", "file")
            .with("audit.file", "/dev/full")
    };
    let mut gateway = full().start().await;
    refused(&gateway, ID).await;
    refused(&gateway, ID).await;
    gateway.stop().await;

    let mut gateway = full().with("audit.on_failure", "proceed").start().await;
    gateway.execute(ID).await.unwrap();
    assert_eq!(gateway.sandbox.posts(ID), 1);
    gateway.stop().await;
}

#[test]
fn that_the_log_fails_is_said_once_and_that_it_works_again_too() {
    let log = Log::new();
    let server = Server::with_variables(&log.variables());
    fs::remove_file(&log.path).unwrap();
    fs::create_dir(&log.path).unwrap();
    for _ in 0..3 {
        let ended = server.execute(&[ID]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stdout.contains("AUDIT_UNAVAILABLE"), "{ended:?}");
        assert!(!ended.stdout.contains(&log.path), "{ended:?}");
    }
    fs::remove_dir(&log.path).unwrap();
    assert_eq!(server.execute(&[ID]).code, Some(0));
    server.program.signal("TERM");
    let said = server.program.ended().stderr;
    for (text, level) in [(BROKEN, "ERROR"), (MENDED, "WARN")] {
        let lines = said.lines().map(|line| serde_json::from_str(line).unwrap());
        let lines: Vec<Value> = lines
            .filter(|line: &Value| line["message"] == text)
            .collect();
        assert_eq!(lines.len(), 1, "{said}");
        assert_eq!(lines[0]["level"], level);
    }
}

#[tokio::test]
async fn while_the_file_cannot_be_made_calls_are_refused_and_no_outcome_is_lost() {
    let log = Log::new();
    let mut gateway = log.gateway().start().await;
    gateway.sandbox.script(ID, [Fault::hold()]);
    let mut wire = Wire::connect(gateway.addr).await;
    let held = wire.execute(ID, &[]).await;
    within(gateway.sandbox.wait_for_posts(ID, 1)).await;
    let old = format!("{}.1", log.path);
    fs::rename(&log.path, &old).unwrap();
    fs::create_dir(&log.path).unwrap();
    refused(&gateway, OTHER).await;

    // What was recorded before is answered all the same.
    gateway.sandbox.release(ID);
    held.answer().await.unwrap().message();
    fs::remove_dir(&log.path).unwrap();
    gateway.execute(OTHER).await.unwrap();
    gateway.stop().await;
    let new = log.records();
    assert_eq!(of_task(&new, ID), (0, vec!["STARTED"]));
    assert_eq!(of_task(&new, OTHER), (1, vec!["STARTED"]));
    let pending = run(&["audit", "pending", &old, &log.path]);
    assert_eq!(pending.stdout, "no call is pending\n");
    assert_eq!(pending.stderr, "");
}

#[tokio::test]
async fn after_its_file_was_removed_a_new_one_is_begun() {
    let log = Log::new();
    let mut gateway = log.gateway().start().await;
    gateway.execute(ID).await.unwrap();
    log.wait_for(2).await;
    fs::remove_file(&log.path).unwrap();
    gateway.execute(OTHER).await.unwrap();
    gateway.stop().await;
    assert_eq!(of_task(&log.records(), OTHER), (1, vec!["STARTED"]));
    assert_eq!(log.records().len(), 2);
}

/// Reads lines from a pipe, until the last one is like this.
async fn read_until(pipe: &mut Receiver, text: &mut Vec<u8>, like: impl Fn(&[Value]) -> bool) {
    within(async {
        while !like(&records(&String::from_utf8_lossy(text))) {
            pipe.readable().await.unwrap();
            // Readiness may be a false alarm.
            pipe.try_read_buf(text).ok();
        }
    })
    .await;
}

/// Writes whole pages of blank lines until none has room any more.
async fn fill(path: &Path) {
    let mut options = pipe::OpenOptions::new();
    let filler = options.read_write(true).open_sender(path).unwrap();
    within(filler.writable()).await.unwrap();
    while filler.try_write(&[b'\n'; 4096]).is_ok() {}
}

#[tokio::test]
async fn while_a_reader_stalls_a_call_ends_by_its_deadline_with_nothing_sent() {
    let log = Log::new();
    let made = Command::new("mkfifo").arg(&log.path).status().unwrap();
    assert!(made.success());
    let mut gateway = log.gateway().start().await;
    gateway.sandbox.put_task(Task::new("later"));
    gateway.sandbox.script(ID, [Fault::hold()]);
    let mut pipe = pipe::OpenOptions::new().open_receiver(&log.path).unwrap();
    let mut text = Vec::new();
    let mut wire = Wire::connect(gateway.addr).await;
    let held = wire.execute(ID, &[]).await;
    read_until(&mut pipe, &mut text, |records| records.len() == 1).await;
    within(gateway.sandbox.wait_for_posts(ID, 1)).await;

    fill(Path::new(&log.path)).await;
    for _ in 0..3 {
        let stuck = wire.execute(OTHER, &[("grpc-timeout", "100m")]).await;
        let error = stuck.answer().await.unwrap().error();
        assert_eq!(error.code, Code::DeadlineExceeded);
        assert_eq!(error.outcome, "NOT_STARTED");
        let update = head(UPDATE, &[("grpc-timeout", "100m")]);
        let mut update = wire.begin(update).await;
        update.data(frame(&completes(OTHER).encode_to_vec()), true);
        let error = update.answer().await.unwrap().error();
        assert_eq!(error.code, Code::DeadlineExceeded);
        assert_eq!(error.metadata["updateOutcome"], "NOT_UPDATED");
    }
    gateway.sandbox.release(ID);
    held.answer().await.unwrap().message();

    let later = wire.execute("later", &[]).await;
    read_until(&mut pipe, &mut text, |records| {
        of_task(records, "later").1 == ["STARTED"]
    })
    .await;
    later.answer().await.unwrap().message();
    gateway.stop().await;
    assert_eq!(gateway.sandbox.posts(OTHER), 0);
    let records = records(&String::from_utf8(text).unwrap());
    assert_eq!(of_task(&records, ID), (1, vec!["STARTED"]));
    // What had gone to the pipe before its caller left has an outcome.
    let (intents, outcomes) = of_task(&records, OTHER);
    let is_no = |outcome: &&str| ["NOT_STARTED", "NOT_UPDATED"].contains(outcome);
    assert!(outcomes.iter().all(is_no), "{outcomes:?}");
    assert_eq!(outcomes.len(), intents);
    let asked = gateway.sandbox.journal();
    assert!(asked.iter().all(|entry| !entry.target.contains(OTHER)));
}

#[test]
fn standard_output_has_the_records_and_nothing_else_and_standard_error_none() {
    let graph = Simulator::start();
    let server = Server::before(&graph);
    let token = TempFile::new("audit-token", TOKEN);
    for (task, code) in [(ID, 0), ("nowhere", 1)] {
        let ended = server.execute(&[task, "--token-file", token.path()]);
        assert_eq!(ended.code, Some(code), "{ended:?}");
    }
    server.program.signal("TERM");
    let ended = server.program.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let records = records(&ended.stdout);
    assert_eq!(records.len(), ended.stdout.lines().count());
    assert_eq!(of_task(&records, ID), (1, vec!["STARTED"]));
    assert_eq!(of_task(&records, "nowhere"), (1, vec!["NOT_STARTED"]));
    assert_eq!(records.len(), 4);
    for line in ended.stderr.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line.get("event"), None, "{line}");
    }
    assert!(!ended.stdout.contains(TOKEN) && !ended.stderr.contains(TOKEN));
}

#[test]
fn the_embedded_sandbox_records_nothing_unless_asked() {
    let server = Server::with_sandbox();
    assert_eq!(server.execute(&[ID]).code, Some(0));
    server.program.signal("TERM");
    assert_eq!(server.program.ended().stdout, "");
}

#[test]
fn a_link_to_a_log_in_use_is_the_same_log() {
    let log = Log::new();
    let link = format!("{}.link", log.path);
    symlink(&log.path, &link).unwrap();
    let by_link = [
        ("INCIDENTGATE_AUDIT__SINK", "file"),
        ("INCIDENTGATE_AUDIT__FILE", &*link),
    ];
    let server = Server::with_variables(&by_link);
    assert_eq!(server.execute(&[ID]).code, Some(0));
    let serve = ["serve", "--sandbox", "--listen", "127.0.0.1:0"];
    let second = Program::start_with(&serve, &log.variables(), "").ended();
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.stderr.contains("is in use by another process"));
    server.program.signal("TERM");
    assert_eq!(server.program.ended().code, Some(0));
    assert_eq!(of_task(&log.records(), ID), (1, vec!["STARTED"]));
}
