//! The service, as the client commands call it.

use clap::Args;
use tonic::{Request, Response, Status, transport::Channel};

use super::{
    peer::{Gateway, NoAnswer, Peer},
    token::{Authorization, TokenFile},
};
use crate::pb::incident_task_service_client::IncidentTaskServiceClient;

/// Where the service is, and as whom it is called.
#[derive(Debug, Args)]
pub(super) struct Access {
    #[command(flatten)]
    peer: Peer,
    #[command(flatten)]
    token: TokenFile,
}

/// What is looked for in Microsoft's logs.
#[derive(Debug, Args)]
pub(super) struct Mark {
    /// A GUID that marks the call in Microsoft's logs; made by the gateway when left out.
    #[arg(
        long,
        value_name = "GUID",
        default_value = "",
        hide_default_value = true
    )]
    pub(super) client_request_id: String,
}

/// The service of a gateway, each call of which shows the same token.
pub(super) struct Service {
    pub(super) gateway: Gateway,
    authorization: Authorization,
}

/// The generated client, for one call.
pub(super) type Client = IncidentTaskServiceClient<Channel>;

// === impl Access ===

impl Access {
    /// Reads the files; connects to nothing yet.
    pub(super) fn open(self) -> anyhow::Result<Service> {
        Ok(Service {
            authorization: self.token.read()?,
            gateway: self.peer.open()?,
        })
    }
}

// === impl Service ===

impl Service {
    /// One call, as [`Gateway::call`] makes it.
    pub(super) async fn call<M, T>(
        &self,
        message: M,
        method: impl AsyncFnOnce(Client, Request<M>) -> Result<Response<T>, Status>,
    ) -> Result<T, NoAnswer> {
        self.gateway.call(message, self.authorized(method)).await
    }

    /// The same for a call whose answer is a stream, as [`Gateway::stream`] makes it.
    pub(super) async fn stream<M, T>(
        &self,
        message: M,
        method: impl AsyncFnOnce(Client, Request<M>) -> Result<Response<T>, Status>,
    ) -> Result<T, NoAnswer> {
        self.gateway.stream(message, self.authorized(method)).await
    }

    /// The method of the generated client, with the token.
    fn authorized<M, T>(
        &self,
        method: impl AsyncFnOnce(Client, Request<M>) -> Result<Response<T>, Status>,
    ) -> impl AsyncFnOnce(Channel, Request<M>) -> Result<Response<T>, Status> {
        async move |channel, mut request: Request<M>| {
            self.authorization.add_to(&mut request);
            method(Client::new(channel), request).await
        }
    }
}
