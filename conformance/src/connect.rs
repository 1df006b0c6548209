//! `connectrpc.conformance.v1.ConformanceService`: each request says what its answer is to be.

use std::{collections::BTreeMap, time::Duration};

use async_stream::try_stream;
use futures_util::TryStreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue};
use incidentgate::server::parse_grpc_timeout;
use prost::{Message, Name};
use prost_types::Any;
use tokio::time::sleep;
use tonic::{
    Code, Request, Response, Status, Streaming,
    codec::CompressionEncoding::Gzip,
    codegen::BoxStream,
    metadata::{KeyAndValueRef, MetadataMap},
};

use crate::{
    pb::connect::{
        self as pb, ConformancePayload, StreamResponseDefinition, UnaryResponseDefinition,
        conformance_payload::RequestInfo,
        conformance_service_server::{ConformanceService, ConformanceServiceServer},
        unary_response_definition::Response as Wanted,
    },
    trailers::{WithTrailers, response, with_trailers},
};

/// The service.
pub(crate) struct Connect {
    max_message_bytes: Option<usize>,
}

impl Connect {
    pub(crate) fn new(max_message_bytes: Option<usize>) -> Self {
        Self { max_message_bytes }
    }

    pub(crate) fn service(self) -> WithTrailers<ConformanceServiceServer<Self>> {
        let limit = self.max_message_bytes;
        let server = ConformanceServiceServer::new(self)
            .accept_compressed(Gzip)
            .send_compressed(Gzip);
        with_trailers(match limit {
            Some(limit) => server.max_decoding_message_size(limit),
            None => server,
        })
    }
}

#[tonic::async_trait]
impl ConformanceService for Connect {
    async fn unary(
        &self,
        request: Request<pb::UnaryRequest>,
    ) -> Result<Response<pb::UnaryResponse>, Status> {
        let info = request_info(request.metadata(), vec![any(request.get_ref())]);
        let answer = answer(info, request.into_inner().response_definition).await?;
        Ok(answer.map(|payload| pb::UnaryResponse {
            payload: Some(payload),
        }))
    }

    async fn idempotent_unary(
        &self,
        request: Request<pb::IdempotentUnaryRequest>,
    ) -> Result<Response<pb::IdempotentUnaryResponse>, Status> {
        let info = request_info(request.metadata(), vec![any(request.get_ref())]);
        let answer = answer(info, request.into_inner().response_definition).await?;
        Ok(answer.map(|payload| pb::IdempotentUnaryResponse {
            payload: Some(payload),
        }))
    }

    async fn client_stream(
        &self,
        request: Request<Streaming<pb::ClientStreamRequest>>,
    ) -> Result<Response<pb::ClientStreamResponse>, Status> {
        let (metadata, _, messages) = request.into_parts();
        let messages: Vec<_> = messages.try_collect().await?;
        let info = request_info(&metadata, messages.iter().map(any).collect());
        let first = messages.into_iter().next();
        let answer = answer(info, first.and_then(|first| first.response_definition)).await?;
        Ok(answer.map(|payload| pb::ClientStreamResponse {
            payload: Some(payload),
        }))
    }

    async fn server_stream(
        &self,
        request: Request<pb::ServerStreamRequest>,
    ) -> Result<Response<BoxStream<pb::ServerStreamResponse>>, Status> {
        let info = request_info(request.metadata(), vec![any(request.get_ref())]);
        let definition = request.into_inner().response_definition;
        stream(info, definition, None, |payload| pb::ServerStreamResponse {
            payload: Some(payload),
        })
    }

    async fn bidi_stream(
        &self,
        request: Request<Streaming<pb::BidiStreamRequest>>,
    ) -> Result<Response<BoxStream<pb::BidiStreamResponse>>, Status> {
        let (metadata, _, mut messages) = request.into_parts();
        let first = messages.message().await?.unwrap_or_default();
        let mut requests = vec![any(&first)];
        let further = if first.full_duplex {
            Some(messages)
        } else {
            let rest: Vec<_> = messages.try_collect().await?;
            requests.extend(rest.iter().map(any));
            None
        };
        let info = request_info(&metadata, requests);
        stream(info, first.response_definition, further, |payload| {
            pb::BidiStreamResponse {
                payload: Some(payload),
            }
        })
    }
}

