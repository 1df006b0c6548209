//! A collector that takes OTLP by HTTP.

use async_trait::async_trait;
use http::{Request, Response};
use opentelemetry_http::{Bytes, HttpClient, HttpError, ResponseBodyTooLarge};
use tokio::runtime::Handle;

use super::settings::Exporter;
use crate::outbound::{Answer, BuildError, Documents, NoAnswer};

/// The threads of the SDK wait for it, and it does its work in a runtime.
#[derive(Debug)]
pub(super) struct HttpCollector {
    documents: Documents,
    runtime: Handle,
}

impl HttpCollector {
    /// Where `exporter` sends; to be called inside of the runtime.
    pub(super) fn of(exporter: &Exporter) -> Result<Self, BuildError> {
        Ok(Self {
            documents: Documents::new(exporter.way(), None, exporter.timeout)?,
            runtime: Handle::current(),
        })
    }
}

#[async_trait]
impl HttpClient for HttpCollector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let documents = self.documents.clone();
        let sent = self
            .runtime
            .spawn(async move { documents.send(request).await });
        let Answer {
            status,
            headers,
            body,
        } = match sent.await? {
            // The collector has the batch, and would get it once more after any other error.
            Err(NoAnswer::TooLarge) => return Err(Box::new(ResponseBodyTooLarge::new())),
            answer => answer?,
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}
