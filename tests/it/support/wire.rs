//! An HTTP/2 connection by hand, with many calls on it.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::{
    Reason, SendStream,
    client::{self, ResponseFuture, SendRequest},
};
use http::Request;
use incidentgate::pb::{ExecuteResponseActionRequest, health::HealthCheckRequest};
use prost::Message as _;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
};

use super::{
    TOKEN,
    raw::{RawCall, frame},
    within,
};

pub(crate) const EXECUTE: &str = "/incidentgate.v1.IncidentTaskService/ExecuteResponseAction";

/// An open connection.
pub(crate) struct Wire {
    client: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
    port: u16,
}

/// A request that was sent, whole or in part.
pub(crate) struct Sent {
    response: ResponseFuture,
    stream: SendStream<Bytes>,
    port: u16,
}

// === impl Wire ===

impl Wire {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self::connect_with_window(addr, 65_535).await
    }

    /// So many bytes of an answer may come before it is read.
    pub(crate) async fn connect_with_window(addr: SocketAddr, window: u32) -> Self {
        let socket = within(TcpStream::connect(addr)).await.unwrap();
        let port = socket.local_addr().unwrap().port();
        Self::over(socket, port, window).await
    }

    /// Over any stream whose local port is `port`.
    pub(crate) async fn over(
        socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        port: u16,
        window: u32,
    ) -> Self {
        within(async {
            let mut builder = client::Builder::new();
            builder.initial_window_size(window);
            // Many answers may wait to be read at once. h2 ties how many to the connection's
            // window, which is larger in gRPC libraries; they read all the same.
            builder.data_frame_budget(1 << 20);
            let (client, connection) = builder.handshake(socket).await.unwrap();
            Self {
                client,
                connection: tokio::spawn(connection),
                port,
            }
        })
        .await
    }

    /// Sends headers alone; the message may follow.
    pub(crate) async fn begin(&mut self, request: Request<()>) -> Sent {
        within(async {
            let mut client = self.client.clone().ready().await.unwrap();
            let (response, stream) = client.send_request(request, false).unwrap();
            Sent {
                response,
                stream,
                port: self.port,
            }
        })
        .await
    }

    /// Executes the task `id`, with additional or replaced headers.
    pub(crate) async fn execute(&mut self, id: &str, headers: &[(&str, &str)]) -> Sent {
        let mut sent = self.begin(head(EXECUTE, headers)).await;
        sent.data(execute_message(id), true);
        sent
    }

    /// Calls `Check` or `Watch` of the health service.
    pub(crate) async fn health(&mut self, method: &str) -> Sent {
        let path = format!("/grpc.health.v1.Health/{method}");
        let mut sent = self.begin(head(&path, &[])).await;
        sent.data(frame(&HealthCheckRequest::default().encode_to_vec()), true);
        sent
    }

    /// Waits until the peer has closed the connection in good order.
    pub(crate) async fn closed(self) -> Result<(), h2::Error> {
        let connection = self.connection;
        // The handle stays, so the end is the peer's wish and not ours.
        let _client = self.client;
        within(connection).await.unwrap()
    }

    /// Whether the connection is still there.
    pub(crate) fn is_open(&self) -> bool {
        !self.connection.is_finished()
    }

    /// Closes the TCP connection without another word.
    pub(crate) async fn vanish(self) {
        self.connection.abort();
        self.connection.await.unwrap_err();
    }
}

// === impl Sent ===

impl Sent {
    /// A part of the message. Should the gateway have ended the stream, its answer says so.
    pub(crate) fn data(&mut self, bytes: impl Into<Bytes>, last: bool) {
        self.stream.send_data(bytes.into(), last).ok();
    }

    /// `RST_STREAM`.
    pub(crate) fn reset(mut self) {
        self.stream.send_reset(Reason::CANCEL);
    }

    /// The whole answer, or how the stream broke.
    pub(crate) async fn answer(self) -> Result<RawCall, h2::Error> {
        within(self.answer_some_day()).await
    }

    /// The same of a call that may have to wait for many others.
    pub(crate) async fn answer_some_day(self) -> Result<RawCall, h2::Error> {
        let Self {
            response,
            stream,
            port,
        } = self;
        let answer = RawCall::read(response, port).await;
        // Dropped before, it would end the stream.
        drop(stream);
        answer
    }
}

/// A gRPC request's head with a token, and additional or replaced headers.
pub(crate) fn head(path: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = head_for("gateway.test", path);
    set(&mut request, headers);
    request
}

/// A gRPC request's head with a token, to a server that is called `authority`.
pub(super) fn head_for(authority: &str, path: &str) -> Request<()> {
    Request::post(format!("http://{authority}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(())
        .unwrap()
}

/// Adds or replaces headers.
pub(super) fn set(request: &mut Request<()>, headers: &[(&str, &str)]) {
    for (name, value) in headers {
        let name: http::HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
}

/// The framed message that executes the task `id`.
pub(crate) fn execute_message(id: &str) -> Bytes {
    let message = ExecuteResponseActionRequest {
        incident_task_id: id.to_owned(),
        client_request_id: String::new(),
    };
    frame(&message.encode_to_vec())
}