/// One payload or an error, with headers and trailers.
async fn answer(
    info: RequestInfo,
    definition: Option<UnaryResponseDefinition>,
) -> Result<Response<ConformancePayload>, Status> {
    let definition = definition.unwrap_or_default();
    sleep(milliseconds(definition.response_delay_ms)).await;
    let mut headers = header_map(&definition.response_headers)?;
    let trailers = header_map(&definition.response_trailers)?;
    let data = match definition.response {
        Some(Wanted::Error(error)) => {
            // With nothing but an error, headers and trailers are one block.
            headers.extend(trailers);
            let mut status = status(error, Some(&info));
            *status.metadata_mut() = MetadataMap::from_headers(headers);
            return Err(status);
        }
        Some(Wanted::ResponseData(data)) => data,
        None => Vec::new(),
    };
    let payload = ConformancePayload {
        data,
        request_info: Some(info),
    };
    Ok(response(payload, headers, trailers))
}

/// Payloads, and an error if one is wanted. With `further` requests, each payload but the
/// first waits for one.
fn stream<T: Send + Sync + 'static>(
    info: RequestInfo,
    definition: Option<StreamResponseDefinition>,
    mut further: Option<Streaming<pb::BidiStreamRequest>>,
    wrap: fn(ConformancePayload) -> T,
) -> Result<Response<BoxStream<T>>, Status> {
    let definition = definition.unwrap_or_default();
    let headers = header_map(&definition.response_headers)?;
    let trailers = header_map(&definition.response_trailers)?;
    let delay = milliseconds(definition.response_delay_ms);
    let nothing_but_an_error = definition.response_data.is_empty();
    let replies = try_stream! {
        let mut info = Some(info);
        for data in definition.response_data {
            sleep(delay).await;
            yield wrap(ConformancePayload { data, request_info: info.take() });
            let next = match &mut further {
                Some(messages) => messages.message().await?,
                None => None,
            };
            if let Some(next) = next {
                let requests = vec![any(&next)];
                info = Some(RequestInfo { requests, ..RequestInfo::default() });
            }
        }
        if let Some(error) = definition.error {
            Err(status(error, info.as_ref().filter(|_| nothing_but_an_error)))?;
        }
    };
    Ok(response(Box::pin(replies), headers, trailers))
}

fn request_info(metadata: &MetadataMap, requests: Vec<Any>) -> RequestInfo {
    let mut headers = BTreeMap::<_, Vec<String>>::new();
    for pair in metadata.iter() {
        let (name, value) = match pair {
            KeyAndValueRef::Ascii(name, value) => (name.as_str(), value.as_encoded_bytes()),
            KeyAndValueRef::Binary(name, value) => (name.as_str(), value.as_encoded_bytes()),
        };
        let value = String::from_utf8_lossy(value).into_owned();
        headers.entry(name.to_owned()).or_default().push(value);
    }
    let timeout = metadata.get("grpc-timeout");
    let timeout = timeout.and_then(|value| parse_grpc_timeout(value.as_encoded_bytes()));
    RequestInfo {
        request_headers: headers
            .into_iter()
            .map(|(name, value)| pb::Header { name, value })
            .collect(),
        timeout_ms: timeout.and_then(|timeout| timeout.as_millis().try_into().ok()),
        requests,
        connect_get_info: None,
    }
}

fn status(error: pb::Error, info: Option<&RequestInfo>) -> Status {
    let code = Code::from(error.code);
    let message = error.message.unwrap_or_default();
    let mut details = error.details;
    details.extend(info.map(any));
    let whole = tonic_types::pb::Status {
        code: code.into(),
        message: message.clone(),
        details,
    };
    Status::with_details(code, message, whole.encode_to_vec().into())
}

fn header_map(headers: &[pb::Header]) -> Result<HeaderMap, Status> {
    let mut map = HeaderMap::new();
    for header in headers {
        let unusable = |_| Status::invalid_argument("a header that HTTP does not know");
        let name = HeaderName::try_from(&header.name).map_err(|error| unusable(error.into()))?;
        for value in &header.value {
            let value =
                HeaderValue::try_from(value).map_err(|error| unusable(http::Error::from(error)))?;
            map.append(name.clone(), value);
        }
    }
    Ok(map)
}

fn any<M: Message + Name>(message: &M) -> Any {
    Any {
        type_url: M::type_url(),
        value: message.encode_to_vec(),
    }
}

fn milliseconds(number: u32) -> Duration {
    Duration::from_millis(number.into())
}
