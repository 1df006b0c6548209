//! One connection's life.
//!
//! ```text
//! handshakes -> open -> (too old, idle, or the server drains) -> closing -> gone
//! handshakes -> (the server drains) -> closing -> gone
//! ```
//!
//! The TLS handshake, where there is one, and HTTP/2's share one time limit.

use std::{
    convert::Infallible,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::FutureExt as _;
use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep_until},
};

use super::{
    Limits,
    front::Front,
    lifecycle::Lifecycle,
    listener::Socket,
    observation::Remote,
    slots::Slot,
    tls::{HandshakeError, Tls},
    wire::{Activity, WatchedIo},
};
use crate::{
    cause::Cause,
    peer::{Peer, PeerAddress},
};

/// Streams that a peer has opened and reset at once, and that are not accepted
/// yet: beyond this it is a "rapid reset" attack (CVE-2023-44487), and the
/// connection is closed.
const MAX_PENDING_RESET_STREAMS: usize = 20;
/// Streams that the server had to reset for the peer's faults.
const MAX_LOCAL_ERROR_RESET_STREAMS: usize = 1024;
/// What a stream may send before it is read: four requests of the largest size. A
/// connection has 1 MiB (hyper's default), so that a few streams that are not read, as
/// a reflection whose answers pile up, hold up no call beside them.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// gRFC A9: spreads the reconnects of clients that connected together.
const AGE_JITTER: f64 = 0.1;
/// A graceful close says GOAWAY twice, a round trip apart; a call may still begin in
/// between, and has the whole grace from there.
const ROUND_TRIP: Duration = Duration::from_secs(1);
/// While the server drains, a connection has all the time there is: the drain has a hard
/// end of its own.
const WHILE_DRAINING: Duration = Duration::from_secs(24 * 3600);

/// The least time between two lines about refused connections.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// Runs connections. Clones share everything.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    front: Arc<Front>,
    http: http2::Builder<TokioExecutor>,
    lifecycle: Lifecycle,
    tls: Option<Tls>,
    /// When a refused connection was last told at `info`.
    told: Arc<Mutex<Option<Instant>>>,
}

/// Where a connection is in its life; each phase but the last has its own alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The peer has not begun to speak HTTP/2.
    Handshake,
    /// Calls are taken.
    Open,
    /// GOAWAY was said, or will be as soon as the peer speaks HTTP/2.
    Closing,
}

/// The alarms of one connection.
#[derive(Debug, Clone, Copy)]
struct Alarms {
    handshake: Instant,
    age: Instant,
    idle_check: Instant,
    close: Instant,
    /// Whether the connection gives way, and a call that comes all the same has its time.
    may_be_late: bool,
}

// === impl Connections ===

