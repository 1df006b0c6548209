//! One gRPC call by hand, for what client libraries hide: which part of an answer
//! was headers and which trailers.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use incidentgate::pb::{ExecuteResponseActionRequest, ExecuteResponseActionResponse};
use prost::Message as _;
use tokio::net::TcpStream;
use tonic::Status;

use super::{Gateway, TOKEN, within};

/// What came back, as it came.
#[derive(Debug)]
pub(crate) struct RawCall {
    /// The port that the call came from.
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
        let uri = format!(
            "http://{}/incidentgate.v1.IncidentTaskService/ExecuteResponseAction",
            gateway.addr
        );
        let mut request = Request::post(uri)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", format!("Bearer {TOKEN}"))
            .body(())
            .unwrap();
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        Self::send(gateway, request, frame(&message.encode_to_vec())).await
    }

    /// Sends any request with any body.
    pub(crate) async fn send(gateway: &Gateway, request: Request<()>, body: Bytes) -> Self {
        within(async {
            let socket = TcpStream::connect(gateway.addr).await.unwrap();
            let port = socket.local_addr().unwrap().port();
            let (client, connection) = h2::client::handshake(socket).await.unwrap();
            let connection = tokio::spawn(connection);
            let mut client = client.ready().await.unwrap();
            let (response, mut stream) = client.send_request(request, false).unwrap();
            stream.send_data(body, true).unwrap();
            let (head, mut incoming) = response.await.unwrap().into_parts();
            let mut collected = BytesMut::new();
            while let Some(chunk) = incoming.data().await {
                let chunk = chunk.unwrap();
                incoming
                    .flow_control()
                    .release_capacity(chunk.len())
                    .unwrap();
                collected.extend_from_slice(&chunk);
            }
            let trailers = incoming.trailers().await.unwrap();
            drop((client, stream, incoming));
            connection.abort();
            Self {
                port,
                status: head.status,
                headers: head.headers,
                body: collected.freeze(),
                trailers,
            }
        })
        .await
    }

    /// The status, from wherever it stands.
    #[track_caller]
    pub(crate) fn grpc_status(&self) -> Status {
        let headers = self.trailers.as_ref().unwrap_or(&self.headers);
        Status::from_header_map(headers).expect("a gRPC status")
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
