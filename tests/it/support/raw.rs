//! One gRPC call by hand, for what client libraries hide: which part of an answer
//! was headers and which trailers.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use tonic::Status;

use super::{
    Answer, Gateway, answer,
    wire::{EXECUTE, Wire, execute_message, head},
};

/// What came back, as it came.
#[derive(Debug)]
pub(crate) struct RawCall {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Missing when the answer was headers only ("Trailers-Only").
    pub(crate) trailers: Option<HeaderMap>,
}

impl RawCall {
    /// Executes the task `id`, with additional or replaced headers.
    pub(crate) async fn execute(gateway: &Gateway, id: &str, headers: &[(&str, &str)]) -> Self {
        Self::send(gateway, head(EXECUTE, headers), execute_message(id)).await
    }

    /// Sends any request with any body.
    pub(crate) async fn send(gateway: &Gateway, request: Request<()>, body: Bytes) -> Self {
        let mut wire = Wire::connect(gateway.addr).await;
        let mut sent = wire.begin(request).await;
        sent.data(body, true);
        sent.answer().await.unwrap()
    }

    /// The gRPC status, wherever it was.
    #[track_caller]
    pub(crate) fn grpc_status(&self) -> Status {
        let found = self.trailers.as_ref().unwrap_or(&self.headers);
        Status::from_header_map(found).expect("an answer has a grpc-status")
    }

    /// The decoded status of a gateway's error.
    #[track_caller]
    pub(crate) fn error(&self) -> Answer {
        answer(&self.grpc_status())
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
