//! A Graph that is nothing but a socket: what it does with a connection, a test says.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use socket2::{Domain, SockRef, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use super::within;

/// A listener whose connections a test handles.
pub(crate) struct Stub {
    pub(crate) addr: SocketAddr,
    pub(crate) heard: Heard,
    accepting: JoinHandle<()>,
}

/// Everything that was received, on all connections.
#[derive(Clone, Default)]
pub(crate) struct Heard {
    bytes: Arc<Mutex<Vec<u8>>>,
    connections: watch::Sender<usize>,
}

// === impl Stub ===

impl Stub {
    /// Each connection goes to `serve`, with its number from 1.
    pub(crate) async fn start<F, S>(serve: S) -> Self
    where
        S: Fn(usize, TcpStream, Heard) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let heard = Heard::default();
        let accepting = tokio::spawn({
            let heard = heard.clone();
            async move {
                for number in 1.. {
                    let (stream, _) = listener.accept().await.unwrap();
                    tokio::spawn(serve(number, stream, heard.clone()));
                    heard.connections.send_replace(number);
                }
            }
        });
        Self {
            addr,
            heard,
            accepting,
        }
    }

    /// Takes every connection, and never says a word.
    pub(crate) async fn silent() -> Self {
        Self::start(|_, stream, _| async move {
            let _silent = stream;
            std::future::pending::<()>().await;
        })
        .await
    }

    pub(crate) fn http_url(&self) -> String {
        format!("http://{}/beta", self.addr)
    }

    pub(crate) fn https_url(&self) -> String {
        format!("https://{}/beta", self.addr)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

// === impl Heard ===

impl Heard {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap().clone()
    }

    /// How many HTTP/1.1 POSTs have begun to arrive.
    pub(crate) fn posts(&self) -> usize {
        let bytes = self.bytes();
        bytes.windows(6).filter(|part| part == b"POST /").count()
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        *self.connections.borrow()
    }

    pub(crate) fn add(&self, bytes: &[u8]) {
        self.bytes.lock().unwrap().extend_from_slice(bytes);
    }

    /// Reads whatever comes first.
    pub(crate) async fn some(&self, stream: &mut TcpStream) {
        let mut buffer = [0; 4096];
        if let Ok(read) = stream.read(&mut buffer).await {
            self.add(&buffer[..read]);
        }
    }

    /// Waits for the n-th connection.
    pub(crate) async fn connection(&self, n: usize) {
        let mut connections = self.connections.subscribe();
        within(connections.wait_for(|count| *count >= n))
            .await
            .unwrap();
    }

    /// Reads one HTTP/1.1 request without a body; `false` at the end of the connection.
    pub(crate) async fn request(&self, stream: &mut (impl AsyncRead + Unpin)) -> bool {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else {
                return false;
            };
            head.push(byte);
            self.add(&[byte]);
        }
        true
    }
}

/// HTTP/1.1's 204 on a connection that stays.
pub(crate) async fn no_content(stream: &mut (impl AsyncWrite + Unpin)) {
    stream
        .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
        .await
        .unwrap();
}

/// RST in place of FIN.
pub(crate) fn reset(stream: TcpStream) {
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(stream);
}

/// A port that is taken, so that nobody else gets it, and refuses connections.
pub(crate) fn refusing() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    let addr = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, addr)
}

/// A listener that accepts nothing and whose queue is full: a connection to it never comes about.
pub(crate) fn full() -> (Socket, Vec<std::net::TcpStream>, SocketAddr) {
    let (listener, addr) = refusing();
    listener.listen(0).unwrap();
    let mut queue = Vec::new();
    loop {
        match std::net::TcpStream::connect_timeout(&addr, Duration::from_millis(200)) {
            Ok(stream) => queue.push(stream),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                return (listener, queue, addr);
            }
            Err(error) => panic!("the queue cannot be filled: {error}"),
        }
    }
}
