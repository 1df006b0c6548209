//! `incidentgate watch`

use std::{process::ExitCode, time::Duration};

use clap::Args;
use tokio::{signal, time::sleep};

use super::{
    FAILURE, USAGE, fail, follow::Follower, peer::Peer, progress::Progress, said::Said,
    token::TokenFile,
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
    peer: Peer,
    #[command(flatten)]
    token: TokenFile,
    #[command(flatten)]
    patience: Patience,
    /// A GUID that marks the call; made by the gateway when left out.
    #[arg(
        long,
        value_name = "GUID",
        default_value = "",
        hide_default_value = true
    )]
    client_request_id: String,
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
    Lost(Said),
    /// Ctrl-C.
    Interrupted,
    /// The time of `--wait-timeout` is over.
    Late,
}

impl Watch {
    pub(super) async fn run(self) -> ExitCode {
        let authorization = match self.token.read() {
            Ok(authorization) => authorization,
            Err(error) => return fail(USAGE, &error),
        };
        let gateway = match self.peer.open() {
            Ok(gateway) => gateway,
            Err(error) => return fail(USAGE, &error),
        };
        let (id, mark) = (self.id, self.client_request_id);
        let progress = Progress::begin(self.json);
        let mut follower = Follower::new(&gateway, &authorization, id, mark);
        let end = self.patience.follow(&mut follower, &progress).await;
        ExitCode::from(match end {
            End::Final(code) => code,
            End::Lost(said) => {
                progress.failed(&said, &said.next_step());
                FAILURE
            }
            End::Interrupted => {
                progress.stopped("INTERRUPTED", NOTHING_ENDS);
                INTERRUPTED
            }
            End::Late => {
                progress.stopped("TIMEOUT: the time of --wait-timeout is over", NOTHING_ENDS);
                FAILURE
            }
        })
    }
}

/// What whoever stops following has to know.
pub(super) const NOTHING_ENDS: &str =
    "an action that was started goes on; `incidentgate watch ID` follows it again";

impl Patience {
    /// Shows each state to the end.
    pub(super) async fn follow(&self, follower: &mut Follower<'_>, progress: &Progress) -> End {
        let over = async {
            match self.wait_timeout {
                Some(timeout) => sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        let states = async {
            loop {
                match follower.next().await {
                    Ok(seen) => {
                        progress.state(&seen);
                        if seen.is_final {
                            progress.ended(&seen.task);
                            return End::Final(seen.exit_code());
                        }
                    }
                    Err(said) => return End::Lost(said),
                }
            }
        };
        tokio::select! {
            biased;
            end = states => end,
            Ok(()) = signal::ctrl_c() => End::Interrupted,
            () = over => End::Late,
        }
    }
}
