//! The audit log from outside: what stands in it, when, and what is made of it.

mod crash;
mod endings;
mod media;
mod pending;
mod reconcile;
mod records;

use std::fs;

use incidentgate::sandbox::{Options, Sandbox};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::support::{Gateway, GatewayBuilder, within};

/// A log in a folder of its own.
struct Log {
    _folder: TempDir,
    path: String,
}

// === impl Log ===

impl Log {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        Self {
            _folder: folder,
            path: path.to_str().unwrap().to_owned(),
        }
    }

    /// A gateway that writes it.
    fn gateway(&self) -> GatewayBuilder {
        Gateway::builder()
            .with("audit.sink", "file")
            .with("audit.file", &*self.path)
    }

    /// The same for a process.
    fn variables(&self) -> [(&str, &str); 2] {
        [
            ("INCIDENTGATE_AUDIT__SINK", "file"),
            ("INCIDENTGATE_AUDIT__FILE", &self.path),
        ]
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }

    /// The whole lines so far.
    fn records(&self) -> Vec<Value> {
        records(&self.text())
    }

    /// The records among its lines, some of which are torn.
    fn sound_records(&self) -> Vec<Value> {
        let text = self.text();
        let lines = whole_lines(&text);
        lines
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Waits until so many lines stand in it.
    async fn wait_for(&self, count: usize) -> Vec<Value> {
        within(async {
            while self.records().len() < count {
                tokio::task::yield_now().await;
            }
        })
        .await;
        self.records()
    }
}

/// A Graph for gateways, and commands, in processes of their own.
async fn start_sandbox() -> Sandbox {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Sandbox::start(listener, Options::default()).await.unwrap()
}

/// The whole lines of a log, each of which is a record.
fn records(text: &str) -> Vec<Value> {
    whole_lines(text)
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Lines that have come to their ends, and are not blank.
fn whole_lines(text: &str) -> impl Iterator<Item = &str> {
    let (whole, _torn) = text.rsplit_once('\n').unwrap_or_default();
    whole.lines().filter(|line| !line.is_empty())
}
