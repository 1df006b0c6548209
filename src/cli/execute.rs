//! `incidentgate execute`

use std::{io, process::ExitCode};

use clap::Args;
use tokio::signal;

use super::{
    FAILURE, USAGE, fail,
    follow::{Follower, News},
    peer::NoAnswer,
    print,
    progress::{Progress, Stop},
    report::Report,
    service::{Access, Client, Mark, Service},
    unwritten,
    watch::{End, INTERRUPTED, Patience, next_step},
};
use crate::pb::ExecuteResponseActionRequest;

/// The action was started, and nobody has seen its end.
const END_NOT_SEEN: u8 = 6;

/// Starts the response action of one incident task, and says whether it was started.
///
/// Exits 0 when this call started it, 1 when it was not started, 3 when it had been
/// started before, and 4 when nobody can tell.
///
/// With --wait the task is followed to the end of its action, also where that had been
/// started before. The command then exits 0 when the action has completed, 1 when it was
/// not started, 4 when nobody can tell whether it was, 5 when it was started and has not
/// completed, 6 when it was started and its end was not seen, and 130 when Ctrl-C has ended
/// the waiting, which leaves it running.
#[derive(Debug, Args)]
#[command(mut_arg("wait_timeout", |arg| arg.requires("wait")))]
pub(super) struct Execute {
    /// The task's id, as Graph shows it.
    id: String,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    mark: Mark,
    /// Follow the task until its action is at its end.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    patience: Patience,
    /// Print one JSON object, with --wait one a line; with exit code 64 there is none.
    #[arg(long)]
    json: bool,
}

impl Execute {
    pub(super) async fn run(self) -> ExitCode {
        let service = match self.access.open() {
            Ok(service) => service,
            Err(error) => return fail(USAGE, &error),
        };
        let message = ExecuteResponseActionRequest {
            incident_task_id: self.id,
            client_request_id: self.mark.client_request_id,
        };
        if self.wait {
            let progress = Progress::begin(self.json);
            let patience = &self.patience;
            let code = follow(&service, message, patience, &progress).await;
            drop(progress);
            return ExitCode::from(code.unwrap_or_else(|(code, error)| unwritten(code, error)));
        }
        let report = execute(&service, message).await;
        if self.json {
            print(report.json());
        } else {
            print(&report);
        }
        ExitCode::from(report.exit_code())
    }
}

async fn execute(service: &Service, message: ExecuteResponseActionRequest) -> Report {
    let id = message.incident_task_id.clone();
    let method = async |mut client: Client, request| client.execute_response_action(request).await;
    match service.call(message, method).await {
        Ok(response) => Report::started(response, &id),
        Err(NoAnswer::Failed(status)) => Report::failed(&status, &id),
        Err(NoAnswer::Unreachable(error)) => Report::unreachable(&error),
    }
}

/// Follows the task from before its action is started. Who cannot see the task does not
/// start it either: the command has promised to tell the end. An error is of the output.
async fn follow(
    service: &Service,
    message: ExecuteResponseActionRequest,
    patience: &Patience,
    progress: &Progress,
) -> Result<u8, (u8, io::Error)> {
    let id = message.incident_task_id.clone();
    let mark = message.client_request_id.clone();
    let mut follower = Follower::new(service, id.clone(), mark);
    let first = tokio::select! {
        first = follower.next() => first,
        Ok(()) = signal::ctrl_c() => return told(progress, &Report::not_sent()),
    };
    let first = match first {
        Ok(News::State(seen)) => seen,
        Ok(News::Lost(said)) => return told(progress, &Report::not_followed(*said)),
        Err(said) => return told(progress, &Report::not_followed(said)),
    };
    // Who does not read has not asked for an action.
    progress.state(&first).map_err(|error| (FAILURE, error))?;
    let report = tokio::select! {
        report = execute(service, message) => report.followed(),
        Ok(()) = signal::ctrl_c() => Report::interrupted(&id),
    };
    let code = told(progress, &report)?;
    if !report.is_started() {
        return Ok(code);
    }
    let not_seen = |error| (END_NOT_SEEN, error);
    if first.is_final && first.is_started() {
        progress.ended(&first.task).map_err(not_seen)?;
        return Ok(first.exit_code());
    }
    follower.expect_started();
    let next = next_step(&id);
    match patience.follow(&mut follower, progress).await {
        End::Final(code) => Ok(code),
        End::Lost(said) => {
            progress.failed(&said, &next).map_err(not_seen)?;
            Ok(END_NOT_SEEN)
        }
        End::Stopped(why) => {
            progress.stopped(why, &next).map_err(not_seen)?;
            Ok(match why {
                Stop::Interrupted => INTERRUPTED,
                Stop::Timeout => END_NOT_SEEN,
            })
        }
        End::Unwritten(error) => Err(not_seen(error)),
    }
}

fn told(progress: &Progress, report: &Report) -> Result<u8, (u8, io::Error)> {
    let code = report.exit_code();
    progress.report(report).map_err(|error| (code, error))?;
    Ok(code)
}
