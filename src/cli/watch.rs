//! `incidentgate watch`

use std::{io, process::ExitCode, time::Duration};

use clap::Args;
use tokio::{signal, time::sleep};

use super::{
    FAILURE, USAGE, fail,
    follow::{Follower, News},
    progress::{Progress, Stop},
    report::argument,
    said::Said,
    service::{Access, Mark},
    unwritten,
};
use crate::config::form;

/// Nobody waits any more: 128 and SIGINT, as shells have it.
pub(super) const INTERRUPTED: u8 = 130;

/// Follows one incident task until its action is at its end.
///
/// Exits 0 when the action has completed, 5 when it has ended otherwise, 1 when the task
/// cannot be followed, and 130 after Ctrl-C. To stop following never stops the action.
#[derive(Debug, Args)]
pub(super) struct Watch {
    /// The task's id, as Graph shows it.
    id: String,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    mark: Mark,
    #[command(flatten)]
    patience: Patience,
    /// Print one JSON object a line; with exit code 64 there is none.
    #[arg(long)]
    json: bool,
}

/// How long a task is followed.
#[derive(Debug, Args)]
pub(super) struct Patience {
    /// The most time to follow the task, as in `10m`; `--timeout` is the most until its first
    /// state. Left out, it is followed to its end.
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = |text: &str| form::duration(form::MS, form::DAY).demand(text)
    )]
    wait_timeout: Option<Duration>,
}

/// How following a task ended.
pub(super) enum End {
    /// The task is at its end; the exit code says which.
    Final(u8),
    /// It cannot be followed any more.
    Lost(Box<Said>),
    /// Nobody waits any more.
    Stopped(Stop),
    /// What there was to tell could not be written.
    Unwritten(io::Error),
}

impl Watch {
    pub(super) async fn run(self) -> ExitCode {
        let service = match self.access.open() {
            Ok(service) => service,
            Err(error) => return fail(USAGE, &error),
        };
        let id = self.id.clone();
        let progress = Progress::begin(self.json);
        let mut follower = Follower::new(&service, id, self.mark.client_request_id);
        let end = self.patience.follow(&mut follower, &progress).await;
        let next = next_step(&self.id);
        let (code, told) = match end {
            End::Final(code) => (code, Ok(())),
            End::Lost(said) => (FAILURE, progress.failed(&said, &said.next_step())),
            End::Stopped(why) => {
                let code = match why {
                    Stop::Interrupted => INTERRUPTED,
                    Stop::Timeout => FAILURE,
                };
                (code, progress.stopped(why, &next))
            }
            End::Unwritten(error) => (FAILURE, Err(error)),
        };
        drop(progress);
        ExitCode::from(told.map_or_else(|error| unwritten(code, error), |()| code))
    }
}

/// What whoever stops following has to know.
pub(super) fn next_step(id: &str) -> String {
    let id = argument(id);
    format!("whatever was started goes on; follow it again: incidentgate watch {id}")
}

impl Patience {
    /// Shows each state to the end.
    pub(super) async fn follow(&self, follower: &mut Follower<'_>, progress: &Progress) -> End {
        let over = async {
            match self.wait_timeout {
                Some(timeout) => sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        let told = async {
            loop {
                let news = match follower.next().await {
                    Ok(news) => news,
                    Err(said) => return Ok(End::Lost(Box::new(said))),
                };
                match news {
                    News::Lost(said) => progress.lost(&said)?,
                    News::State(seen) => {
                        progress.state(&seen)?;
                        if seen.is_final {
                            progress.ended(&seen.task)?;
                            return Ok(End::Final(seen.exit_code()));
                        }
                    }
                }
            }
        };
        tokio::select! {
            biased;
            end = told => end.unwrap_or_else(End::Unwritten),
            Ok(()) = signal::ctrl_c() => End::Stopped(Stop::Interrupted),
            () = over => End::Stopped(Stop::Timeout),
        }
    }
}
