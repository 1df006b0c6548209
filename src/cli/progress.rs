//! What is printed while a task is followed: lines for people, with a spinner below them on
//! a terminal, or JSON.

use std::{
    fmt,
    io::{self, IsTerminal as _},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::time::Instant;

use super::{
    follow::Seen,
    print,
    report::Report,
    said::{Failed, Said, write_line},
    sight::Sight,
};
use crate::scan;

/// Where the states go.
pub(super) struct Progress {
    begun: Instant,
    spinner: ProgressBar,
    json: bool,
}

/// A line of JSON.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "camelCase")]
enum Event<'a> {
    #[serde(rename_all = "camelCase")]
    State {
        action_status: Option<&'static str>,
        status: Option<&'static str>,
        #[serde(rename = "final")]
        is_final: bool,
        elapsed_ms: u64,
        #[serde(skip_serializing_if = "str::is_empty")]
        graph_request_id: &'a str,
        task: &'a Sight,
    },
    Execution {
        #[serde(flatten)]
        report: &'a Report,
    },
    Error {
        #[serde(flatten)]
        said: &'a Said,
        next: &'a str,
    },
    Stopped {
        why: &'a str,
        next: &'a str,
    },
}

/// The end of an action, for people.
struct Ended<'a> {
    task: &'a Sight,
    elapsed: Duration,
}

// === impl Progress ===

impl Progress {
    /// A spinner is shown where both a person and a terminal are there.
    pub(super) fn begin(json: bool) -> Self {
        let is_watched = !json && io::stdout().is_terminal() && io::stderr().is_terminal();
        let spinner = if is_watched {
            let spinner = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {elapsed}") {
                spinner.set_style(style);
            }
            spinner.set_message("connecting");
            spinner.enable_steady_tick(Duration::from_millis(100));
            spinner
        } else {
            ProgressBar::hidden()
        };
        Self {
            begun: Instant::now(),
            spinner,
            json,
        }
    }

    /// The task is in another state.
    pub(super) fn state(&self, seen: &Seen) {
        let Seen {
            task,
            is_final,
            graph_request_id,
        } = seen;
        let elapsed = self.begun.elapsed();
        if self.json {
            event(&Event::State {
                action_status: task.action_status,
                status: task.status,
                is_final: *is_final,
                elapsed_ms: milliseconds(elapsed),
                graph_request_id,
                task,
            });
            return;
        }
        let (action, status) = (task.action_status_word(), task.status_word());
        let line = format!("{:>8}  {action:<20} task {status}", seconds(elapsed));
        self.line(line.replace(scan::steers, " "));
        self.spinner.set_message(action.replace(scan::steers, " "));
    }

    /// Nothing more becomes of it. As JSON the state has said so.
    pub(super) fn ended(&self, task: &Sight) {
        if !self.json {
            let elapsed = self.begun.elapsed();
            self.line(Ended { task, elapsed });
        }
    }

    /// The task cannot be followed, or no longer.
    pub(super) fn failed(&self, said: &Said, next: &str) {
        if self.json {
            event(&Event::Error { said, next });
        } else {
            let what = "the task cannot be followed";
            self.line(Failed { what, said, next });
        }
    }

    /// Nobody waits any more.
    pub(super) fn stopped(&self, why: &str, next: &str) {
        if self.json {
            event(&Event::Stopped { why, next });
        } else {
            self.line(format_args!("{why}; {next}"));
        }
    }

    /// The action was started, or was not.
    pub(super) fn report(&self, report: &Report) {
        if self.json {
            event(&Event::Execution { report });
        } else {
            self.line(report);
        }
    }

    fn line(&self, line: impl fmt::Display) {
        self.spinner.suspend(|| print(line));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.spinner.finish_and_clear();
    }
}

// === impl Ended ===

impl fmt::Display for Ended<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, elapsed } = self;
        f.write_str(match task.action_status {
            Some("COMPLETED") => "COMPLETED: the action has completed",
            Some("FAILED") => "FAILED: the action was started and has failed",
            Some("NOT_STARTED") => {
                "NOT_STARTED: the task is at its end, and the action was never started"
            }
            _ => "ENDED: the task is at its end, and the action has not completed",
        })?;
        write_line(
            f,
            "task",
            &format!("{} ({})", task.display_name, task.action_type_word()),
        )?;
        write_line(f, "actionStatus", &task.action_status_word())?;
        write_line(f, "status", &task.status_word())?;
        write_line(f, "after", &seconds(*elapsed))?;
        if task.action_status == Some("COMPLETED") {
            return Ok(());
        }
        write_line(
            f,
            "next",
            "Graph gives no further reason; look at the task in Microsoft Defender",
        )
    }
}

fn event(event: &Event<'_>) {
    print(serde_json::to_string(event).unwrap_or_default());
}

fn seconds(elapsed: Duration) -> String {
    format!("{:.1} s", elapsed.as_secs_f64())
}

fn milliseconds(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
