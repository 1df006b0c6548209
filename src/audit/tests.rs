//! The whole of it: against a scripted medium, real files, and crashes.

mod crash;
mod files;
mod property;
mod scripted;

use std::{path::Path, time::Duration};

use serde_json::Value;

use super::{pending::Reader, *};
use crate::authorization::Claims;

/// Far above what anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A call for this task.
fn intent(task: &str) -> Intent {
    Intent {
        act: Act::Execute,
        task_id: task.to_owned(),
        client_request_id: "a2f0b4a6-7d3c-4c5e-9a52-0f6f2f6d9d11".to_owned(),
        caller: Caller {
            peer: "127.0.0.1:4711".to_owned(),
            names: Vec::new(),
            allowed_by: None,
            claims: Claims::default(),
        },
        trace_id: None,
    }
}

/// One in which every text is this one, and with more names than are kept.
pub(super) fn intent_of(text: &str) -> Intent {
    let text = || text.to_owned();
    Intent {
        act: Act::Execute,
        task_id: text(),
        client_request_id: text(),
        caller: Caller {
            peer: text(),
            names: vec![text(); 99],
            allowed_by: Some(text()),
            claims: Claims {
                app: Some(text()),
                tenant: Some(text()),
                object: Some(text()),
            },
        },
        trace_id: Some(text()),
    }
}

fn started() -> Outcome {
    Outcome {
        outcome: crate::telemetry::Outcome::Started,
        code: "OK",
        reason: None,
        graph_request_id: None,
        attempts: 1,
    }
}

fn options(medium: Medium) -> AuditOptions {
    AuditOptions {
        medium,
        fsync: Fsync::Always,
        on_failure: OnFailure::Refuse,
        metrics: Metrics::disabled(),
    }
}

async fn record(audit: &Audit, task: &str) -> Result<Entry, Unrecorded> {
    tokio::time::timeout(PATIENCE, audit.intent(move || intent(task)))
        .await
        .expect("the writer works")
}

/// Each record as `event task outcome reason`.
fn summary(log: &str) -> Vec<String> {
    let line = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap_or_default();
        let text = |key: &str| record[key].as_str().unwrap_or("-").to_owned();
        let words = ["event", "taskId", "outcome", "reason"].map(text);
        words.join(" ").trim_end_matches(" -").to_owned()
    };
    log.lines().map(line).collect()
}

fn summary_of(file: &Path) -> Vec<String> {
    summary(&std::fs::read_to_string(file).unwrap())
}

/// The tasks that are pending in a log.
fn pending(log: &[u8]) -> Vec<String> {
    let mut reader = Reader::new(false);
    reader.read(log).unwrap();
    let calls = reader.finish().calls;
    calls.into_iter().map(|call| call.task_id).collect()
}
