//! `UpdateIncidentTask`.

use std::{fs, time::Duration};

use incidentgate::{
    pb::{IncidentTask, IncidentTaskStatus, UpdateIncidentTaskRequest, UpdateIncidentTaskResponse},
    sandbox::{Fault, Status as TaskStatus},
};
use prost_types::FieldMask;
use serde_json::Value;
use tonic::{Code, Status};

use super::asked;
use crate::support::{Gateway, GatewayBuilder, answer, with_token, within};

const ID: &str = "213213";

fn message(status: IncidentTaskStatus) -> UpdateIncidentTaskRequest {
    UpdateIncidentTaskRequest {
        incident_task: Some(IncidentTask {
            id: ID.to_owned(),
            status: status.into(),
            ..Default::default()
        }),
        update_mask: Some(FieldMask {
            paths: vec!["status".to_owned()],
        }),
        client_request_id: String::new(),
    }
}

async fn complete(gateway: &Gateway) -> Result<UpdateIncidentTaskResponse, Status> {
    let mut client = gateway.client().await;
    let request = with_token(message(IncidentTaskStatus::Completed));
    let answer = within(client.update_incident_task(request)).await;
    answer.map(tonic::Response::into_inner)
}

/// A gateway with an audit log, and where that is.
fn audited(folder: &tempfile::TempDir) -> (GatewayBuilder, String) {
    let path = folder.path().join("audit.jsonl");
    let path = path.to_str().unwrap().to_owned();
    let gateway = Gateway::builder()
        .with("audit.sink", "file")
        .with("audit.file", &*path)
        .with("retry.initial_backoff", "1ms");
    (gateway, path)
}

async fn records(path: &str, count: usize) -> Vec<Value> {
    within(async {
        loop {
            let text = fs::read_to_string(path).unwrap();
            let lines = text.lines().map(serde_json::from_str);
            let records: Vec<Value> = lines.filter_map(Result::ok).collect();
            if records.len() >= count {
                break records;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test]
async fn a_status_is_set_and_stands_in_the_audit_log() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, log) = audited(&folder);
    let gateway = gateway.start().await;
    let response = complete(&gateway).await.unwrap();
    let task = response.incident_task.unwrap();
    assert_eq!(task.status(), IncidentTaskStatus::Completed);
    assert_eq!(task.display_name, "Isolate device testmachine20");
    assert_eq!(
        gateway.sandbox.task(ID).unwrap().status,
        TaskStatus::Completed
    );
    assert_eq!(
        asked(&gateway),
        [format!("PATCH /beta/security/incidentTasks/{ID}")]
    );
    let patch = &gateway.sandbox.journal()[0];
    assert_eq!(patch.header("content-type"), Some("application/json"));

    let records = records(&log, 2).await;
    let of = |record: &Value, keys: &[&str]| -> Vec<String> {
        keys.iter().map(|key| record[key].to_string()).collect()
    };
    let intent = of(&records[0], &["event", "taskId", "setStatus", "outcome"]);
    assert_eq!(
        intent,
        ["\"intent\"", "\"213213\"", "\"completed\"", "null"]
    );
    let outcome = of(
        &records[1],
        &["event", "setStatus", "outcome", "code", "attempts"],
    );
    let want = ["\"outcome\"", "\"completed\"", "\"UPDATED\"", "\"OK\"", "1"];
    assert_eq!(outcome, want);
    assert_eq!(records[0]["id"], records[1]["id"]);
}

#[tokio::test]
async fn an_answer_that_was_lost_is_asked_for_again_since_that_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, log) = audited(&folder);
    let gateway = gateway.start().await;
    let lost = Fault::reset().committed().on_update();
    gateway.sandbox.script(ID, [lost]);
    complete(&gateway).await.unwrap();
    assert_eq!(asked(&gateway).len(), 2);
    assert_eq!(records(&log, 2).await[1]["attempts"], 2);
}

