//! `incidentgate audit`

use std::{
    fs::File,
    io::{self, BufReader, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::{FAILURE, UNKNOWN, fail, print};
use crate::audit::{
    self, Caller,
    pending::{PendingCall, Reader},
};

/// Reads the audit log.
#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    Pending(ListPending),
}

/// Lists the calls whose POST may have left and whose outcome was never recorded, as
/// after a crash.
///
/// Exits 0 when there is none, 4 when there are some, and 1 when a file cannot be read.
#[derive(Debug, Args)]
pub(super) struct ListPending {
    /// Audit logs, the oldest first; `-` reads one from stdin.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Also list the calls whose recorded outcome is UNKNOWN.
    #[arg(long)]
    unknown: bool,
    /// Print one JSON object per call.
    #[arg(long)]
    json: bool,
}

/// A column: its head, and what stands in it.
type Column = (&'static str, fn(&PendingCall) -> String);

const COLUMNS: [Column; 6] = [
    ("TIME", |call| call.time.clone()),
    ("TASK", |call| call.task_id.clone()),
    ("CLIENT-REQUEST-ID", |call| call.client_request_id.clone()),
    ("OUTCOME", outcome),
    ("TRACE", |call| {
        call.trace_id.clone().unwrap_or_else(|| "-".to_owned())
    }),
    ("CALLER (claims unverified)", |call| caller(&call.caller)),
];

impl Audit {
    pub(super) fn run(self) -> ExitCode {
        let Self::Pending(command) = self;
        command.run().unwrap_or_else(|error| fail(FAILURE, &error))
    }
}

impl ListPending {
    fn run(self) -> anyhow::Result<ExitCode> {
        let mut reader = Reader::new(self.unknown);
        for file in &self.files {
            read(file, &mut reader)
                .with_context(|| format!("{} cannot be read", file.display()))?;
        }
        let pending = reader.finish();
        if pending.unreadable > 0 {
            let lines = pending.unreadable;
            note(format_args!(
                "lines that are torn or no audit records: {lines}"
            ));
        }
        if pending.unmatched > 0 {
            let outcomes = pending.unmatched;
            note(format_args!(
                "outcomes without an intent before them: {outcomes}; name the older files too, \
                 the oldest first"
            ));
        }
        if self.json {
            for call in &pending.calls {
                print(serde_json::to_string(call)?);
            }
        } else if pending.calls.is_empty() {
            print("no call is pending");
        } else {
            print(table(&pending.calls).trim_end());
        }
        Ok(ExitCode::from(if pending.calls.is_empty() {
            0
        } else {
            UNKNOWN
        }))
    }
}

fn read(path: &Path, reader: &mut Reader) -> io::Result<()> {
    if path.as_os_str() == "-" {
        return reader.read(io::stdin().lock());
    }
    let file = File::open(path)?;
    if audit::is_in_use(&file) {
        let file = path.display();
        note(format_args!(
            "a running gateway writes {file}: its calls in flight are pending too"
        ));
    }
    reader.read(BufReader::new(file))
}

/// What is to be known beside the result.
fn note(text: impl std::fmt::Display) {
    drop(writeln!(io::stderr().lock(), "incidentgate: {text}"));
}

fn table(calls: &[PendingCall]) -> String {
    let head = COLUMNS.map(|(head, _)| head.to_owned());
    // Whoever wrote the file, the lines are ours, and so is the terminal.
    let row = |call| COLUMNS.map(|(_, cell)| cell(call).replace(char::is_control, " "));
    let rows: Vec<_> = std::iter::once(head).chain(calls.iter().map(row)).collect();
    let widths: [usize; COLUMNS.len()] = std::array::from_fn(|column| {
        let lengths = rows.iter().map(|row| row[column].chars().count());
        lengths.max().unwrap_or(0)
    });
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let padding = width - cell.chars().count() + 2;
            line = line + cell + &" ".repeat(padding);
        }
        text = text + line.trim_end() + "\n";
    }
    text
}

fn outcome(call: &PendingCall) -> String {
    match (&call.outcome, &call.reason) {
        (None, _) => "-".to_owned(),
        (Some(outcome), None) => outcome.clone(),
        (Some(outcome), Some(reason)) => format!("{outcome} ({reason})"),
    }
}

fn caller(caller: &Caller) -> String {
    let claims = [
        ("app", &caller.claims.app),
        ("tenant", &caller.claims.tenant),
        ("object", &caller.claims.object),
    ];
    let claims = claims
        .into_iter()
        .filter_map(|(name, claim)| Some(format!(" {name}={}", claim.as_ref()?)));
    std::iter::once(caller.peer.clone()).chain(claims).collect()
}
