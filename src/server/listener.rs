//! The accept loop, and what it accepts from.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpSocket, TcpStream, UnixStream},
    time::sleep,
};

use super::{
    connection::Connections,
    front::Front,
    lifecycle::Lifecycle,
    slots::Slots,
    tls::Tls,
    unix::{BindError, UnixSocket},
};
use crate::{listen_address::ListenAddress, peer::PeerAddress};

/// After a failed accept (no file descriptors left) a moment passes, so that the
/// loop does not spin until a connection has closed.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// As many connections may wait to be accepted: when another instance leaves, all its
/// clients come at once. tokio's own TCP listeners have 128.
pub(super) const BACKLOG: u16 = 1024;

/// An open port or socket.
#[derive(Debug)]
pub enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A file of this machine.
    Unix(UnixSocket),
}

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The port cannot be had.
    #[error(transparent)]
    Tcp(#[from] io::Error),
    /// The socket cannot be had.
    #[error(transparent)]
    Unix(#[from] BindError),
}

/// An accepted connection's bytes.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Accepts connections until the lifecycle closes, each in a task of its own. With `tls`
/// nothing but TLS is spoken, on either kind of listener.
///
/// For a client a connection is there before it is accepted, and a call may be on it by
/// then. So those that wait at the close are served, too, though they may be more than
/// the limit: they are told to go elsewhere.
pub async fn serve(
    listener: impl Into<Listener> + Send,
    tls: Option<Tls>,
    front: Arc<Front>,
    lifecycle: Lifecycle,
) {
    let listener = listener.into();
    let slots = Slots::new(front.limits().max_connections);
    let connections = Connections::new(front, lifecycle.clone(), tls);
    // The drain waits for those that are not accepted yet, too.
    let _accepting = lifecycle.connections().token();
    let mut without_slot = None;
    let spawn = |socket, slot| {
        let connection = connections.clone().run(socket, slot);
        lifecycle.connections().spawn(connection);
    };
    let accept_all = async {
        loop {
            match listener.accept().await {
                Ok(socket) => {
                    without_slot = Some(socket);
                    let Some(slot) = slots.take().await else {
                        return;
                    };
                    if let Some(socket) = without_slot.take() {
                        spawn(socket, slot);
                    }
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "no connection could be accepted"
                    );
                    sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        }
    };
    tokio::select! {
        () = accept_all => {}
        () = lifecycle.closing().cancelled() => {}
    }
    for socket in without_slot.into_iter().chain(listener.close()) {
        spawn(socket, slots.beyond());
    }
}

// === impl Listener ===

impl Listener {
    /// Opens it. A port 0 becomes a free one.
    pub async fn bind(address: &ListenAddress) -> Result<Self, ListenError> {
        Ok(match address {
            ListenAddress::Tcp(address) => Self::Tcp(bind_tcp(*address)?),
            ListenAddress::Unix(path) => Self::Unix(UnixSocket::bind(path).await?),
        })
    }

    /// Where it listens, with the port that it has got.
    pub fn address(&self) -> io::Result<ListenAddress> {
        Ok(match self {
            Self::Tcp(listener) => ListenAddress::Tcp(listener.local_addr()?),
            Self::Unix(socket) => ListenAddress::Unix(socket.path().to_owned()),
        })
    }

    /// The next connection. Cancel-safe.
    async fn accept(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp(listener) => Socket::tcp(listener.accept().await?.0),
            Self::Unix(socket) => socket.accept().await.map(Socket::Unix),
        }
    }

    /// Listens no longer; the connections that wait to be accepted. On TCP, one that comes
    /// between the last of them and the close is lost: nothing does both at once.
    fn close(self) -> Vec<Socket> {
        // tokio's `accept` knows only what was there when it last asked the system.
        let listener = match &self {
            Self::Tcp(listener) => SockRef::from(listener),
            Self::Unix(socket) => {
                socket.remove_file();
                socket.listener()
            }
        };
        let waiting = std::iter::from_fn(|| Some(listener.accept()))
            .take(BACKLOG.into())
            .take_while(|accepted| !is_would_block(accepted));
        let adopted = waiting.filter_map(|accepted| {
            let (socket, _) = accepted.ok()?;
            socket.set_nonblocking(true).ok()?;
            match &self {
                Self::Tcp(_) => Socket::tcp(TcpStream::from_std(socket.into()).ok()?).ok(),
                Self::Unix(_) => UnixStream::from_std(socket.into()).map(Socket::Unix).ok(),
            }
        });
        adopted.collect()
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

impl From<UnixSocket> for Listener {
    fn from(socket: UnixSocket) -> Self {
        Self::Unix(socket)
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A new instance need not wait for the connections of the last one to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG.into())
}

fn is_would_block<T>(result: &io::Result<T>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

// === impl Socket ===

impl Socket {
    fn tcp(stream: TcpStream) -> io::Result<Self> {
        // Answers are small and must not wait for more.
        stream.set_nodelay(true)?;
        Ok(Self::Tcp(stream))
    }

    /// The other end; an error when it has left already.
    pub(super) fn peer(&self) -> io::Result<PeerAddress> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().map(PeerAddress::Tcp),
            Self::Unix(_) => Ok(PeerAddress::Unix),
        }
    }
}

/// Passes a poll on to whichever it is.
macro_rules! either {
    ($socket:expr, $stream:ident => $poll:expr) => {
        match $socket.get_mut() {
            Socket::Tcp($stream) => $poll,
            Socket::Unix($stream) => $poll,
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        // Both can.
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
