//! Sockets. Each connection's task is the only owner of its socket, so it alone can break
//! it: a request asks for that through its [`Line`].

use std::io;
use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::entra::{self, Endpoint};
use super::stream::{LastStream, Streams};
use super::world::World;
use super::{control, serve};

/// How long the accept loop rests after an error such as "too many open files", which
/// would come again at once.
const ACCEPT_REST: Duration = Duration::from_millis(50);
/// How long a closed connection is read on. Closing over unread bytes would turn the FIN
/// into a RST.
const LINGER: Duration = Duration::from_secs(1);
/// Tokens with many groups make headers larger than the 16 KiB that HTTP/2 servers accept
/// by default.
const MAX_HEADER_LIST_BYTES: u32 = 64 * 1024;
/// One connection may carry a whole load test.
const MAX_CONCURRENT_STREAMS: u32 = 1024;

/// Takes connections until `closing`.
pub(super) async fn accept(
    listener: TcpListener,
    world: Arc<World>,
    closing: CancellationToken,
    connections: TaskTracker,
) {
    let mut accepted = 0;
    let control = control::router(&world);
    loop {
        let stream = tokio::select! {
            () = closing.cancelled() => return,
            stream = listener.accept() => stream,
        };
        let Ok((stream, _)) = stream else {
            tokio::time::sleep(ACCEPT_REST).await;
            continue;
        };
        accepted += 1;
        let connection = run(stream, accepted, Arc::clone(&world), control.clone());
        let closing = closing.clone();
        connections.spawn(async move {
            tokio::select! {
                () = closing.cancelled() => {}
                () = connection => {}
            }
        });
    }
}

/// How a request ends its connection.
#[derive(Debug)]
pub(super) enum Cut {
    /// RST.
    Reset,
    /// These bytes, then FIN.
    Close(Vec<u8>),
}

/// A request's hold on its connection.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Connections count up from 1.
    pub(super) id: u64,
    cuts: mpsc::Sender<Cut>,
    streams: Arc<Streams>,
    /// The request's own stream; without a meaning over HTTP/1.1, which has no GOAWAY.
    stream: u32,
}

impl Line {
    /// Breaks the connection, and with it the request that asks for it: this never returns.
    pub(super) async fn cut<T>(&self, cut: Cut) -> T {
        // The connection can be cut only once. When somebody else was faster, there is
        // nothing left to do.
        self.cuts.try_send(cut).ok();
        std::future::pending().await
    }

    /// Says that Graph handles the request from now on. When a GOAWAY has promised that
    /// it will not, this never returns.
    pub(super) async fn begin(&self) {
        if !self.streams.begin(self.stream) {
            std::future::pending::<()>().await;
        }
    }

    /// The GOAWAY, as a frame, with which the connection is to be closed now.
    pub(super) fn go_away(&self, last: LastStream, code: u32) -> Vec<u8> {
        self.streams.go_away(self.stream, last, code)
    }
}

async fn run(stream: TcpStream, id: u64, world: Arc<World>, control: Router) {
    let (cuts, mut cut) = mpsc::channel(1);
    let streams = Arc::new(Streams::default());
    let requests = AtomicU32::new(0);
    stream.set_nodelay(true).ok();
    let stream = Arc::new(stream);

    let cut = {
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let (world, control) = (Arc::clone(&world), control.clone());
            let number = requests.fetch_add(1, Ordering::Relaxed) + 1;
            let line = Line {
                id,
                cuts: cuts.clone(),
                streams: Arc::clone(&streams),
                stream: Streams::id(number),
            };
            async move {
                let path = request.uri().path();
                if path.starts_with("/sandbox/") {
                    let Ok(answer) = control.oneshot(request).await;
                    Ok(answer)
                } else if let Some(endpoint) = Endpoint::of(path) {
                    let entra = Arc::clone(&world.entra);
                    Ok(entra::serve(entra, line, endpoint, request).await)
                } else {
                    serve::serve(world, line, request).await
                }
            }
        });
        let mut server = auto::Builder::new(TokioExecutor::new());
        server.http1().timer(TokioTimer::new());
        server
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(MAX_HEADER_LIST_BYTES)
            .max_concurrent_streams(MAX_CONCURRENT_STREAMS);
        let mut connection = pin!(server.serve_connection(Socket(Arc::clone(&stream)), service));
        tokio::select! {
            biased;
            Some(cut) = cut.recv() => cut,
            _ = connection.as_mut() => return,
        }
    };
    // The HTTP half is gone and has let go of the socket, so dropping ours closes it.
    let Some(stream) = Arc::into_inner(stream) else {
        return;
    };
    match cut {
        Cut::Reset => {
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).ok();
        }
        Cut::Close(last_words) => {
            tokio::time::timeout(LINGER, close(stream, &last_words))
                .await
                .ok();
        }
    }
}

async fn close(mut stream: TcpStream, last_words: &[u8]) -> io::Result<()> {
    stream.write_all(last_words).await?;
    stream.shutdown().await?;
    let mut unread = [0; 1024];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

/// A socket for hyper that somebody else can still reach.
struct Socket(Arc<TcpStream>);

impl Read for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut chunk = [0; 8 * 1024];
        let room = chunk.len().min(buf.remaining());
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            match self.0.try_read(&mut chunk[..room]) {
                Ok(length) => {
                    buf.put_slice(&chunk[..length]);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl Write for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match self.0.try_write(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&*self.0).shutdown(Shutdown::Write))
    }
}
