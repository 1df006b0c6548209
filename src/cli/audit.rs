//! `incidentgate audit`

mod now;
mod table;

use std::{
    fs::File,
    io::{self, BufReader, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use http::HeaderMap;
use serde::Serialize;

use self::{
    now::{Inquiry, Now, Shown},
    table::table,
};
use super::{
    FAILURE, UNKNOWN, USAGE, fail, interrupt::shutdown_on_signals, print, settings::GraphSettings,
    token,
};
use crate::{
    app::{self, graph_options},
    audit::{
        self,
        pending::{Pending, PendingCall, Reader},
    },
    authorization::{Authorization, TokenOwner},
    caller::Caller,
    config::Config,
    credentials::{Credential, Credentials},
    graph::GraphClient,
    telemetry::{Metrics, Propagator},
};

/// Reads the audit log.
#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    Pending(ListPending),
}

/// Lists the calls whose POST may have left and whose outcome was never recorded, as
/// after a crash. Updates of a task's status are no such calls: they start nothing.
///
/// Exits 0 when there is none, 4 when there are some, 1 when a file cannot be read, and 64
/// when the configuration or the token is wrong.
///
/// With --reconcile, each call's task is read from Graph, and the column NOW tells whether
/// its action has been started, by whomever. `not started, as yet` is true at that moment:
/// a POST that left just before the crash can still arrive. The command then exits 0 when
/// every task has shown its state, and 4 when one is left unknown.
#[derive(Debug, Args)]
#[command(
    mut_arg("config", |arg| arg.requires("reconcile")),
    mut_arg("graph_url", |arg| arg.requires("reconcile"))
)]
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
    /// Ask Graph what each task shows now; nothing is started.
    #[arg(long)]
    reconcile: bool,
    /// A file with an access token for Microsoft Graph that may read the tasks, and nothing
    /// else; `-` reads it from stdin. Left out, the gateway's own token is used, if the
    /// configuration has `credentials.mode = "application"`.
    #[arg(long, value_name = "FILE", requires = "reconcile")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    graph: GraphSettings,
}

/// A call as it is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    #[serde(flatten)]
    call: &'a PendingCall,
    #[serde(flatten)]
    now: Option<Shown<'a>>,
}

// === impl Audit ===

impl Audit {
    pub(super) async fn run(self) -> ExitCode {
        let Self::Pending(command) = self;
        command.run().await
    }
}

// === impl ListPending ===

impl ListPending {
    async fn run(mut self) -> ExitCode {
        // What is wrong with the command shows before the logs are read, which may take long.
        let inquiry = self.reconcile.then(|| self.inquiry());
        let inquiry = match inquiry.transpose() {
            Ok(inquiry) => inquiry,
            Err(error) => return fail(USAGE, &error),
        };
        match self.list(inquiry).await {
            Ok(code) => code,
            Err(error) => fail(FAILURE, &error),
        }
    }

    fn inquiry(&mut self) -> anyhow::Result<Inquiry> {
        let config = std::mem::take(&mut self.graph).load()?.config;
        let credential = match &self.token_file {
            Some(file) => Credential::Given(self.given(file)?),
            None => own_token(&config)?,
        };
        let (propagator, metrics) = (Propagator::default(), Metrics::disabled());
        Ok(Inquiry {
            graph: GraphClient::new(&graph_options(&config)?, propagator, metrics)?,
            credential,
            limit: config.reconciliation.timeout,
        })
    }

    /// The token of `--token-file`.
    fn given(&self, file: &Path) -> anyhow::Result<Authorization> {
        let from_stdin = |file: &Path| file.as_os_str() == "-";
        anyhow::ensure!(
            !(from_stdin(file) && self.files.iter().any(|file| from_stdin(file))),
            "stdin cannot be both an audit log and --token-file"
        );
        let token = token::read(file)?;
        Authorization::bearer(&token, TokenOwner::Caller).context("--token-file holds no token")
    }

    async fn list(&self, inquiry: Option<Inquiry>) -> anyhow::Result<ExitCode> {
        let calls = self.read()?.calls;
        let now = match inquiry {
            Some(inquiry) => {
                // From here on Ctrl-C ends the asking, and what is known is printed.
                let interrupted = shutdown_on_signals()?.graceful;
                Some(inquiry.ask(&calls, &interrupted).await)
            }
            None => None,
        };
        if self.json {
            for (n, call) in calls.iter().enumerate() {
                let now = now.as_ref().map(|now| now[n].shown());
                print(serde_json::to_string(&Listed { call, now })?);
            }
        } else if calls.is_empty() {
            print("no call is pending");
        } else {
            print(table(&calls, now.as_deref()).trim_end());
        }
        let in_doubt = match &now {
            Some(now) => now.iter().any(|now| matches!(now, Now::Unknown(_))),
            None => !calls.is_empty(),
        };
        Ok(ExitCode::from(if in_doubt { UNKNOWN } else { 0 }))
    }

    fn read(&self) -> anyhow::Result<Pending> {
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
        let is_a_log = pending.intents > 0 || pending.unmatched > 0;
        anyhow::ensure!(
            is_a_log || pending.unreadable == 0,
            "this is no audit log: not one line of it is an audit record"
        );
        if pending.unmatched > 0 {
            let outcomes = pending.unmatched;
            note(format_args!(
                "outcomes without an intent before them: {outcomes}; name the older files too, \
                 the oldest first"
            ));
        }
        Ok(pending)
    }
}

/// The token that the gateway itself would call Graph with.
fn own_token(config: &Config) -> anyhow::Result<Credential> {
    let credentials = app::credentials(config, &Metrics::disabled())?;
    anyhow::ensure!(
        matches!(credentials, Credentials::Application(_)),
        "--reconcile needs --token-file, as the configuration has no `credentials.mode = \"application\"`"
    );
    Ok(credentials.of(&Caller::anonymous(), &HeaderMap::new())?)
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
