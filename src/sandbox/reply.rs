//! Scripted answers byte by byte, at once or in pieces.

use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::Response;
use http::header::CONTENT_LENGTH;

use super::fault::{End, Pace, Reply, head};

/// The pause before a body breaks off. Breaking it at once would also discard the bytes
/// that were not sent yet.
const SETTLE: Duration = Duration::from_millis(50);

/// The answer as it is sent. Whoever holds the guard is not done with the request: a slow
/// body keeps it to its last byte. A script that cannot be sent gives it back, with what
/// is wrong.
pub(super) fn send<G: Send + 'static>(
    reply: Reply,
    guard: G,
) -> Result<Response<Body>, (String, G)> {
    let head = match head(reply.status, &reply.headers) {
        Ok(head) => head,
        Err(mistake) => return Err((mistake, guard)),
    };
    // A body of known length would contradict a scripted Content-Length, and the server
    // would notice.
    let whole = Pace {
        chunk: reply.body.len(),
        every: Duration::ZERO,
        then: End::Complete,
    };
    let pace = reply
        .pace
        .or_else(|| head.headers().contains_key(CONTENT_LENGTH).then_some(whole));
    let body = match pace {
        Some(pace) => Drip::body(reply.body.into(), pace, guard),
        None => Body::from(reply.body),
    };
    Ok(head.map(|()| body))
}

/// A script that cannot be sent: loud, and nothing that Graph would say.
pub(super) fn misscripted(mistake: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!(
        "the sandbox cannot send this fault: {mistake}"
    )));
    *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
    response
}

/// A body on its way, in pieces.
struct Drip<G> {
    whole: Bytes,
    rest: Bytes,
    pace: Pace,
    is_first: bool,
    _guard: G,
}

impl<G: Send + 'static> Drip<G> {
    fn body(whole: Bytes, pace: Pace, guard: G) -> Body {
        let drip = Drip {
            rest: whole.clone(),
            whole,
            pace,
            is_first: true,
            _guard: guard,
        };
        Body::from_stream(stream::unfold(drip, async |mut drip: Drip<G>| {
            drip.next().await.map(|piece| (piece, drip))
        }))
    }

    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.rest.is_empty() {
            match self.pace.then {
                End::Complete => return None,
                End::Break => {
                    tokio::time::sleep(self.pace.every.max(SETTLE)).await;
                    return Some(Err(io::Error::other("broken off as scripted")));
                }
                End::Repeat if !self.whole.is_empty() => self.rest = self.whole.clone(),
                End::Repeat | End::Hang => std::future::pending().await,
            }
        }
        if !std::mem::take(&mut self.is_first) {
            tokio::time::sleep(self.pace.every).await;
        }
        let length = self.pace.chunk.clamp(1, self.rest.len());
        Some(Ok(self.rest.split_to(length)))
    }
}
