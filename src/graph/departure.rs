//! How far a request got: whether it may have left for Graph.
//!
//! HTTP libraries tell this badly: an error names what broke, not whether the
//! request was on the wire by then. But the connection asks the request's body
//! whether it is empty exactly once, immediately before it writes the head, and
//! a request that never finds a connection drops its body unasked. So the body
//! itself is the witness, for HTTP/1.1 and HTTP/2 alike.
//!
//! Over HTTP/2 it witnesses one thing more. hyper hands the request to `h2`, asks the
//! connection once more how it is, and gives the request whatever error it hears. That
//! may be a GOAWAY that speaks of other streams, and this request may be on the wire by
//! then. Only afterwards does hyper read the body, and leave the request to its own
//! stream. So the body says that it is not empty yet, to be read at all; it costs an
//! empty DATA frame.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

const WAITING: u8 = 0;
const LEFT: u8 = 1;
const NEVER_LEFT: u8 = 2;
const READ: u8 = 3;

/// Watches one request. Clones watch the same one.
#[derive(Debug, Clone, Default)]
pub struct Departure(Arc<AtomicU8>);

/// Whether a request has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departed {
    /// It is waiting for a connection, or is just being handed to one.
    NotYet,
    /// It was handed to the wire: it may have arrived.
    Yes,
    /// It was dropped before it was handed to the wire, and never will be.
    Never,
}

/// The empty body that carries the witness.
#[derive(Debug)]
struct WitnessBody(Departure);

// === impl Departure ===

impl Departure {
    /// How far the request has got. [`Departed::Yes`] and [`Departed::Never`] are final.
    pub fn state(&self) -> Departed {
        match self.0.load(Ordering::Acquire) {
            LEFT | READ => Departed::Yes,
            NEVER_LEFT => Departed::Never,
            _ => Departed::NotYet,
        }
    }

    /// Whether an error over HTTP/2 is that of the request's own stream. Final once true;
    /// before, it may be the connection's.
    pub(super) fn has_own_stream(&self) -> bool {
        self.0.load(Ordering::Acquire) == READ
    }

    /// The body to send. One request per departure.
    pub(crate) fn body(&self) -> impl Body<Data = Bytes, Error = Infallible> + use<> {
        WitnessBody(self.clone())
    }

    fn settle(&self, state: u8) {
        // Only the first word counts: a request that has left is dropped later, too.
        let _first = self
            .0
            .compare_exchange(WAITING, state, Ordering::AcqRel, Ordering::Acquire)
            .is_ok();
    }
}

// === impl Departed ===

impl Departed {
    /// The stable label for logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotYet => "not_yet",
            Self::Yes => "yes",
            Self::Never => "never",
        }
    }
}

// === impl WitnessBody ===

impl Body for WitnessBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        // A connection that did not ask first has written the head by now.
        self.0.0.store(READ, Ordering::Release);
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.0.settle(LEFT);
        false
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(0)
    }
}

impl Drop for WitnessBody {
    fn drop(&mut self) {
        self.0.settle(NEVER_LEFT);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use http_body_util::BodyExt as _;

    use super::*;

    #[test]
    fn a_body_that_is_dropped_unasked_never_left() {
        let departure = Departure::default();
        let body = departure.body();
        assert_eq!(departure.state(), Departed::NotYet);
        assert_eq!(body.size_hint().exact(), Some(0));
        drop(body);
        assert_eq!(departure.state(), Departed::Never);
    }

    #[test]
    fn a_body_that_is_read_unasked_has_left() {
        let departure = Departure::default();
        let read = departure.body().frame().now_or_never();
        assert!(matches!(read, Some(None)));
        assert_eq!(departure.state(), Departed::Yes);
        assert!(departure.has_own_stream());
    }

    #[test]
    fn a_body_that_was_asked_has_left_for_good() {
        let departure = Departure::default();
        let body = departure.body();
        assert!(!body.is_end_stream());
        assert_eq!(departure.state(), Departed::Yes);
        drop(body);
        assert_eq!(departure.state(), Departed::Yes);
        assert!(!departure.has_own_stream());
    }
}
