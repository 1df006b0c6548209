//! One request to the Graph half, from its head to its answer or to what its fault makes of it.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use h2::Reason;
use http::header::{AUTHORIZATION, HeaderMap};
use http::{Request, Response, Version};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;

use super::Tokens;
use super::connection::{Cut, Line};
use super::entra::Standing;
use super::fault::{Act, Reply};
use super::journal::{Answer, Entry, bearer};
use super::operation::Operation;
use super::reply::{self, misscripted};
use super::verdict::{Ids, Verdict};
use super::world::{Arrival, Ticket, World};

/// The documented operations have no body, or a small one, so anything near this is a mistake.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// A request that was received, and all that its answer depends on.
struct Received {
    world: Arc<World>,
    line: Line,
    ticket: Ticket,
    ids: Ids,
    /// What it asks for, or why it cannot be told.
    operation: Result<Operation, Verdict>,
    /// Why its caller is not let in.
    refusal: Option<Verdict>,
    /// Whether it came over HTTP/2.
    has_stream: bool,
}

/// Answers a request, unless its fault is that nobody does. An error is the reset of an
/// HTTP/2 stream, with its reason.
pub(super) async fn serve(
    world: Arc<World>,
    line: Line,
    request: Request<Incoming>,
) -> Result<Response<Body>, h2::Error> {
    let (parts, body) = request.into_parts();
    let operation = Operation::parse(&parts.method, &parts.uri);
    let known = operation.as_ref().ok();
    let entry = Entry::new(&parts, line.id, known.and_then(Operation::task));
    let Arrival {
        ticket,
        fault,
        released,
    } = world.receive(entry, known);
    let mut received = Received {
        refusal: refuse(&world, &parts.headers),
        ids: Ids::of(&parts.headers),
        has_stream: parts.version == Version::HTTP_2,
        operation,
        ticket,
        line,
        world,
    };
    if !fault.is_reset_at_head() {
        match read(body).await {
            Ok(body) => {
                received.ticket.read(body.len());
                received.operation = received.operation.map(|known| known.with_body(body));
            }
            Err(refusal) => return Ok(received.finish(refusal)),
        }
    }
    if let Err(mistake) = fault.check() {
        return Ok(finish(&received.ticket, Err(mistake)));
    }
    let mut judged = None;
    if fault.commit {
        // Whoever is not let in starts nothing, and Graph does not say otherwise.
        if let Some(refusal) = &received.refusal {
            return Ok(received.finish(refusal.clone()));
        }
        judged = Some(received.judge(World::judge).await);
    }
    if let Some(released) = released {
        released.await.ok();
    }
    if !fault.delay.is_zero() {
        tokio::time::sleep(fault.delay).await;
    }
    received.act(fault.act, judged).await
}

impl Received {
    /// What Graph says to it. A GOAWAY that has left it out promised that nobody asks.
    async fn judge(&self, judge: fn(&World, &Operation, u64) -> Verdict) -> Verdict {
        self.line.begin().await;
        match (&self.refusal, &self.operation) {
            (Some(refusal), _) | (None, Err(refusal)) => refusal.clone(),
            (None, Ok(operation)) => judge(&self.world, operation, self.ticket.seq),
        }
    }

    async fn act(self, act: Act, judged: Option<Verdict>) -> Result<Response<Body>, h2::Error> {
        let verdict = match act {
            Act::Answer { headers } => match judged {
                Some(verdict) => verdict.with(headers),
                None => self.judge(World::judge).await.with(headers),
            },
            Act::StaleRead => self.judge(World::judge_stale).await,
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
            Act::Reply(reply) => return Ok(send(reply, self.ticket)),
            Act::Hang => {
                self.ticket.answer(Answer::Hang);
                return hang(self.ticket).await;
            }
            Act::Reset => return self.cut(Answer::Reset, Cut::Reset).await,
            Act::Garbage(bytes) => return self.cut(Answer::Garbage, Cut::Close(bytes)).await,
            Act::RefuseStream if self.has_stream => {
                self.ticket.answer(Answer::Refused);
                return Err(Reason::REFUSED_STREAM.into());
            }
            Act::GoAway { last_stream, code } if self.has_stream => {
                let frame = self.line.go_away(last_stream, code);
                return self.cut(Answer::GoAway, Cut::Close(frame)).await;
            }
            // A choice was drawn when it was scripted, so none arrives here.
            Act::Close | Act::RefuseStream | Act::GoAway { .. } | Act::OneOf(_) => {
                return self.cut(Answer::Close, Cut::Close(Vec::new())).await;
            }
        };
        Ok(self.finish(verdict))
    }

    fn finish(&self, verdict: Verdict) -> Response<Body> {
        finish(&self.ticket, verdict.dress(&self.ids))
    }

    /// Breaks the connection. The journal knows before the peer does.
    async fn cut<T>(self, answer: Answer, cut: Cut) -> T {
        self.ticket.answer(answer);
        drop(self.ticket);
        self.line.cut(cut).await
    }
}

/// Why the caller is not let in, if so.
fn refuse(world: &World, headers: &HeaderMap) -> Option<Verdict> {
    let token = headers
        .get(AUTHORIZATION)
        .and_then(bearer)
        .filter(|token| !token.is_empty());
    let Some(token) = token else {
        return Some(Verdict::unauthenticated("Access token is empty."));
    };
    let refusal = || Verdict::unauthenticated("Access token validation failure.");
    let tokens = &world.options.tokens;
    if let Tokens::Only(tokens) = tokens {
        let accepted = tokens.iter().any(|known| known.as_bytes() == token);
        return (!accepted).then(refusal);
    }
    match world.entra.standing(token) {
        Standing::Good => None,
        Standing::Refused(verdict) => Some(verdict),
        Standing::Foreign => matches!(tokens, Tokens::Issued).then(refusal),
    }
}

async fn read(body: Incoming) -> Result<Bytes, Verdict> {
    match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes()),
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

/// Never returns; the ticket is given back when the caller leaves.
async fn hang<T>(_ticket: Ticket) -> T {
    std::future::pending().await
}

fn send(reply: Reply, ticket: Ticket) -> Response<Body> {
    let status = reply.status;
    ticket.answer(Answer::Status(status));
    reply::send(reply, ticket).unwrap_or_else(|(mistake, ticket)| finish(&ticket, Err(mistake)))
}
