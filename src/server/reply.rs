//! A response on its way out.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::{Frame, SizeHint};
use http_body_util::{Full, StreamBody};
use tokio::{sync::OwnedSemaphorePermit, time::Sleep};
use tokio_util::task::task_tracker::TaskTrackerToken;
use tonic::{Code, Status, body::Body};

use super::{observation::Observation, wire::OpenStream};
use crate::rpc::Place;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
pub(super) const GRPC_STATUS_DETAILS: HeaderName =
    HeaderName::from_static("grpc-status-details-bin");

/// The body of every response. Whatever a call holds is released, and its
/// observation ends, when the last frame has left or the caller is gone.
#[derive(Debug)]
pub(super) struct ReplyBody {
    inner: Body,
    deadline: Option<Pin<Box<Sleep>>>,
    observation: Option<Observation>,
    ended: bool,
    _held: Held,
}

/// What a call holds while it lasts.
#[derive(Debug)]
pub(super) struct Held {
    /// Its stream: the connection is not idle.
    pub(super) stream: OpenStream,
    /// Its part of the calls that may be open. An answer that its caller does not take
    /// costs memory, too.
    pub(super) open: Option<OwnedSemaphorePermit>,
    /// The place of a page, which costs memory until its caller has taken it.
    pub(super) page: Option<Place>,
    /// Its place among the calls that a drain waits for.
    pub(super) call: Option<TaskTrackerToken>,
}

/// The code of the status in headers or trailers, if there is one there.
pub(super) fn code(headers: &HeaderMap) -> Option<Code> {
    let code = headers.get(GRPC_STATUS)?;
    Some(Code::from_bytes(code.as_bytes()))
}

/// Keeps what differs from answer to answer out of HTTP/2's compression table (RFC 7541,
/// section 6.2.3), where it would never be found again, and would push out what is.
pub(super) fn leave_out_of_table(headers: &mut HeaderMap) {
    for name in [GRPC_MESSAGE, GRPC_STATUS_DETAILS] {
        if let Some(value) = headers.get_mut(name) {
            value.set_sensitive(true);
        }
    }
}

/// Sends the status behind the headers instead of in them.
///
/// A status in the headers ("Trailers-Only") lets proxies with gRPC retry
/// conditions replay the call, and lets a client library retry it; after
/// Response-Headers a call is committed (gRFC A6).
pub(super) fn commit(response: Response<Body>) -> Response<Body> {
    let (mut parts, _) = response.into_parts();
    let mut headers = HeaderMap::with_capacity(1);
    if let Some(content_type) = parts.headers.remove(header::CONTENT_TYPE) {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    let trailers = std::mem::replace(&mut parts.headers, headers);
    let frame = Ok::<_, Status>(Frame::trailers(trailers));
    let body = Body::new(StreamBody::new(futures_util::stream::iter([frame])));
    Response::from_parts(parts, body)
}

/// An answer to a request that is not gRPC.
pub(super) fn plain(
    status: StatusCode,
    header: (header::HeaderName, &'static str),
    text: &'static str,
    held: Held,
) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::new(
        Body::new(Full::new(Bytes::from_static(text.as_bytes()))),
        None,
        held,
    ));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header.0, HeaderValue::from_static(header.1));
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

// === impl ReplyBody ===

impl ReplyBody {
    pub(super) fn new(inner: Body, observation: Option<Observation>, held: Held) -> Self {
        Self {
            inner,
            deadline: None,
            observation,
            ended: false,
            _held: held,
        }
    }

    /// Ends a stream that is still open then with `DEADLINE_EXCEEDED`.
    #[must_use]
    pub(super) fn until(mut self, deadline: Sleep) -> Self {
        self.deadline = Some(Box::pin(deadline));
        self
    }

    fn end(&mut self, code: Code) {
        self.ended = true;
        if let Some(observation) = self.observation.take() {
            observation.end(code);
        }
    }
}

impl http_body::Body for ReplyBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            let status = Status::deadline_exceeded("the deadline passed");
            self.end(Code::DeadlineExceeded);
            let mut trailers = HeaderMap::new();
            return Poll::Ready(Some(
                status
                    .add_header(&mut trailers)
                    .map(|()| Frame::trailers(trailers)),
            ));
        }
        let mut frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &mut frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    let code = code(trailers).unwrap_or(Code::Ok);
                    if code != Code::Ok {
                        leave_out_of_table(trailers);
                    }
                    self.end(code);
                }
            }
            // A body without trailers belongs to a status that was in the headers.
            None => self.end(Code::Ok),
            Some(Err(status)) => {
                let code = status.code();
                self.end(code);
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
