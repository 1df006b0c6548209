//! `incidentgate execute`

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use tonic::{Request, metadata::AsciiMetadataValue};

use super::{
    USAGE, fail,
    peer::{NoAnswer, Peer},
    print,
    report::Report,
    token,
};
use crate::pb::{
    ExecuteResponseActionRequest, incident_task_service_client::IncidentTaskServiceClient,
};

/// Starts the response action of one incident task, and says whether it was started.
///
/// Exits 0 when this call started it, 1 when it was not started, 3 when it had been
/// started before, and 4 when nobody can tell.
#[derive(Debug, Args)]
pub(super) struct Execute {
    /// The task's id, as Graph shows it.
    id: String,
    #[command(flatten)]
    peer: Peer,
    /// A file with the access token that the gateway wants, and nothing else; `-` reads it
    /// from stdin. It is one for Microsoft Graph where the gateway hands it on (credentials
    /// `passthrough`), and one for the gateway itself otherwise.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A GUID that marks the call in Microsoft's logs; made by the gateway when left out.
    #[arg(
        long,
        value_name = "GUID",
        default_value = "",
        hide_default_value = true
    )]
    client_request_id: String,
    /// Print one JSON object; with exit code 64 there is none.
    #[arg(long)]
    json: bool,
}

impl Execute {
    pub(super) async fn run(self) -> ExitCode {
        let authorization = self.token_file.as_deref().map(read_authorization);
        let authorization = match authorization.transpose() {
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
        let call = async |channel, mut request: Request<_>| {
            if let Some(authorization) = authorization {
                let metadata = request.metadata_mut();
                metadata.insert("authorization", authorization);
            }
            IncidentTaskServiceClient::new(channel)
                .execute_response_action(request)
                .await
        };
        let report = match gateway.call(message, call).await {
            Ok(response) => Report::started(response),
            Err(NoAnswer::Failed(status)) => Report::failed(&status),
            Err(NoAnswer::Unreachable(error)) => Report::unreachable(&error),
        };
        if self.json {
            print(report.json());
        } else {
            print(&report);
        }
        report.exit_code()
    }
}

/// The `authorization` with the token of a file.
fn read_authorization(file: &Path) -> anyhow::Result<AsciiMetadataValue> {
    let token = token::read(file)?;
    let mut value = AsciiMetadataValue::try_from(format!("Bearer {token}"))?;
    value.set_sensitive(true);
    Ok(value)
}
