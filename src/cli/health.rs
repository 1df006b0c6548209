//! `incidentgate health`

use std::process::ExitCode;

use clap::Args;

use super::{
    FAILURE, USAGE, fail,
    peer::{Gateway, NoAnswer, Peer, message_of},
    print,
};
use crate::{pb::health::health_check_response::ServingStatus, rpc::status::code_name};

/// Asks a gateway for its health; exits 0 only when it serves.
#[derive(Debug, Args)]
pub(super) struct CheckHealth {
    #[command(flatten)]
    peer: Peer,
    /// The full name of a service; the server as a whole when left out.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    service: String,
}

impl CheckHealth {
    pub(super) async fn run(self) -> ExitCode {
        let gateway = match self.peer.open() {
            Ok(gateway) => gateway,
            Err(error) => return fail(USAGE, &error),
        };
        match check(&gateway, self.service).await {
            Ok(ServingStatus::Serving) => {
                print(ServingStatus::Serving.as_str_name());
                ExitCode::SUCCESS
            }
            Ok(status) => {
                print(status.as_str_name());
                ExitCode::from(FAILURE)
            }
            Err(error) => fail(FAILURE, &error),
        }
    }
}

async fn check(gateway: &Gateway, service: String) -> anyhow::Result<ServingStatus> {
    match gateway.health(service).await {
        Ok(status) => Ok(status),
        Err(NoAnswer::Unreachable(error)) => Err(error.into()),
        Err(NoAnswer::Failed(status)) => {
            anyhow::bail!("{}: {}", code_name(status.code()), message_of(&status))
        }
    }
}
