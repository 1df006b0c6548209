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
    report::Report,
    said::{Failed, Said, write_line},
    sight::Sight,
    write,
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
    Lost {
        #[serde(flatten)]
        said: &'a Said,
        elapsed_ms: u64,
    },
    Error {
        #[serde(flatten)]
        said: &'a Said,
        next: &'a str,
    },
    Stopped {
        why: Stop,
        next: &'a str,
    },
}

/// Why nobody waits any more.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Stop {
    /// Ctrl-C.
    Interrupted,
    /// The time of `--wait-timeout` is over.
    Timeout,
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
    pub(super) fn state(&self, seen: &Seen) -> io::Result<()> {
        let Seen {
            task,
            is_final,
            graph_request_id,
        } = seen;
        let elapsed = self.begun.elapsed();
        let (action, status) = (task.action_status_word(), task.status_word());
        self.spinner.set_message(action.replace(scan::steers, " "));
        if self.json {
            return write_event(&Event::State {
                action_status: task.action_status,
                status: task.status,
                is_final: *is_final,
                elapsed_ms: milliseconds(elapsed),
                graph_request_id,
                task,
            });
        }
        let line = format!("{:>8}  {action:<20} task {status}", seconds(elapsed));
        self.line(line.replace(scan::steers, " "))
    }

    /// The stream is broken, and another one is begun.
    pub(super) fn lost(&self, said: &Said) -> io::Result<()> {
        let elapsed = self.begun.elapsed();
        self.spinner.set_message("trying again");
        if self.json {
            let elapsed_ms = milliseconds(elapsed);
            return write_event(&Event::Lost { said, elapsed_ms });
        }
        let message = said.message.replace(scan::steers, " ");
        let elapsed = seconds(elapsed);
        self.line(format_args!("{elapsed:>8}  trying again: {message}"))
    }

    /// Nothing more becomes of it. As JSON the state has said so.
    pub(super) fn ended(&self, task: &Sight) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        let elapsed = self.begun.elapsed();
        self.last(Ended { task, elapsed })
    }

    /// The task cannot be followed, or no longer.
    pub(super) fn failed(&self, said: &Said, next: &str) -> io::Result<()> {
        if self.json {
            return write_event(&Event::Error { said, next });
        }
        let what = "the task cannot be followed";
        self.last(Failed { what, said, next })
    }

    /// Nobody waits any more.
    pub(super) fn stopped(&self, why: Stop, next: &str) -> io::Result<()> {
        if self.json {
            return write_event(&Event::Stopped { why, next });
        }
        let why = match why {
            Stop::Interrupted => "INTERRUPTED",
            Stop::Timeout => "TIMEOUT: the time of --wait-timeout is over",
        };
        self.last(format_args!("{why}; {next}"))
    }

    /// The action was started, or was not.
    pub(super) fn report(&self, report: &Report) -> io::Result<()> {
        if self.json {
            return write_event(&Event::Execution { report });
        }
        if report.is_started() {
            self.spinner.set_message("started");
        }
        self.line(report)
    }

    fn line(&self, line: impl fmt::Display) -> io::Result<()> {
        self.spinner.suspend(|| write(line))
    }

    /// The last line, below which nothing turns any more.
    fn last(&self, line: impl fmt::Display) -> io::Result<()> {
        self.spinner.finish_and_clear();
        write(line)
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
        if task.action_status == Some("FAILED") {
            let next = "Graph gives no further reason; look at the task in Microsoft Defender";
            write_line(f, "next", next)?;
        }
        Ok(())
    }
}

fn write_event(event: &Event<'_>) -> io::Result<()> {
    write(serde_json::to_string(event)?)
}

fn seconds(elapsed: Duration) -> String {
    format!("{:.1} s", elapsed.as_secs_f64())
}

fn milliseconds(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
