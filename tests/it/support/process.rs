//! The program itself, as a process.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, ExitStatus, Stdio},
};

use incidentgate::pb::incident_task_service_client::IncidentTaskServiceClient;
use serde_json::Value;
use tokio::sync::mpsc;
use tonic::transport::Channel;

use super::within;

/// A gateway with the embedded sandbox; it is killed when the test is over.
pub(crate) struct Process {
    pub(crate) addr: SocketAddr,
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
    seen: Vec<Value>,
}

impl Process {
    /// Starts it with these variables and no others, and waits until it listens.
    pub(crate) async fn start(variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_incidentgate"))
            .args(["serve", "--sandbox", "--listen", "127.0.0.1:0"])
            .env_clear()
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            // The channel closes when the process has ended: nobody else holds its stderr.
            for line in stderr.lines() {
                if sender.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        let mut process = Self {
            addr: SocketAddr::from(([0, 0, 0, 0], 0)),
            child,
            lines,
            seen: Vec::new(),
        };
        let serves = process.wait_for_log("incidentgate serves").await;
        process.addr = serves["listen"].as_str().unwrap().parse().unwrap();
        process
    }

    pub(crate) async fn client(&self) -> IncidentTaskServiceClient<Channel> {
        let url = format!("http://{}", self.addr);
        within(IncidentTaskServiceClient::connect(url))
            .await
            .unwrap()
    }

    /// The next line with this message.
    pub(crate) async fn wait_for_log(&mut self, message: &str) -> Value {
        loop {
            let line = within(self.lines.recv()).await;
            let line = line.unwrap_or_else(|| panic!("ended without saying {message:?}"));
            let line: Value = serde_json::from_str(&line).unwrap();
            self.seen.push(line.clone());
            if line["message"] == message {
                return line;
            }
        }
    }

    /// SIGTERM, then everything until the process is gone: how it ended, and all of its log.
    pub(crate) async fn terminate(mut self) -> (ExitStatus, Vec<Value>) {
        let pid = self.child.id();
        let kill = Command::new("sh")
            .args(["-c", &format!("kill -TERM {pid}")])
            .status();
        assert!(kill.unwrap().success());
        while let Some(line) = within(self.lines.recv()).await {
            self.seen.push(serde_json::from_str(&line).unwrap());
        }
        let status = self.child.wait().unwrap();
        (status, std::mem::take(&mut self.seen))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails when it has ended, which is just as well.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
