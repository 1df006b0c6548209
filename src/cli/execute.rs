//! `incidentgate execute`

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Args;
use tonic::{Request, metadata::AsciiMetadataValue};

use super::{
    USAGE, fail,
    peer::{NoAnswer, Peer},
    print,
    report::Report,
};
use crate::pb::{
    ExecuteResponseActionRequest, incident_task_service_client::IncidentTaskServiceClient,
};

/// No gateway takes a longer one: by default all headers of a call have 64 KiB.
const MAX_TOKEN_BYTES: u64 = 64 * 1024;

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
    /// A file with your access token for Microsoft Graph, and nothing else; `-` reads it
    /// from stdin.
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
        let token = match self.token_file.as_deref().map(read_token).transpose() {
            Ok(token) => token,
            Err(error) => return fail(USAGE, &error),
        };
        let message = ExecuteResponseActionRequest {
            incident_task_id: self.id,
            client_request_id: self.client_request_id,
        };
        let call = async |channel, mut request: Request<_>| {
            if let Some(token) = token {
                request.metadata_mut().insert("authorization", token);
            }
            IncidentTaskServiceClient::new(channel)
                .execute_response_action(request)
                .await
        };
        let report = match self.peer.call(message, call).await {
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
fn read_token(file: &Path) -> anyhow::Result<AsciiMetadataValue> {
    let is_stdin = file.as_os_str() == "-";
    let opened: io::Result<Box<dyn Read>> = if is_stdin {
        Ok(Box::new(io::stdin()))
    } else {
        File::open(file).map(|file| Box::new(file) as _)
    };
    let mut token = Vec::new();
    opened
        .and_then(|input| input.take(MAX_TOKEN_BYTES + 1).read_to_end(&mut token))
        .with_context(|| format!("--token-file {} cannot be read", file.display()))?;
    let token = token.trim_ascii();
    anyhow::ensure!(!token.is_empty(), "--token-file is empty");
    anyhow::ensure!(
        token.len() as u64 <= MAX_TOKEN_BYTES && token.iter().all(u8::is_ascii_graphic),
        "--token-file holds something else than one token: visible ASCII characters without \
         spaces, at most {} KiB, and without `Bearer` before it",
        MAX_TOKEN_BYTES / 1024
    );
    let authorization = [b"Bearer ", token].concat();
    let mut value = AsciiMetadataValue::try_from(authorization)?;
    value.set_sensitive(true);
    Ok(value)
}
