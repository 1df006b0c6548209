//! A wire that can be tapped, stopped and cut: it stands between a client and the gateway.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

use super::within;

/// One TCP connection to `addr` is passed on.
pub(crate) struct Valve {
    pub(crate) addr: SocketAddr,
    open: watch::Sender<bool>,
    heard: Arc<Heard>,
    passing: JoinHandle<()>,
}

/// An HTTP/2 frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// What came down the wire, and a word when more has come.
#[derive(Default)]
struct Heard {
    bytes: Mutex<Vec<u8>>,
    more: watch::Sender<usize>,
}

pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;

// === impl Valve ===

impl Valve {
    pub(crate) async fn to(gateway: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let open = watch::Sender::new(true);
        let heard = Arc::new(Heard::default());
        let passing = tokio::spawn({
            let (open, heard) = (open.subscribe(), Arc::clone(&heard));
            async move {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(gateway).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                let mut from_client = from_client;
                let up = async {
                    // An end is an end, however it comes.
                    tokio::io::copy(&mut from_client, &mut to_server).await.ok();
                    to_server.shutdown().await.ok();
                };
                tokio::join!(up, down(&mut from_server, to_client, open, &heard));
            }
        });
        Self {
            addr,
            open,
            heard,
            passing,
        }
    }

    /// From now on nothing of the gateway's arrives.
    pub(crate) fn shut(&self) {
        self.open.send_replace(false);
    }

    /// What was held back arrives.
    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    /// Both sides are closed at once.
    pub(crate) async fn cut(self) {
        self.passing.abort();
        self.passing.await.unwrap_err();
    }

    /// The frames that have arrived so far.
    pub(crate) fn frames(&self) -> Vec<Frame> {
        let bytes = self.heard.bytes.lock().unwrap();
        frames(&bytes)
    }

    /// Waits until the gateway has sent `count` frames that are like this.
    pub(crate) async fn wait_for(&self, count: usize, like: impl Fn(&Frame) -> bool) -> Vec<Frame> {
        let mut more = self.heard.more.subscribe();
        within(async {
            loop {
                let found: Vec<_> = self.frames().into_iter().filter(&like).collect();
                if found.len() >= count {
                    return found;
                }
                more.changed().await.unwrap();
            }
        })
        .await
    }
}

// === impl Frame ===

impl Frame {
    pub(crate) fn is_goaway(&self) -> bool {
        self.kind == GOAWAY
    }

    /// A PING that is not an answer to one.
    pub(crate) fn is_ping(&self) -> bool {
        self.kind == PING && self.flags & 1 == 0
    }

    /// The answer to one.
    pub(crate) fn is_ping_answer(&self) -> bool {
        self.kind == PING && self.flags & 1 == 1
    }

    /// GOAWAY: the last stream that is still handled.
    pub(crate) fn last_stream(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().unwrap())
    }

    /// GOAWAY: why.
    pub(crate) fn error(&self) -> u32 {
        u32::from_be_bytes(self.payload[4..8].try_into().unwrap())
    }

    /// SETTINGS: one of them.
    pub(crate) fn setting(&self, id: u16) -> Option<u32> {
        self.payload
            .chunks_exact(6)
            .find(|setting| setting[..2] == id.to_be_bytes())
            .map(|setting| u32::from_be_bytes(setting[2..].try_into().unwrap()))
    }
}

async fn down(
    from: &mut OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut open: watch::Receiver<bool>,
    heard: &Heard,
) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        heard
            .bytes
            .lock()
            .unwrap()
            .extend_from_slice(&buffer[..read]);
        heard.more.send_modify(|total| *total += read);
        if open.wait_for(|open| *open).await.is_err()
            || to.write_all(&buffer[..read]).await.is_err()
        {
            break;
        }
    }
    to.shutdown().await.ok();
}

/// The whole frames in these bytes.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(9) {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let Some((payload, rest)) = rest.split_at_checked(length) else {
            break;
        };
        frames.push(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes(head[5..9].try_into().unwrap()) & 0x7fff_ffff,
            payload: payload.to_vec(),
        });
        bytes = rest;
    }
    frames
}
