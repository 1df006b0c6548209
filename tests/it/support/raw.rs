//! One gRPC call by hand, for what client libraries hide: which part of an answer
//! was headers and which trailers.

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Request, StatusCode};
use incidentgate::pb::{ExecuteResponseActionRequest, ExecuteResponseActionResponse};
use prost::Message as _;
use tonic::Status;

use super::{
    Answer, Gateway, answer,
    wire::{self, EXECUTE, Wire},
};

/// What came back, as it came.
#[derive(Debug)]
pub(crate) struct RawCall {
    /// The caller's port, by which the server's span knows it.
    pub(crate) port: u16,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Missing when the answer was headers only ("Trailers-Only").
    pub(crate) trailers: Option<HeaderMap>,
}

impl RawCall {
    /// Executes the task `id`, with additional or replaced headers.
    pub(crate) async fn execute(gateway: &Gateway, id: &str, headers: &[(&str, &str)]) -> Self {
        let message = ExecuteResponseActionRequest {
            incident_task_id: id.to_owned(),
            client_request_id: String::new(),
        };
        Self::execute_message(gateway, &message, headers).await
    }

    /// Sends the message, with additional or replaced headers.
    pub(crate) async fn execute_message(
        gateway: &Gateway,
        message: &ExecuteResponseActionRequest,
        headers: &[(&str, &str)],
    ) -> Self {
        let mut request = Self::request(gateway);
        wire::set(&mut request, headers);
        Self::send(gateway, request, frame(&message.encode_to_vec())).await
    }

    /// The head of a call with a token.
    pub(crate) fn request(gateway: &Gateway) -> Request<()> {
        wire::head_for(&gateway.addr.to_string(), EXECUTE)
    }

    /// Sends any request with any body, on a connection of its own.
    pub(crate) async fn send(gateway: &Gateway, request: Request<()>, body: Bytes) -> Self {
        let mut wire = Wire::connect(gateway.addr).await;
        let mut sent = wire.begin(request).await;
        sent.data(body, true);
        sent.answer().await.unwrap()
    }

    /// Sends a request without a message to any URL.
    pub(crate) async fn send_nothing_to(gateway: &Gateway, uri: &str) -> Self {
        let request = Request::post(uri)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .unwrap();
        Self::send(gateway, request, Bytes::new()).await
    }

    /// Sends any request on a connection that the test drives, whose local port is `port`.
    pub(crate) async fn exchange(
        client: SendRequest<Bytes>,
        port: u16,
        request: Request<()>,
        body: Bytes,
    ) -> Self {
        let mut client = client.ready().await.unwrap();
        let (response, mut stream) = client.send_request(request, false).unwrap();
        stream.send_data(body, true).unwrap();
        Self::read(response, port).await.unwrap()
    }

    /// Reads the whole answer, or tells how the stream broke.
    pub(super) async fn read(response: ResponseFuture, port: u16) -> Result<Self, h2::Error> {
        let (head, mut incoming) = response.await?.into_parts();
        let mut collected = BytesMut::new();
        while let Some(chunk) = incoming.data().await {
            let chunk = chunk?;
            incoming.flow_control().release_capacity(chunk.len())?;
            collected.extend_from_slice(&chunk);
        }
        let trailers = incoming.trailers().await?;
        Ok(Self {
            port,
            status: head.status,
            headers: head.headers,
            body: collected.freeze(),
            trailers,
        })
    }

    /// The block that holds the status: the trailers, or the headers of "Trailers-Only".
    pub(crate) fn block(&self) -> &HeaderMap {
        self.trailers.as_ref().unwrap_or(&self.headers)
    }

    /// The gRPC status, from wherever it stands.
    #[track_caller]
    pub(crate) fn grpc_status(&self) -> Status {
        Status::from_header_map(self.block()).expect("an answer has a grpc-status")
    }

    /// The decoded status of a gateway's error.
    #[track_caller]
    pub(crate) fn error(&self) -> Answer {
        answer(&self.grpc_status())
    }

    /// The message of a success.
    #[track_caller]
    pub(crate) fn message(&self) -> ExecuteResponseActionResponse {
        assert_eq!(self.grpc_status().code(), tonic::Code::Ok);
        ExecuteResponseActionResponse::decode(&self.body[5..]).unwrap()
    }
}

/// A message with gRPC's prefix: not compressed, its length.
pub(crate) fn frame(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(5 + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap());
    framed.put_slice(message);
    framed.freeze()
}
