//! The streams of one HTTP/2 connection, as far as a GOAWAY has to tell the truth about
//! them: it leaves out only what Graph has not begun to handle and never will.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// The kind of a GOAWAY frame (RFC 9113, section 6.8).
const GOAWAY: u8 = 0x7;
/// Its payload: the last stream id and the error code.
const GOAWAY_BYTES: u8 = 8;

/// Where the last stream id of a GOAWAY stands, seen from the request that it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LastStream {
    /// Before it: the request is left out, and was not processed.
    Before,
    /// On it: it may have been processed.
    This,
}

/// The streams that Graph has begun to handle, and those that it has given up.
#[derive(Debug)]
pub(super) struct Streams(Mutex<Marks>);

#[derive(Clone, Copy, Debug)]
struct Marks {
    /// The highest that was begun; 0 is none.
    begun: u32,
    /// The last stream id of the GOAWAY. Whatever is above is never begun.
    last: u32,
}

impl Default for Streams {
    fn default() -> Streams {
        Streams(Mutex::new(Marks {
            begun: 0,
            last: u32::MAX,
        }))
    }
}

impl Streams {
    /// The id of the n-th request, from 1. A client numbers its streams 1, 3, 5, …, and
    /// they arrive in that order; hyper does not tell the number itself.
    pub(super) fn id(n: u32) -> u32 {
        n.saturating_mul(2).saturating_sub(1)
    }

    /// Marks a stream as handled, unless a GOAWAY has left it out.
    pub(super) fn begin(&self, stream: u32) -> bool {
        self.update(|marks| {
            let wanted = stream <= marks.last;
            if wanted {
                marks.begun = marks.begun.max(stream);
            }
            wanted
        })
    }

    /// The GOAWAY that answers a stream, as a frame. A stream that was begun is never left
    /// out, so the last stream id may be higher than asked for.
    pub(super) fn go_away(&self, stream: u32, last: LastStream, code: u32) -> Vec<u8> {
        let wanted = match last {
            LastStream::Before => stream.saturating_sub(2),
            LastStream::This => stream,
        };
        let last = self.update(|marks| {
            marks.last = marks.last.min(wanted.max(marks.begun));
            marks.last
        });
        let mut frame = vec![0, 0, GOAWAY_BYTES, GOAWAY, 0, 0, 0, 0, 0];
        frame.extend(last.to_be_bytes());
        frame.extend(code.to_be_bytes());
        frame
    }

    fn update<T>(&self, change: impl FnOnce(&mut Marks) -> T) -> T {
        // Two numbers cannot be left half-changed.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_of(frame: &[u8]) -> u32 {
        u32::from_be_bytes(frame[9..13].try_into().unwrap())
    }

    #[test]
    fn requests_have_the_odd_streams() {
        assert_eq!([1, 2, 3].map(Streams::id), [1, 3, 5]);
    }

    #[test]
    fn what_is_left_out_is_never_begun() {
        let streams = Streams::default();
        assert!(streams.begin(1));
        let frame = streams.go_away(5, LastStream::Before, 11);
        assert_eq!(frame, [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 11]);
        for (stream, begins) in [(3, true), (5, false), (7, false)] {
            assert_eq!(streams.begin(stream), begins, "{stream}");
        }
    }

    #[test]
    fn what_was_begun_is_never_left_out() {
        let streams = Streams::default();
        assert!(streams.begin(7));
        assert_eq!(last_of(&streams.go_away(3, LastStream::Before, 0)), 7);
        assert!(streams.begin(5) && !streams.begin(9));
    }

    #[test]
    fn the_last_stream_id_is_as_asked_and_never_rises() {
        for (stream, last, id) in [
            (1, LastStream::Before, 0),
            (1, LastStream::This, 1),
            (7, LastStream::Before, 5),
            (7, LastStream::This, 7),
        ] {
            let streams = Streams::default();
            assert_eq!(last_of(&streams.go_away(stream, last, 0)), id);
            assert_eq!(last_of(&streams.go_away(9, LastStream::This, 0)), id);
        }
    }
}
