//! `incidentgate get`

use std::process::ExitCode;

use clap::Args;

use super::{
    FAILURE, USAGE, fail, print,
    said::{Failed, Said},
    service::{Access, Client, Mark},
    sight::Sight,
};
use crate::pb::GetIncidentTaskRequest;

/// Shows one incident task as it is now.
///
/// Exits 0 when it is shown, whatever its state, and 1 when it cannot be.
#[derive(Debug, Args)]
pub(super) struct Get {
    /// The task's id, as Graph shows it.
    id: String,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    mark: Mark,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Get {
    pub(super) async fn run(self) -> ExitCode {
        let service = match self.access.open() {
            Ok(service) => service,
            Err(error) => return fail(USAGE, &error),
        };
        let message = GetIncidentTaskRequest {
            incident_task_id: self.id,
            client_request_id: self.mark.client_request_id,
        };
        let method = async |mut client: Client, request| client.get_incident_task(request).await;
        let said = match service.call(message, method).await {
            Ok(response) => {
                let task = Sight::of(response.incident_task.unwrap_or_default());
                if self.json {
                    print(serde_json::to_string(&task).unwrap_or_default());
                } else {
                    print(&task);
                }
                return ExitCode::SUCCESS;
            }
            Err(error) => Said::from(error),
        };
        let failed = Failed {
            what: "the task cannot be read",
            said: &said,
            next: &said.next_step(),
        };
        fail(FAILURE, &anyhow::anyhow!("{failed}"))
    }
}
