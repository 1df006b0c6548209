//! `incidentgate health`

use std::process::ExitCode;

use clap::Args;
use tonic::Request;

use super::{FAILURE, fail, peer::Peer, print};
use crate::{
    pb::health::{
        HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
    },
    rpc::status::code_name,
};

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
        match self.check().await {
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

    async fn check(self) -> anyhow::Result<ServingStatus> {
        let channel = self.peer.connect().await?;
        let mut request = Request::new(HealthCheckRequest {
            service: self.service,
        });
        request.set_timeout(self.peer.timeout);
        let answer = HealthClient::new(channel)
            .check(request)
            .await
            .map_err(|status| {
                anyhow::anyhow!("{}: {}", code_name(status.code()), status.message())
            })?;
        Ok(answer.into_inner().status())
    }
}
