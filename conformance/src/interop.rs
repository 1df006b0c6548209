//! `grpc.testing.TestService`, as gRPC's interop-test-descriptions.md asks for it.

use std::time::Duration;

use async_stream::try_stream;
use futures_util::TryStreamExt as _;
use http::{HeaderMap, HeaderName};
use tokio::time::sleep;
use tonic::{
    Code, Request, Response, Status, Streaming, codegen::BoxStream, metadata::MetadataMap,
};

use crate::{
    pb::interop::{
        EchoStatus, Empty, Payload, ResponseParameters, SimpleRequest, SimpleResponse,
        StreamingInputCallRequest, StreamingInputCallResponse, StreamingOutputCallRequest,
        StreamingOutputCallResponse,
        test_service_server::{TestService, TestServiceServer},
    },
    trailers::{WithTrailers, response, with_trailers},
};

/// Sent back as a header, and as a trailer.
const ECHO_HEADER: HeaderName = HeaderName::from_static("x-grpc-test-echo-initial");
const ECHO_TRAILER: HeaderName = HeaderName::from_static("x-grpc-test-echo-trailing-bin");

/// The service.
pub(crate) struct Interop;

type Replies = BoxStream<StreamingOutputCallResponse>;

impl Interop {
    pub(crate) fn service() -> WithTrailers<TestServiceServer<Self>> {
        with_trailers(TestServiceServer::new(Self))
    }
}

#[tonic::async_trait]
impl TestService for Interop {
    async fn empty_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Ok(Response::new(Empty {}))
    }

    async fn unary_call(
        &self,
        request: Request<SimpleRequest>,
    ) -> Result<Response<SimpleResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        refuse_if_asked(request.response_status)?;
        let server_id = if request.fill_server_id {
            "incidentgate"
        } else {
            ""
        };
        let answer = SimpleResponse {
            payload: Some(payload(request.response_size)?),
            server_id: server_id.to_owned(),
            ..SimpleResponse::default()
        };
        Ok(echo(&metadata, answer))
    }

    async fn streaming_output_call(
        &self,
        request: Request<StreamingOutputCallRequest>,
    ) -> Result<Response<Replies>, Status> {
        let replies = try_stream! {
            for wanted in request.into_inner().response_parameters {
                yield reply(&wanted).await?;
            }
        };
        Ok(Response::new(Box::pin(replies)))
    }

    async fn streaming_input_call(
        &self,
        request: Request<Streaming<StreamingInputCallRequest>>,
    ) -> Result<Response<StreamingInputCallResponse>, Status> {
        let sum = |sum, message: StreamingInputCallRequest| async move {
            Ok(sum + message.payload.unwrap_or_default().body.len())
        };
        let size = request.into_inner().try_fold(0, sum).await?;
        let aggregated_payload_size =
            i32::try_from(size).map_err(|_| Status::out_of_range("more than an int32 can say"))?;
        Ok(Response::new(StreamingInputCallResponse {
            aggregated_payload_size,
        }))
    }

    async fn full_duplex_call(
        &self,
        request: Request<Streaming<StreamingOutputCallRequest>>,
    ) -> Result<Response<Replies>, Status> {
        let (metadata, _, mut messages) = request.into_parts();
        let replies = try_stream! {
            while let Some(message) = messages.message().await? {
                refuse_if_asked(message.response_status)?;
                for wanted in message.response_parameters {
                    yield reply(&wanted).await?;
                }
            }
        };
        let replies: Replies = Box::pin(replies);
        Ok(echo(&metadata, replies))
    }

    async fn half_duplex_call(
        &self,
        request: Request<Streaming<StreamingOutputCallRequest>>,
    ) -> Result<Response<Replies>, Status> {
        let messages: Vec<_> = request.into_inner().try_collect().await?;
        let replies = try_stream! {
            for wanted in messages.into_iter().flat_map(|message| message.response_parameters) {
                yield reply(&wanted).await?;
            }
        };
        Ok(Response::new(Box::pin(replies)))
    }
}

fn refuse_if_asked(status: Option<EchoStatus>) -> Result<(), Status> {
    match status {
        Some(status) if status.code != 0 => {
            Err(Status::new(Code::from(status.code), status.message))
        }
        _ => Ok(()),
    }
}

async fn reply(wanted: &ResponseParameters) -> Result<StreamingOutputCallResponse, Status> {
    let interval = u64::try_from(wanted.interval_us).unwrap_or_default();
    sleep(Duration::from_micros(interval)).await;
    Ok(StreamingOutputCallResponse {
        payload: Some(payload(wanted.size)?),
    })
}

fn payload(size: i32) -> Result<Payload, Status> {
    let size = usize::try_from(size).map_err(|_| Status::invalid_argument("a negative size"))?;
    Ok(Payload {
        body: vec![0; size],
        ..Payload::default()
    })
}

fn echo<T>(metadata: &MetadataMap, message: T) -> Response<T> {
    let received = metadata.as_ref();
    let only = |name: HeaderName| {
        let value = received.get(&name).cloned();
        value
            .map(|value| (name, value))
            .into_iter()
            .collect::<HeaderMap>()
    };
    response(message, only(ECHO_HEADER), only(ECHO_TRAILER))
}
