//! Reading a reply's body: never more than a cap, never longer than allowed.

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, timeout_at};

/// The most bytes of a body that are read, unless it is a list. Graph's errors are under
/// 2 KiB.
pub(super) const MAX_BODY_BYTES: usize = 64 * 1024;

/// A body as far as it came.
#[derive(Debug)]
pub(super) struct CappedBody {
    pub(super) bytes: Bytes,
    pub(super) end: BodyEnd,
}

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyEnd {
    /// Regularly.
    Complete,
    /// It was longer than the cap; the rest was not read.
    TooLong,
    /// The connection broke, the time was up, or the encoding was faulty.
    Lost,
}

impl CappedBody {
    /// The body of an answer that has none.
    pub(super) fn empty() -> Self {
        Self {
            bytes: Bytes::new(),
            end: BodyEnd::Complete,
        }
    }
}

/// Reads until the body ends, `max` bytes are reached or `until` has passed.
pub(super) async fn read(
    mut response: reqwest::Response,
    until: Instant,
    max: usize,
) -> CappedBody {
    let mut collected = BytesMut::new();
    let end = loop {
        match timeout_at(until, response.chunk()).await {
            Ok(Ok(Some(chunk))) => {
                let room = max - collected.len();
                collected.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() > room {
                    break BodyEnd::TooLong;
                }
            }
            // hyper takes a stream that is reset with NO_ERROR for one that has ended; what
            // is left of the announced length says otherwise.
            Ok(Ok(None)) if response.content_length().unwrap_or(0) > 0 => break BodyEnd::Lost,
            Ok(Ok(None)) => break BodyEnd::Complete,
            Ok(Err(_)) | Err(_) => break BodyEnd::Lost,
        }
    };
    CappedBody {
        bytes: collected.freeze(),
        end,
    }
}
