//! `incidentgate execute`

use std::{io::Read as _, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Args;
use tonic::{Request, metadata::AsciiMetadataValue};

use super::{FAILURE, USAGE, fail, peer::Peer, print, report::Report};
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
    /// A file with your bearer token for Microsoft Graph; `-` reads it from stdin.
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
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Execute {
    pub(super) async fn run(self) -> ExitCode {
        let request = match self.request() {
            Ok(request) => request,
            Err(error) => return fail(USAGE, &error),
        };
        let report = match self.peer.connect().await {
            Ok(channel) => {
                let mut client = IncidentTaskServiceClient::new(channel);
                match client.execute_response_action(request).await {
                    Ok(response) => Report::started(response.into_inner()),
                    Err(status) => Report::failed(&status),
                }
            }
            Err(error) if self.json => Report::unreachable(&error),
            Err(error) => {
                return fail(FAILURE, &error.context("the action was not started"));
            }
        };
        if self.json {
            print(report.json());
        } else {
            print(&report);
        }
        report.exit_code()
    }

    fn request(&self) -> anyhow::Result<Request<ExecuteResponseActionRequest>> {
        let mut request = Request::new(ExecuteResponseActionRequest {
            incident_task_id: self.id.clone(),
            client_request_id: self.client_request_id.clone(),
        });
        request.set_timeout(self.peer.timeout);
        if let Some(file) = &self.token_file {
            let token = read_token(file)?;
            let mut value = AsciiMetadataValue::try_from(format!("Bearer {}", token.trim()))
                .context("--token-file holds characters that a token cannot have")?;
            value.set_sensitive(true);
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

fn read_token(file: &PathBuf) -> anyhow::Result<String> {
    let mut token = String::new();
    if file.as_os_str() == "-" {
        std::io::stdin()
            .read_to_string(&mut token)
            .context("the token cannot be read from stdin")?;
    } else {
        token = std::fs::read_to_string(file)
            .with_context(|| format!("--token-file {} cannot be read", file.display()))?;
    }
    anyhow::ensure!(!token.trim().is_empty(), "--token-file is empty");
    Ok(token)
}
