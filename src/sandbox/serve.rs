//! One request to the Graph half, from its head to its answer or to what its fault makes of it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap};
use http::{Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;

use super::Options;
use super::connection::{Cut, Line};
use super::fault::{Act, End, Pace, Reply, head};
use super::journal::{Answer, Entry, bearer};
use super::operation::Operation;
use super::verdict::{Ids, Verdict};
use super::world::{Received, Ticket, World};

/// The documented operations have no body, so anything near this is a mistake.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// The pause before a body breaks off. Breaking it at once would also discard the bytes
/// that were not sent yet.
const SETTLE: Duration = Duration::from_millis(50);

/// Answers a request, unless its fault is that nobody does.
pub(super) async fn serve(
    world: Arc<World>,
    line: Line,
    request: Request<Incoming>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let ids = Ids::of(&parts.headers);
    let operation = Operation::parse(&parts.method, parts.uri.path());
    let refusal = refuse(&world.options, &parts.headers);
    let known = operation.as_ref().ok();
    let entry = Entry::new(&parts, line.id, known.and_then(Operation::task));
    let Received {
        ticket,
        fault,
        released,
    } = world.receive(entry, known);

    if !fault.is_reset_at_head() {
        match read(body).await {
            Ok(length) => ticket.read(length),
            Err(refusal) => return finish(&ticket, refusal.dress(&ids)),
        }
    }
    let judge = || match (&refusal, &operation) {
        (Some(refusal), _) | (None, Err(refusal)) => refusal.clone(),
        (None, Ok(operation)) => world.judge(operation, ticket.seq),
    };
    let judged = fault.commit.then(judge);
    if let Some(released) = released {
        released.await.ok();
    }
    if !fault.delay.is_zero() {
        tokio::time::sleep(fault.delay).await;
    }
    let verdict = match fault.act {
        // A choice was drawn when it was scripted, so none arrives here.
        Act::OneOf(_) => judged.unwrap_or_else(judge),
        Act::Answer { headers } => judged.unwrap_or_else(judge).with(headers),
        Act::Error {
            status,
            code,
            message,
            headers,
        } => Verdict::error(status, code, message).with(headers),
        Act::Throttle { retry_after, .. } => {
            Verdict::error(429, "TooManyRequests", "Please retry again later.")
                .with([("Retry-After".to_owned(), retry_after.to_string())])
        }
        Act::Reply(reply) => return send(reply, ticket),
        Act::Hang => {
            ticket.answer(Answer::Hang);
            return hang(ticket).await;
        }
        Act::Reset => return cut(ticket, Answer::Reset, &line, Cut::Reset).await,
        Act::Close => return cut(ticket, Answer::Close, &line, Cut::Close(Vec::new())).await,
        Act::Garbage(bytes) => return cut(ticket, Answer::Garbage, &line, Cut::Close(bytes)).await,
    };
    finish(&ticket, verdict.dress(&ids))
}

/// Why the caller is not let in, if so.
fn refuse(options: &Options, headers: &HeaderMap) -> Option<Verdict> {
    let token = headers
        .get(AUTHORIZATION)
        .and_then(bearer)
        .filter(|token| !token.is_empty());
    let Some(token) = token else {
        return Some(Verdict::unauthenticated("Access token is empty."));
    };
    let accepted = options
        .tokens
        .as_ref()
        .is_none_or(|tokens| tokens.iter().any(|known| known.as_bytes() == token));
    (!accepted).then(|| Verdict::unauthenticated("Access token validation failure."))
}

async fn read(body: Incoming) -> Result<usize, Verdict> {
    match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes().len()),
        Err(error) if error.is::<LengthLimitError>() => Err(Verdict::error(
            413,
            "RequestEntityTooLarge",
            "The request is too large.",
        )),
        Err(_) => Err(Verdict::error(
            400,
            "BadRequest",
            "The request's body could not be read.",
        )),
    }
}

fn finish(ticket: &Ticket, response: Result<Response<Body>, String>) -> Response<Body> {
    let response = response.unwrap_or_else(|mistake| misscripted(&mistake));
    ticket.answer(Answer::Status(response.status().as_u16()));
    response
}

/// A script that cannot be sent: loud, and nothing that Graph would say.
fn misscripted(mistake: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!(
        "the sandbox cannot send this fault: {mistake}"
    )));
    *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
    response
}

/// Breaks the connection. The journal knows before the peer does.
async fn cut(ticket: Ticket, answer: Answer, line: &Line, cut: Cut) -> Response<Body> {
    ticket.answer(answer);
    drop(ticket);
    line.cut(cut).await
}

/// Never returns; the ticket is given back when the caller leaves.
async fn hang<T>(_ticket: Ticket) -> T {
    std::future::pending().await
}

fn send(reply: Reply, ticket: Ticket) -> Response<Body> {
    let head = match head(reply.status, &reply.headers) {
        Ok(head) => head,
        Err(mistake) => return finish(&ticket, Err(mistake)),
    };
    ticket.answer(Answer::Status(reply.status));
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
        Some(pace) => Drip::body(reply.body.into(), pace, ticket),
        None => Body::from(reply.body),
    };
    head.map(|()| body)
}

/// A body on its way, in pieces.
struct Drip {
    whole: Bytes,
    rest: Bytes,
    pace: Pace,
    is_first: bool,
    _ticket: Ticket,
}

impl Drip {
    fn body(whole: Bytes, pace: Pace, ticket: Ticket) -> Body {
        let drip = Drip {
            rest: whole.clone(),
            whole,
            pace,
            is_first: true,
            _ticket: ticket,
        };
        Body::from_stream(stream::unfold(drip, async |mut drip: Drip| {
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
