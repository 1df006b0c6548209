//! Many callers at once, and a Graph that lets them all wait.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::future::join_all;
use h2::{
    RecvStream,
    server::{self, SendResponse},
};
use http::{Method, Request, Response, StatusCode};
use tokio::{net::TcpStream, sync::watch};

use super::{Sent, Stub, Wire, within};

/// Fewer than a gateway takes on one connection, by its default.
const CALLS_ON_A_CONNECTION: usize = 250;

/// Enough connections for many calls.
pub(crate) struct Crowd {
    wires: Vec<Wire>,
    /// Whose turn it is to call.
    next: usize,
}

/// A Graph that speaks HTTP/2 without TLS, takes every request, and answers none as long as
/// it is shut.
pub(crate) struct Hanging {
    stub: Stub,
    posts: watch::Sender<usize>,
    open: watch::Sender<bool>,
}

// === impl Crowd ===

impl Crowd {
    /// Connects so many callers.
    pub(crate) async fn connect(addr: SocketAddr, callers: usize) -> Self {
        let connections = callers.div_ceil(CALLS_ON_A_CONNECTION);
        Self {
            wires: join_all((0..connections).map(|_| Wire::connect(addr))).await,
            next: 0,
        }
    }

    /// Makes so many calls, each for a task of its own, spread over the connections.
    pub(crate) async fn call(&mut self, calls: usize, headers: &[(&str, &str)]) -> Vec<Sent> {
        let mut sent = Vec::with_capacity(calls);
        for n in 0..calls {
            self.next = (self.next + 1) % self.wires.len();
            let wire = &mut self.wires[self.next];
            sent.push(wire.execute(&format!("crowd-{n}"), headers).await);
        }
        sent
    }
}

// === impl Hanging ===

impl Hanging {
    pub(crate) async fn start() -> Self {
        let (posts, open) = (watch::Sender::new(0), watch::Sender::new(false));
        let stub = Stub::start({
            let (posts, open) = (posts.clone(), open.clone());
            move |_, stream, _| serve(stream, posts.clone(), open.subscribe())
        })
        .await;
        Self { stub, posts, open }
    }

    pub(crate) fn url(&self) -> String {
        self.stub.http_url()
    }

    /// How many POSTs have come.
    pub(crate) fn posts(&self) -> usize {
        *self.posts.borrow()
    }

    /// Waits until so many POSTs have come.
    pub(crate) async fn wait_for_posts(&self, count: usize) {
        let mut posts = self.posts.subscribe();
        within(posts.wait_for(|posts| *posts >= count))
            .await
            .unwrap();
    }

    /// Answers all POSTs that wait, and from now on each at once.
    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    /// Takes POSTs from now on, and answers none.
    pub(crate) fn shut(&self) {
        self.open.send_replace(false);
    }
}

async fn serve(stream: TcpStream, posts: watch::Sender<usize>, mut open: watch::Receiver<bool>) {
    let mut builder = server::Builder::new();
    builder.max_concurrent_streams(u32::MAX);
    let Ok(mut connection) = builder.handshake(stream).await else {
        return;
    };
    let mut waiting: Vec<(Request<RecvStream>, SendResponse<Bytes>)> = Vec::new();
    loop {
        tokio::select! {
            request = connection.accept() => match request {
                Some(Ok(request)) => {
                    let is_post = request.0.method() == Method::POST;
                    waiting.push(request);
                    posts.send_modify(|posts| *posts += usize::from(is_post));
                }
                Some(Err(_)) | None => return,
            },
            changed = open.changed() => if changed.is_err() { return },
        }
        if *open.borrow() {
            for (_request, mut respond) in waiting.drain(..) {
                let mut response = Response::new(());
                *response.status_mut() = StatusCode::NO_CONTENT;
                // Whoever asked may have left.
                respond.send_response(response, true).ok();
            }
        }
    }
}
