//! The least that any gateway in Rust could be: tonic's own server, which answers by itself
//! or makes one POST with the caller's token by a bare reqwest client.

use std::{collections::HashMap, sync::Arc};

use axum::http::header::AUTHORIZATION;
use tokio::net::TcpListener;
use tonic::{
    Code, Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::pb::{
    ExecuteResponseActionRequest, ExecuteResponseActionResponse, ExecutionConfirmation,
    incident_task_service_server::{IncidentTaskService, IncidentTaskServiceServer},
};

/// Where its calls go.
#[derive(Clone)]
pub(crate) struct Upstream {
    client: reqwest::Client,
    graph_url: Arc<str>,
}

#[derive(Clone)]
struct Floor {
    upstream: Option<Upstream>,
}

impl Upstream {
    pub(crate) fn new(graph_url: String, http2_prior_knowledge: bool) -> reqwest::Result<Self> {
        let mut client = reqwest::Client::builder();
        if http2_prior_knowledge {
            client = client.http2_prior_knowledge();
        }
        Ok(Self {
            client: client.build()?,
            graph_url: graph_url.into(),
        })
    }
}

pub(crate) async fn serve(listener: TcpListener, upstream: Option<Upstream>) -> anyhow::Result<()> {
    let floor = IncidentTaskServiceServer::new(Floor { upstream });
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder()
        .add_service(floor)
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}

/// Details like the gateway's, as long as those, and what Graph says is read but not
/// understood.
async fn refusal(answer: reqwest::Response) -> Status {
    const ID: &str = "43064123-b43a-4df8-a4d1-30660b99ac76";
    const SAID: &str = "Response action is already in progress.";
    let message = format!("the action has been started before: {SAID}");
    if let Err(error) = answer.bytes().await {
        return Status::unknown(error.to_string());
    }
    let metadata = [
        ("actionOutcome", "ALREADY_STARTED"),
        ("graphCode", "ActionAlreadyInProgress"),
        ("httpStatus", "400"),
        ("graphRequestId", ID),
        ("clientRequestId", ID),
        ("attempts", "1"),
    ];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let mut details = ErrorDetails::with_error_info(
        "ACTION_ALREADY_IN_PROGRESS",
        "graph.microsoft.com",
        HashMap::from(metadata),
    );
    details.set_request_info(ID, "");
    details.set_resource_info("microsoft.graph.security.incidentTask", "", "", SAID);
    Status::with_error_details(Code::AlreadyExists, message, details)
}

#[tonic::async_trait]
impl IncidentTaskService for Floor {
    async fn execute_response_action(
        &self,
        request: Request<ExecuteResponseActionRequest>,
    ) -> Result<Response<ExecuteResponseActionResponse>, Status> {
        if let Some(Upstream { client, graph_url }) = &self.upstream {
            let id = &request.get_ref().incident_task_id;
            let url = format!("{graph_url}/security/incidentTasks/{id}/executeResponseAction");
            let token = request.metadata().as_ref().get(AUTHORIZATION);
            let token = token.ok_or_else(|| Status::unauthenticated("there is no token"))?;
            let answer = client.post(url).header(AUTHORIZATION, token).send().await;
            let answer = answer.map_err(|error| Status::unknown(error.to_string()))?;
            if !answer.status().is_success() {
                return Err(refusal(answer).await);
            }
        }
        Ok(Response::new(ExecuteResponseActionResponse {
            confirmation: ExecutionConfirmation::Accepted.into(),
            ..ExecuteResponseActionResponse::default()
        }))
    }
}
