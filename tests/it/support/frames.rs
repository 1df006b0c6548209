//! A Graph that speaks HTTP/2 frame by frame, as a test scripts it.

use std::sync::Arc;

use h2::Reason;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
};

use super::{
    Stub, stub,
    valve::{Frame, GOAWAY, PING, SETTINGS, frames},
    within,
};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
/// RFC 7541, section 6.1 and appendix A: `:status: 200`, `204` and `500` as indexed fields.
pub(crate) const OK: u8 = 0x88;
const NO_CONTENT: u8 = 0x89;
pub(crate) const SERVER_ERROR: u8 = 0x8e;
const PREFACE_BYTES: usize = 24;
/// The last stream id of a GOAWAY that only announces the next one.
pub(crate) const EVERY_STREAM: u32 = 0x7fff_ffff;

/// What the server does with a connection, once `requests` have arrived on it.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) requests: usize,
    pub(crate) says: Vec<Vec<u8>>,
    pub(crate) then: Then,
}

/// How the connection goes on, once the gateway has read what the server said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    Stay,
    /// FIN.
    Close,
    /// RST.
    Reset,
}

pub(crate) const EVERY_END: [Then; 3] = [Then::Stay, Then::Close, Then::Reset];

/// A server whose n-th connection follows the n-th script; the last one is repeated.
pub(crate) struct Server {
    pub(crate) stub: Stub,
    /// How many requests have arrived, on all connections.
    requests: watch::Receiver<usize>,
}

impl Server {
    pub(crate) async fn start(scripts: impl Into<Arc<[Script]>>) -> Self {
        let scripts = scripts.into();
        let (arrived, requests) = watch::channel(0);
        let stub = Stub::start(move |number, stream, _| {
            let script = scripts[number.min(scripts.len()) - 1].clone();
            follow(script, stream, arrived.clone())
        })
        .await;
        Self { stub, requests }
    }

    pub(crate) fn requests(&self) -> usize {
        *self.requests.borrow()
    }

    pub(crate) async fn wait_for_requests(&self, n: usize) {
        let mut requests = self.requests.clone();
        within(requests.wait_for(|count| *count >= n))
            .await
            .unwrap();
    }
}

async fn follow(script: Script, mut stream: TcpStream, arrived: watch::Sender<usize>) {
    let mut peer = Peer {
        stream: &mut stream,
        received: Vec::new(),
        seen: 0,
    };
    peer.say(&frame(SETTINGS, 0, 0, &[])).await;
    let mut requests = 0;
    while requests < script.requests {
        let Some(frame) = peer.next().await else {
            return;
        };
        if frame.kind == HEADERS {
            requests += 1;
            arrived.send_modify(|count| *count += 1);
        }
    }
    peer.say(&script.says.concat()).await;
    match script.then {
        Then::Stay => {}
        Then::Close => {
            peer.stream.shutdown().await.ok();
        }
        Then::Reset => {
            // What is behind a RST may be lost, so the gateway reacts first: by the answer
            // to this PING, or by a GOAWAY when no stream is left to it.
            peer.say(&frame(PING, 0, 0, &[7; 8])).await;
            while let Some(frame) = peer.next().await {
                if frame.kind == GOAWAY || frame.kind == PING {
                    break;
                }
            }
            stub::reset(stream);
            return;
        }
    }
    while peer.next().await.is_some() {}
}

/// The gateway, as the server sees it.
struct Peer<'a> {
    stream: &'a mut TcpStream,
    received: Vec<u8>,
    seen: usize,
}

impl Peer<'_> {
    /// The gateway's next frame; SETTINGS are acknowledged.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            let frames = frames(self.received.get(PREFACE_BYTES..).unwrap_or_default());
            if let Some(next) = frames.get(self.seen) {
                self.seen += 1;
                if next.kind == SETTINGS && next.flags & ACK == 0 {
                    self.say(&frame(SETTINGS, ACK, 0, &[])).await;
                }
                return Some(next.clone());
            }
            if self.stream.read_buf(&mut self.received).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// A gateway that has left does not hear it.
    async fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.ok();
    }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    // RFC 9113, section 4.1: 24 bits.
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = [&length[..], &[kind, flags]].concat();
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

pub(crate) fn reset(stream: u32, reason: Reason) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &u32::from(reason).to_be_bytes())
}

pub(crate) fn goaway(last: u32, reason: Reason) -> Vec<u8> {
    let payload = [last.to_be_bytes(), u32::from(reason).to_be_bytes()];
    frame(GOAWAY, 0, 0, &payload.concat())
}

/// The head of an answer whose body is to come.
pub(crate) fn begun(stream: u32, fields: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, fields)
}

pub(crate) fn no_content(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &[NO_CONTENT])
}
