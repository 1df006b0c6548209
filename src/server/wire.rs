//! A connection's bytes, watched: whether the peer has begun to speak HTTP/2, when it
//! last had a call open, and whether it still reads.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep},
};

/// The connection preface (24 bytes) and the header of the SETTINGS frame that
/// must follow it (9 bytes; RFC 9113, section 3.4).
const HANDSHAKE_BYTES: usize = 33;

/// Streams beside the calls that each connection may have open whatever the others do. A
/// probe needs one, a client that watches the health of its connection one more.
const OWN_SEATS: usize = 4;

/// What one connection is doing.
#[derive(Debug)]
pub(super) struct Activity {
    born: Instant,
    bytes_read: AtomicUsize,
    established: Notify,
    streams: AtomicUsize,
    /// Taken of [`OWN_SEATS`].
    own_seats: AtomicUsize,
    /// Milliseconds from `born` to the end of the last stream.
    last_end: AtomicU64,
}

/// A stream that is open as long as this lives.
#[derive(Debug)]
pub(super) struct OpenStream {
    activity: Arc<Activity>,
    seat: Option<Seat>,
}

/// What a stream beside the calls takes.
#[derive(Debug)]
enum Seat {
    /// One of its connection's own.
    Own,
    /// One of those that all connections share.
    Shared { _permit: OwnedSemaphorePermit },
}

/// A byte stream whose reads are counted until the handshake is done, and whose
/// writes fail once the peer has taken nothing for too long.
///
/// An unanswered ping does not end such a connection: HTTP/2 says GOAWAY first, and
/// waits for room to say it.
#[derive(Debug)]
pub(super) struct WatchedIo<IO> {
    io: IO,
    activity: Arc<Activity>,
    established: bool,
    /// How long a write may make no progress.
    patience: Duration,
    /// Set while one makes none.
    stalled: Option<Pin<Box<Sleep>>>,
}

// === impl Activity ===

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            born: Instant::now(),
            bytes_read: AtomicUsize::new(0),
            established: Notify::new(),
            streams: AtomicUsize::new(0),
            own_seats: AtomicUsize::new(0),
            last_end: AtomicU64::new(0),
        })
    }

    /// Resolves once the peer has begun to speak HTTP/2. Cancel-safe.
    pub(super) async fn established(&self) {
        while !self.is_established() {
            self.established.notified().await;
        }
    }

    /// Whether the peer has begun to speak HTTP/2.
    pub(super) fn is_established(&self) -> bool {
        self.bytes_read.load(Ordering::Acquire) >= HANDSHAKE_BYTES
    }

    #[must_use = "the connection counts as busy only while the guard lives"]
    pub(super) fn open_stream(self: &Arc<Self>) -> OpenStream {
        self.streams.fetch_add(1, Ordering::AcqRel);
        OpenStream {
            activity: Arc::clone(self),
            seat: None,
        }
    }

    /// Since when no stream is open; nothing while one is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (self.streams.load(Ordering::Acquire) == 0)
            .then(|| self.born + Duration::from_millis(self.last_end.load(Ordering::Acquire)))
    }
}

// === impl OpenStream ===

impl OpenStream {
    /// Counts the stream among those beside the calls, which strangers may open, too, and
    /// keep open. `false` if it is one too many: its connection has its own, and beyond
    /// them all connections have `shared`. So the memory is bounded, and nobody can keep a
    /// probe out that comes by a connection of its own.
    pub(super) fn sit_beside(&mut self, shared: &Arc<Semaphore>) -> bool {
        let own = &self.activity.own_seats;
        let one_more = |taken| (taken < OWN_SEATS).then_some(taken + 1);
        self.seat = if own
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more)
            .is_ok()
        {
            Some(Seat::Own)
        } else {
            let permit = Arc::clone(shared).try_acquire_owned();
            permit.ok().map(|permit| Seat::Shared { _permit: permit })
        };
        self.seat.is_some()
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        if matches!(self.seat, Some(Seat::Own)) {
            self.activity.own_seats.fetch_sub(1, Ordering::AcqRel);
        }
        let age = self.activity.born.elapsed().as_millis();
        self.activity
            .last_end
            .fetch_max(u64::try_from(age).unwrap_or(u64::MAX), Ordering::AcqRel);
        self.activity.streams.fetch_sub(1, Ordering::AcqRel);
    }
}

// === impl WatchedIo ===

impl<IO> WatchedIo<IO> {
    pub(super) fn new(io: IO, activity: Arc<Activity>, patience: Duration) -> Self {
        Self {
            io,
            activity,
            established: false,
            patience,
            stalled: None,
        }
    }

    /// What a write has come to, with an end to its waiting.
    fn written<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.patience;
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the peer has stopped reading",
        )))
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for WatchedIo<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        if !self.established {
            let read = buffer.filled().len() - before;
            let total = self.activity.bytes_read.fetch_add(read, Ordering::AcqRel) + read;
            if total >= HANDSHAKE_BYTES {
                self.established = true;
                self.activity.established.notify_one();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for WatchedIo<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.written(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    // TLS takes a write into its own buffer, and only a flush shows that nothing leaves.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.written(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.io).poll_shutdown(cx);
        self.written(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_beside_the_calls_take_their_connections_seats_and_then_the_shared_ones() {
        let shared = Arc::new(Semaphore::new(2));
        let (one, other) = (Activity::new(), Activity::new());
        let sit = |connection: &Arc<Activity>| {
            let mut stream = connection.open_stream();
            stream.sit_beside(&shared).then_some(stream)
        };
        let mut seated: Vec<_> = (0..OWN_SEATS + 2).map(|_| sit(&one).unwrap()).collect();
        assert!(sit(&one).is_none());
        let others: Vec<_> = (0..OWN_SEATS).map(|_| sit(&other).unwrap()).collect();
        assert!(sit(&other).is_none());
        // An own seat comes back to its connection, a shared one to all.
        drop(seated.remove(0));
        assert!(sit(&other).is_none());
        seated.push(sit(&one).unwrap());
        assert!(sit(&one).is_none());
        drop(seated);
        assert!(sit(&other).is_some());
        drop(others);
        assert!(one.idle_since().is_some() && other.idle_since().is_some());
    }
}