impl Connections {
    pub(super) fn new(front: Arc<Front>, lifecycle: Lifecycle, tls: Option<Tls>) -> Self {
        let limits = front.limits();
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new())
            .auto_date_header(false)
            .max_concurrent_streams(limits.max_concurrent_streams)
            .max_header_list_size(limits.max_header_list_size)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .max_pending_accept_reset_streams(MAX_PENDING_RESET_STREAMS)
            .max_local_error_reset_streams(MAX_LOCAL_ERROR_RESET_STREAMS)
            .keep_alive_interval(limits.keepalive_interval)
            .keep_alive_timeout(limits.keepalive_timeout);
        Self {
            front,
            http,
            lifecycle,
            tls,
            told: Arc::default(),
        }
    }

    /// Serves one connection until it is gone.
    pub(super) async fn run(self, socket: Socket, slot: Slot) {
        let Ok(address) = socket.peer() else {
            // The peer has left already.
            return;
        };
        let mut peer = Peer::new(address);
        let alarms = Alarms::set(self.front.limits());
        let Some(tls) = &self.tls else {
            return self.serve(socket, peer, alarms, &slot).await;
        };
        // Boxed: most of a connection's life is spent without it.
        let handshake = Box::pin(tls.accept(socket));
        let shaken = tokio::select! {
            shaken = handshake => shaken,
            () = sleep_until(alarms.handshake) => Err(HandshakeError::TimedOut),
            // It has been silent for long.
            () = slot.leave().cancelled() => return,
            // A drain goes on: for the client it may be over, and a call on its way.
            () = self.lifecycle.cut().cancelled() => return,
        };
        match shaken {
            Ok((stream, certificate)) => {
                peer.certificate = certificate;
                // Boxed, so that a connection without TLS does not pay for its size.
                Box::pin(self.serve(stream, peer, alarms, &slot)).await;
            }
            Err(error) => self.refused(address, &error),
        }
    }

    /// Counts it, and says so, once a second at most for people: peers can do this as often
    /// as they like.
    fn refused(&self, peer: PeerAddress, error: &HandshakeError) {
        self.front.metrics().connection_refused(error.reason());
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = told.is_none_or(|told| told + TOLD_EVERY <= now);
        if is_news {
            *told = Some(now);
        }
        drop(told);
        let error = error as &dyn std::error::Error;
        if is_news {
            tracing::info!(peer = %peer, error, "a connection was refused");
        } else {
            tracing::debug!(peer = %peer, error, "a connection was refused");
        }
    }

    /// Speaks HTTP/2 until the connection is gone.
    async fn serve<IO>(&self, io: IO, peer: Peer, mut alarms: Alarms, slot: &Slot)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = slot.activity();
        let limits = self.front.limits();
        let io = WatchedIo::new(io, Arc::clone(activity), limits.keepalive_timeout);
        let io = TokioIo::new(io);
        let remote = Arc::new(Remote::new(peer));
        let service = self.service(Arc::clone(&remote), Arc::clone(activity));
        let mut connection = pin!(self.http.serve_connection(io, service));
        let grace = limits.max_connection_age_grace + ROUND_TRIP;
        let mut phase = Phase::Handshake;
        let mut alarm = pin!(sleep_until(alarms.next(phase)));
        loop {
            let time_to_close = tokio::select! {
                ended = &mut connection => {
                    if let Err(error) = ended {
                        let error = Cause::of(&error);
                        tracing::debug!(error = &error as &dyn std::error::Error, "connection ended");
                    }
                    return;
                }
                () = activity.established(), if phase == Phase::Handshake => {
                    phase = Phase::Open;
                    None
                }
                () = self.lifecycle.closing().cancelled(), if phase != Phase::Closing => {
                    Some(WHILE_DRAINING)
                }
                () = slot.leave().cancelled(), if phase != Phase::Closing => {
                    // Both may come to light at once; then a call may have begun.
                    if !activity.is_established() {
                        return;
                    }
                    alarms.may_be_late = true;
                    Some(ROUND_TRIP)
                }
                () = self.lifecycle.cut().cancelled() => return,
                () = &mut alarm => match phase {
                    Phase::Handshake if activity.is_established() => {
                        phase = Phase::Open;
                        None
                    }
                    Phase::Open => alarms.is_over(activity, limits.idle_timeout).then_some(grace),
                    Phase::Closing if alarms.wait_for_late_call(activity, grace) => None,
                    // Silent, or too slow to say hello; or its time to finish is over.
                    Phase::Handshake | Phase::Closing => return,
                },
            };
            if let Some(time) = time_to_close {
                alarms.close = Instant::now() + time;
                connection.as_mut().graceful_shutdown();
                remote.closing().cancel();
                phase = Phase::Closing;
            }
            alarm.as_mut().reset(alarms.next(phase));
        }
    }

    fn service(
        &self,
        remote: Arc<Remote>,
        activity: Arc<Activity>,
    ) -> impl hyper::service::Service<
        http::Request<hyper::body::Incoming>,
        Response = http::Response<super::reply::ReplyBody>,
        Error = Infallible,
        Future: Send,
    > + use<> {
        let front = Arc::clone(&self.front);
        service_fn(move |request| {
            let stream = activity.open_stream();
            // Boxed: it is handed on often, and an `async fn` keeps the room of what it has
            // handed on.
            let request = Box::new(request);
            let answer = Arc::clone(&front).handle(request, Arc::clone(&remote), stream);
            answer.map(Ok)
        })
    }
}

// === impl Alarms ===

impl Alarms {
    fn set(limits: &Limits) -> Self {
        let now = Instant::now();
        let jitter = rand::random_range(1.0 - AGE_JITTER..=1.0 + AGE_JITTER);
        Self {
            handshake: now + limits.handshake_timeout,
            age: now + limits.max_connection_age.mul_f64(jitter),
            idle_check: now + limits.idle_timeout,
            close: now,
            may_be_late: false,
        }
    }

    fn next(&self, phase: Phase) -> Instant {
        match phase {
            Phase::Handshake => self.handshake,
            Phase::Open => self.age.min(self.idle_check),
            Phase::Closing => self.close,
        }
    }

    /// Whether it is too old, or no call was open for `timeout`; else sets the next check.
    fn is_over(&mut self, activity: &Activity, timeout: Duration) -> bool {
        let now = Instant::now();
        let idle_since = activity.idle_since().unwrap_or(now);
        self.idle_check = idle_since + timeout;
        now >= self.age || self.idle_check <= now
    }

    /// Whether a call has come after the connection was told to give way; it has `grace`.
    fn wait_for_late_call(&mut self, activity: &Activity, grace: Duration) -> bool {
        let is_late = self.may_be_late && activity.idle_since().is_none();
        if is_late {
            self.may_be_late = false;
            self.close = Instant::now() + grace;
        }
        is_late
    }
}
