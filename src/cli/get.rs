//! `incidentgate get`

use std::process::ExitCode;

use clap::Args;
use tonic::Request;

use super::{
    FAILURE, USAGE, fail,
    peer::{NoAnswer, Peer},
    print,
    said::{Failed, Said},
    sight::Sight,
    token::TokenFile,
};
use crate::pb::{GetIncidentTaskRequest, incident_task_service_client::IncidentTaskServiceClient};

/// Shows one incident task as it is now.
///
/// Exits 0 when it is shown, whatever its state, and 1 when it cannot be.
#[derive(Debug, Args)]
pub(super) struct Get {
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
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Get {
    pub(super) async fn run(self) -> ExitCode {
        let authorization = match self.token.read() {
            Ok(authorization) => authorization,
            Err(error) => return fail(USAGE, &error),
        };
        let gateway = match self.peer.open() {
            Ok(gateway) => gateway,
            Err(error) => return fail(USAGE, &error),
        };
        let message = GetIncidentTaskRequest {
            incident_task_id: self.id,
            client_request_id: self.client_request_id,
        };
        let call = async |channel, mut request: Request<_>| {
            authorization.add_to(&mut request);
            IncidentTaskServiceClient::new(channel)
                .get_incident_task(request)
                .await
        };
        let said = match gateway.call(message, call).await {
            Ok(response) => {
                let task = Sight::of(response.incident_task.unwrap_or_default());
                if self.json {
                    print(serde_json::to_string(&task).unwrap_or_default());
                } else {
                    print(&task);
                }
                return ExitCode::SUCCESS;
            }
            Err(NoAnswer::Failed(status)) => Said::of(&status),
            Err(NoAnswer::Unreachable(error)) => Said::unreachable(&error),
        };
        let failed = Failed {
            what: "the task cannot be read",
            said: &said,
            next: &said.next_step(),
        };
        fail(FAILURE, &anyhow::anyhow!("{failed}"))
    }
}
