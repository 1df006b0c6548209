//! A call that crosses the server's GOAWAY on the wire.

use std::{
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use incidentgate::{pb::ExecuteResponseActionRequest, sandbox::Fault};
use prost::Message as _;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::support::{Gateway, RawCall, frame, within};

/// A socket that can be told not to read for a while.
struct Deaf {
    socket: TcpStream,
    is_deaf: Arc<AtomicBool>,
}

/// Makes a call after the gateway has begun to close its connections, on one that
/// was open before and whose client does not know it yet.
pub(super) async fn late_call(gateway: &Gateway) -> RawCall {
    let is_deaf = Arc::new(AtomicBool::new(false));
    let socket = TcpStream::connect(gateway.addr).await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let socket = Deaf {
        socket,
        is_deaf: Arc::clone(&is_deaf),
    };
    let (client, driver) = h2::client::handshake(socket).await.unwrap();
    let mut driver = pin!(driver);
    let first = RawCall::exchange(
        client.clone(),
        port,
        RawCall::request(gateway),
        message("x"),
    );
    let call = within(async {
        tokio::select! {
            call = first => call,
            ended = &mut driver => panic!("{ended:?}"),
        }
    });
    assert_eq!(call.await.headers["grpc-status"], "5");

    // This call keeps the drain from ending; that idle connection shows its begin.
    gateway.sandbox.clear_journal();
    gateway.sandbox.script("213213", [Fault::hold()]);
    let held = within(gateway.execute("213213"));
    let late = async {
        within(gateway.sandbox.wait_for_posts("213213", 1)).await;
        gateway.sandbox.clear_journal();
        let socket = TcpStream::connect(gateway.addr).await.unwrap();
        let (_idle, connection) = h2::client::handshake::<_>(socket).await.unwrap();
        is_deaf.store(true, Ordering::Relaxed);
        gateway.shutdown.graceful.cancel();
        within(connection).await.ok();

        // The request leaves before GOAWAY is read.
        let late = RawCall::exchange(client, port, RawCall::request(gateway), message("213214"));
        let mut late = pin!(late);
        std::future::poll_fn(|cx| {
            assert!(late.as_mut().poll(cx).is_pending());
            assert!(driver.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        is_deaf.store(false, Ordering::Relaxed);
        let (call, _ended) = within(async { tokio::join!(late, driver) }).await;
        gateway.sandbox.release("213213");
        call
    };
    let (held, call) = tokio::join!(held, late);
    held.unwrap();
    call
}

fn message(id: &str) -> bytes::Bytes {
    let message = ExecuteResponseActionRequest {
        incident_task_id: id.to_owned(),
        client_request_id: String::new(),
    };
    frame(&message.encode_to_vec())
}

// === impl Deaf ===

impl AsyncRead for Deaf {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // No waker: whoever makes it hear again polls it again.
        if self.is_deaf.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Deaf {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
