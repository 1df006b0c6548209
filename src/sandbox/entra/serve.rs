//! One request to the Entra half, from its head to its answer or to what its fault makes of it.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Collected, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::Entra;
use super::aadsts::{Ids, Refusal, json_response};
use super::authority::{Authority, Endpoint};
use super::entry::EntraEntry;
use super::fault::{EntraAct, EntraFault};
use super::form::Form;
use super::ticket::{Arrival, Ticket};
use crate::sandbox::connection::{Cut, Line};
use crate::sandbox::fault::{Headers, Reply, head};
use crate::sandbox::journal::Answer;
use crate::sandbox::reply::{self, misscripted};

/// A form with two assertions, each as long as the longest header.
const MAX_BODY_BYTES: usize = 256 * 1024;
/// What some network says before it lets anybody through.
const PAGE: &str = "<!DOCTYPE html><html><title>Sign in to the network</title></html>";

/// A request that was received, and all that its answer depends on.
struct Received {
    entra: Arc<Entra>,
    endpoint: Endpoint,
    authority: Authority,
    form: Form,
    ids: Ids,
    /// Why it is refused whatever it asks for.
    refusal: Option<Refusal>,
    ticket: Ticket,
}

/// Answers a request, unless its fault is that nobody does.
pub(in crate::sandbox) async fn serve(
    entra: Arc<Entra>,
    line: Line,
    (endpoint, tenant): (Endpoint, String),
    request: Request<Incoming>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
    let refusal = match &body {
        Ok(_) => endpoint.check(&parts.method).err(),
        Err(_) => Some(Refusal::new(9_002_313)),
    };
    let body = body.map(Collected::to_bytes).unwrap_or_default();
    let form = Form::read(&parts.headers, &body);
    let record = EntraEntry::new(line.id, endpoint, &parts.method, &tenant, &form);
    let Arrival {
        ticket,
        fault,
        released,
    } = entra.receive(record);
    let received = Received {
        authority: Authority::of(&parts.uri, &parts.headers, tenant),
        ids: Ids::of(&parts.headers),
        entra,
        endpoint,
        form,
        refusal,
        ticket,
    };
    if let Some(released) = released {
        released.await.ok();
    }
    if !fault.delay.is_zero() {
        tokio::time::sleep(fault.delay).await;
    }
    // A GOAWAY that has left it out promised that nobody answers.
    line.begin().await;
    received.act(fault, &line).await
}

impl Received {
    async fn act(self, fault: EntraFault, line: &Line) -> Response<Body> {
        let (answer, headers) = match fault.act {
            EntraAct::Answer { headers } => (self.answer(None).await, headers),
            EntraAct::Lifetime { expires_in } => {
                (self.answer(Some(expires_in)).await, Headers::new())
            }
            EntraAct::Aadsts {
                code,
                claims,
                headers,
            } => (Err(Refusal::new(code).with_claims(claims)), headers),
            EntraAct::Throttle { retry_after } => {
                let refusal = Refusal::new(90_055).with_header("Retry-After", &retry_after);
                (Err(refusal), Headers::new())
            }
            EntraAct::NoToken => (Ok(json!({"token_type": "Bearer"})), Headers::new()),
            EntraAct::NotJson => {
                let html = (
                    "Content-Type".to_owned(),
                    "text/html; charset=utf-8".to_owned(),
                );
                return self.send(Reply {
                    headers: vec![html],
                    body: PAGE.into(),
                    ..Reply::default()
                });
            }
            EntraAct::Reply(reply) => return self.send(reply),
            EntraAct::Hang => {
                self.ticket.answer(Answer::Hang);
                return hang(self.ticket).await;
            }
            EntraAct::Reset => return self.cut(line, Answer::Reset, Cut::Reset).await,
            EntraAct::Close => {
                return self.cut(line, Answer::Close, Cut::Close(Vec::new())).await;
            }
            EntraAct::Garbage(bytes) => {
                return self.cut(line, Answer::Garbage, Cut::Close(bytes)).await;
            }
        };
        self.finish(&answer, &headers)
    }

    /// What Entra says to it.
    async fn answer(&self, expires_in: Option<i64>) -> Result<Value, Refusal> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        match self.endpoint {
            Endpoint::Discovery => {
                self.authority.check()?;
                Ok(self.authority.metadata())
            }
            Endpoint::Keys => {
                self.authority.check()?;
                let keys = self.entra.published(&self.authority).await;
                keys.map_err(|_| Refusal::new(50_000))
            }
            Endpoint::Token => {
                let Received {
                    entra,
                    authority,
                    form,
                    ticket,
                    ..
                } = self;
                entra.grant(form, authority, expires_in, ticket).await
            }
        }
    }

    fn finish(&self, answer: &Result<Value, Refusal>, headers: &Headers) -> Response<Body> {
        let (response, aadsts) = match answer {
            Ok(body) => (Ok(json_response(body, &self.ids)), None),
            Err(refusal) => (refusal.dress(&self.ids), Some(refusal.code)),
        };
        let response = response.and_then(|mut response| {
            let scripted = head(200, headers)?;
            response.headers_mut().extend(scripted.headers().clone());
            Ok(response)
        });
        let response = response.unwrap_or_else(|mistake| misscripted(&mistake));
        self.ticket.refuse(aadsts);
        self.ticket
            .answer(Answer::Status(response.status().as_u16()));
        response
    }

    fn send(self, reply: Reply) -> Response<Body> {
        self.ticket.answer(Answer::Status(reply.status));
        reply::send(reply, self.ticket).unwrap_or_else(|(mistake, ticket)| {
            let response = misscripted(&mistake);
            ticket.answer(Answer::Status(response.status().as_u16()));
            response
        })
    }

    /// Breaks the connection. The journal knows before the peer does.
    async fn cut<T>(self, line: &Line, answer: Answer, cut: Cut) -> T {
        self.ticket.answer(answer);
        drop(self.ticket);
        line.cut(cut).await
    }
}

/// Never returns; the ticket is given back when the caller leaves.
async fn hang<T>(_ticket: Ticket) -> T {
    std::future::pending().await
}
