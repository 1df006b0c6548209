//! Calls as h2load makes them for the benchmarks: so many in flight on so many connections.

use tokio::task::JoinSet;
use tonic::{
    Code, Request,
    metadata::{AsciiMetadataValue, errors::InvalidMetadataValue},
    transport::{Channel, Endpoint},
};

use crate::pb::{
    ExecuteResponseActionRequest, incident_task_service_client::IncidentTaskServiceClient,
};

const CONNECTIONS: usize = 4;
const STREAMS: usize = 16;

/// A call that is made many times.
#[derive(Clone)]
pub(crate) struct Call {
    task: &'static str,
    /// What its callers prove themselves with, in turn.
    tokens: Vec<AsciiMetadataValue>,
    /// What has to come of it.
    code: Code,
}

impl Call {
    pub(crate) fn new(
        task: &'static str,
        tokens: &[String],
        code: Code,
    ) -> Result<Self, InvalidMetadataValue> {
        let authorization = |token| {
            let mut value: AsciiMetadataValue = format!("Bearer {token}").parse()?;
            value.set_sensitive(true);
            Ok(value)
        };
        Ok(Self {
            task,
            tokens: tokens.iter().map(authorization).collect::<Result<_, _>>()?,
            code,
        })
    }

    /// Makes so many, and ends early at an answer that is another.
    pub(crate) async fn repeat(&self, endpoint: &Endpoint, times: usize) -> anyhow::Result<()> {
        let mut callers = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let channel = endpoint.connect().await?;
            for _ in 0..STREAMS {
                let (call, channel) = (self.clone(), channel.clone());
                let share = times / (CONNECTIONS * STREAMS);
                callers.spawn(async move { call.in_turn(channel, share).await });
            }
        }
        while let Some(caller) = callers.join_next().await {
            caller??;
        }
        Ok(())
    }

    async fn in_turn(self, channel: Channel, times: usize) -> anyhow::Result<()> {
        let mut client = IncidentTaskServiceClient::new(channel);
        for token in self.tokens.iter().cycle().take(times) {
            let mut request = Request::new(ExecuteResponseActionRequest {
                incident_task_id: self.task.to_owned(),
                ..ExecuteResponseActionRequest::default()
            });
            let metadata = request.metadata_mut();
            metadata.insert("authorization", token.clone());
            let answer = client.execute_response_action(request).await;
            let code = answer.as_ref().err().map_or(Code::Ok, tonic::Status::code);
            anyhow::ensure!(code == self.code, "{answer:?} instead of {:?}", self.code);
        }
        Ok(())
    }
}