#[tokio::test]
async fn what_may_have_been_set_is_told_and_may_be_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, log) = audited(&folder);
    let gateway = gateway.with("retry.max_attempts", "1").start().await;
    let refused = Fault::error(403, "Forbidden", "No.");
    let lost = Fault::reset().committed();
    for (number, (fault, code, doubtful, again, outcome)) in [
        (lost, Code::Unavailable, true, true, "UNKNOWN"),
        (refused, Code::PermissionDenied, false, false, "NOT_UPDATED"),
    ]
    .into_iter()
    .enumerate()
    {
        gateway.sandbox.script(ID, [fault.on_update()]);
        let failed = answer(&complete(&gateway).await.unwrap_err());
        assert_eq!((failed.code, &*failed.outcome), (code, "NOT_STARTED"));
        let says_so = failed.message.contains("the status may have been set");
        assert_eq!(says_so, doubtful, "{}", failed.message);
        assert!(!failed.message.contains("started"), "{}", failed.message);
        assert_eq!(failed.metadata["updateOutcome"], outcome);
        assert_eq!(failed.details.retry_info().is_some(), again);
        let records = records(&log, 2 * number + 2).await;
        assert_eq!(records[2 * number + 1]["outcome"], outcome);
    }
}

#[tokio::test]
async fn a_doubt_about_an_earlier_request_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, log) = audited(&folder);
    let gateway = gateway.start().await;
    let faults = [
        Fault::reset().committed(),
        Fault::error(403, "Forbidden", "No."),
    ];
    gateway.sandbox.script(ID, faults.map(Fault::on_update));
    let failed = answer(&complete(&gateway).await.unwrap_err());
    assert_eq!(failed.code, Code::PermissionDenied);
    assert_eq!(failed.metadata["updateOutcome"], "UNKNOWN");
    assert!(
        failed.message.contains("the status may have been set"),
        "{}",
        failed.message
    );
    assert_eq!(records(&log, 2).await[1]["outcome"], "UNKNOWN");
}

#[tokio::test]
async fn a_caller_who_leaves_does_not_end_it() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, log) = audited(&folder);
    let mut gateway = gateway.start().await;
    gateway.sandbox.script(ID, [Fault::hold().on_update()]);
    let mut client = gateway.client().await;
    let mut request = with_token(message(IncidentTaskStatus::Completed));
    request.set_timeout(Duration::from_secs(60));
    let call = tokio::spawn(async move { client.update_incident_task(request).await });
    records(&log, 1).await;
    within(async {
        while gateway.sandbox.journal().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    call.abort();
    gateway.logged("call ended").await;
    gateway.sandbox.release(ID);
    // A shutdown waits for it.
    gateway.stop().await;
    let records = records(&log, 2).await;
    assert_eq!(records[1]["outcome"], "UPDATED");
    assert_eq!(
        gateway.sandbox.task(ID).unwrap().status,
        TaskStatus::Completed
    );
}

#[tokio::test]
async fn whose_caller_has_left_is_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, log) = audited(&folder);
    let mut gateway = gateway.start().await;
    // It would be sent again, and would undo what somebody has set meanwhile.
    let fails = Fault::error(502, "UnknownError", "").held();
    gateway.sandbox.script(ID, [fails.on_update()]);
    let mut client = gateway.client().await;
    let request = with_token(message(IncidentTaskStatus::Completed));
    let call = tokio::spawn(async move { client.update_incident_task(request).await });
    within(async {
        while gateway.sandbox.journal().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    call.abort();
    gateway.logged("call ended").await;
    gateway.sandbox.release(ID);
    let records = records(&log, 2).await;
    assert_eq!(records[1]["code"], "CANCELLED");
    assert_eq!(records[1]["attempts"], 1);
    gateway.stop().await;
    assert_eq!(asked(&gateway).len(), 1);
}

#[tokio::test]
async fn only_a_status_can_be_set() {
    let gateway = Gateway::start().await;
    let mut client = gateway.client().await;
    let request = with_token(message(IncidentTaskStatus::UnknownFutureValue));
    let wrong = within(client.update_incident_task(request)).await;
    let wrong = answer(&wrong.unwrap_err());
    assert_eq!(wrong.code, Code::InvalidArgument);
    assert_eq!(wrong.metadata["updateOutcome"], "NOT_UPDATED");
    let fields = wrong.details.bad_request().unwrap();
    assert_eq!(fields.field_violations[0].field, "incident_task.status");
    assert!(gateway.sandbox.journal().is_empty());
}
