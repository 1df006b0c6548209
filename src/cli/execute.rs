//! `incidentgate execute`

use std::process::ExitCode;

use clap::Args;
use tokio::signal;
use tonic::Request;

use super::{
    USAGE, fail,
    follow::Follower,
    peer::{Gateway, NoAnswer, Peer},
    print,
    progress::Progress,
    report::Report,
    token::{Authorization, TokenFile},
    watch::{End, INTERRUPTED, NOTHING_ENDS, Patience},
};
use crate::pb::{
    ExecuteResponseActionRequest, incident_task_service_client::IncidentTaskServiceClient,
};

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
/// completed, 6 when it was started and its end was not seen, and 130 after Ctrl-C, which
/// leaves it running.
#[derive(Debug, Args)]
pub(super) struct Execute {
    /// The task's id, as Graph shows it.
    id: String,
    #[command(flatten)]
    peer: Peer,
    #[command(flatten)]
    token: TokenFile,
    /// A GUID that marks the call in Microsoft's logs; made by the gateway when left out.
    #[arg(
        long,
        value_name = "GUID",
        default_value = "",
        hide_default_value = true
    )]
    client_request_id: String,
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
        let authorization = match self.token.read() {
            Ok(authorization) => authorization,
            Err(error) => return fail(USAGE, &error),
        };
        let gateway = match self.peer.open() {
            Ok(gateway) => gateway,
            Err(error) => return fail(USAGE, &error),
        };
        let message = ExecuteResponseActionRequest {
            incident_task_id: self.id,
            client_request_id: self.client_request_id,
        };
        if self.wait {
            let progress = Progress::begin(self.json);
            let code = follow(&gateway, &authorization, message, &self.patience, &progress).await;
            return ExitCode::from(code);
        }
        let report = execute(&gateway, &authorization, message).await;
        if self.json {
            print(report.json());
        } else {
            print(&report);
        }
        ExitCode::from(report.exit_code())
    }
}

async fn execute(
    gateway: &Gateway,
    authorization: &Authorization,
    message: ExecuteResponseActionRequest,
) -> Report {
    let id = message.incident_task_id.clone();
    let call = async |channel, mut request: Request<_>| {
        authorization.add_to(&mut request);
        IncidentTaskServiceClient::new(channel)
            .execute_response_action(request)
            .await
    };
    match gateway.call(message, call).await {
        Ok(response) => Report::started(response, &id),
        Err(NoAnswer::Failed(status)) => Report::failed(&status),
        Err(NoAnswer::Unreachable(error)) => Report::unreachable(&error),
    }
}

/// Follows the task from before its action is started. Who cannot see the task does not
/// start it either: the command has promised to tell the end.
async fn follow(
    gateway: &Gateway,
    authorization: &Authorization,
    message: ExecuteResponseActionRequest,
    patience: &Patience,
    progress: &Progress,
) -> u8 {
    let id = message.incident_task_id.clone();
    let mark = message.client_request_id.clone();
    let mut follower = Follower::new(gateway, authorization, id, mark);
    let first = tokio::select! {
        first = follower.next() => first,
        Ok(()) = signal::ctrl_c() => {
            progress.stopped("NOT_STARTED: interrupted", "nothing was sent");
            return INTERRUPTED;
        }
    };
    let first = match first {
        Ok(seen) => seen,
        Err(said) => {
            let report = Report::not_followed(said);
            progress.report(&report);
            return report.exit_code();
        }
    };
    progress.state(&first);
    let report = tokio::select! {
        report = execute(gateway, authorization, message) => report.followed(),
        Ok(()) = signal::ctrl_c() => Report::interrupted(),
    };
    progress.report(&report);
    if !report.is_started() {
        return report.exit_code();
    }
    if first.is_final && first.is_started() {
        progress.ended(&first.task);
        return first.exit_code();
    }
    match patience.follow(&mut follower, progress).await {
        End::Final(code) => code,
        End::Lost(said) => {
            progress.failed(&said, NOTHING_ENDS);
            END_NOT_SEEN
        }
        End::Interrupted => {
            progress.stopped("INTERRUPTED", NOTHING_ENDS);
            INTERRUPTED
        }
        End::Late => {
            progress.stopped("TIMEOUT: the time of --wait-timeout is over", NOTHING_ENDS);
            END_NOT_SEEN
        }
    }
}
