//! What Graph, and what stands before it, has been seen or documented to answer.
//! Each reply goes over a real socket, and through the pure classification alone.

mod documented;
mod proxies;
mod seen;
mod shapes;

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use incidentgate::{
    authorization::TokenOwner,
    failure::Effect,
    graph::classify::{BodyEnd, Reply, classify},
    pb::ExecuteResponseActionResponse,
    rpc::status,
    sandbox::{Act, End, Fault, Pace, Reply as Scripted},
};

use super::{read, row::OWN_TOKEN};
use crate::support::{Contract, Gateway, RawCall, TOKEN};

/// One reply, and what the caller is told.
struct Fixture {
    name: &'static str,
    status: u16,
    headers: Vec<(&'static str, Cow<'static, str>)>,
    body: Vec<u8>,
    transport: Transport,
    owner: TokenOwner,
    /// The row of the status table; for a success [`told`]'s line.
    want: &'static str,
    /// What the message says.
    says: &'static str,
    /// What nothing of the answer says.
    hides: Vec<&'static str>,
    /// What `ErrorInfo.metadata` holds.
    holds: Vec<(&'static str, &'static str)>,
}

/// How the reply travels.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    /// As the pure classification sees it.
    Plain,
    /// The HTTP client changes the body before it is classified.
    Encoded,
    /// The body breaks off.
    BrokenOff,
    /// Status and headers are in `body`, too: bytes that no HTTP library would send.
    Raw,
}

fn reply(name: &'static str, status: u16, body: impl Into<Vec<u8>>) -> Fixture {
    Fixture {
        name,
        status,
        headers: Vec::new(),
        body: body.into(),
        transport: Transport::Plain,
        owner: TokenOwner::Caller,
        want: "",
        says: "",
        hides: Vec::new(),
        holds: Vec::new(),
    }
}

/// A reply with Graph's JSON.
fn json(name: &'static str, status: u16, body: &'static str) -> Fixture {
    reply(name, status, body).with("Content-Type", "application/json")
}

/// Bytes in place of a whole HTTP/1.1 answer.
fn raw(name: &'static str, bytes: &'static str) -> Fixture {
    Fixture {
        transport: Transport::Raw,
        ..reply(name, 0, bytes)
    }
}

#[tokio::test]
async fn every_reply_is_told_to_the_caller_as_what_it_is() {
    let fixtures: Vec<Fixture> = [
        documented::fixtures(),
        seen::fixtures(),
        proxies::fixtures(),
        shapes::fixtures(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut wrong = Vec::new();
    for (owner, builder) in [
        (TokenOwner::Caller, Gateway::single_attempts()),
        (
            TokenOwner::Gateway,
            Gateway::single_attempts().with_own_token(),
        ),
    ] {
        let mut gateway = builder.start().await;
        for fixture in fixtures.iter().filter(|fixture| fixture.owner == owner) {
            for seen in [Some(fixture.over_the_wire(&gateway).await), fixture.alone()] {
                if let Some(seen) = seen
                    && seen != fixture.want
                {
                    wrong.push((fixture.name, fixture.want, seen));
                }
            }
        }
        gateway.stop().await;
        for secret in [TOKEN, OWN_TOKEN] {
            assert!(!gateway.log_text().contains(secret));
        }
    }
    assert!(wrong.is_empty(), "(reply, expected, seen): {wrong:#?}");
}

impl Fixture {
    fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// It is the gateway's token that Graph was shown.
    fn for_the_own_token(mut self) -> Self {
        self.owner = TokenOwner::Gateway;
        self
    }

    /// The body is not what the classification gets to see.
    fn encoded(mut self, encoding: &'static str) -> Self {
        self.transport = Transport::Encoded;
        self.with("Content-Encoding", encoding)
    }

    /// The connection breaks after the body.
    fn broken_off(mut self) -> Self {
        self.transport = Transport::BrokenOff;
        self
    }

    fn is(mut self, want: &'static str) -> Self {
        self.want = want;
        self
    }

    fn says(mut self, part: &'static str) -> Self {
        self.says = part;
        self
    }

    fn hides(mut self, text: &'static str) -> Self {
        self.hides.push(text);
        self
    }

    fn holds(mut self, key: &'static str, value: &'static str) -> Self {
        self.holds.push((key, value));
        self
    }

    fn fault(&self) -> Fault {
        if self.transport == Transport::Raw {
            return Fault::garbage(self.body.clone());
        }
        let pace = Pace {
            chunk: self.body.len().max(1),
            every: Duration::ZERO,
            then: End::Break,
        };
        let headers = self.headers.iter();
        Fault {
            act: Act::Reply(Scripted {
                status: self.status,
                headers: headers
                    .map(|(name, value)| ((*name).to_owned(), value.clone().into_owned()))
                    .collect(),
                body: self.body.clone(),
                pace: (self.transport == Transport::BrokenOff).then_some(pace),
            }),
            ..Fault::default()
        }
    }

    async fn over_the_wire(&self, gateway: &Gateway) -> String {
        gateway.sandbox.clear_journal();
        gateway.sandbox.script("213213", [self.fault()]);
        let call = RawCall::execute(gateway, "213213", &[]).await;
        // One request, whatever it was answered, and none to where it pointed.
        assert_eq!(gateway.sandbox.journal().len(), 1, "{}", self.name);
        let status = call.grpc_status();
        for hidden in &self.hides {
            assert!(
                !format!("{status:?}{call:?}").contains(hidden),
                "{}",
                self.name
            );
        }
        if status.code() == tonic::Code::Ok {
            return told(&call.message());
        }
        let contract = read(&call);
        self.check(&contract, status.message());
        contract.to_string()
    }

    /// The same by the pure functions, where they can see the same.
    fn alone(&self) -> Option<String> {
        // Tokens are taken away before, by the one that has sent them.
        if String::from_utf8_lossy(&self.body).contains("marked-as-secret") {
            return None;
        }
        let body_end = match self.transport {
            Transport::Plain if self.body.len() > 64 * 1024 => BodyEnd::TooLong,
            Transport::Plain => BodyEnd::Complete,
            Transport::BrokenOff => BodyEnd::Lost,
            Transport::Encoded | Transport::Raw => return None,
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(name.parse::<HeaderName>().unwrap(), value);
        }
        let failure = classify(&Reply {
            status: StatusCode::from_u16(self.status).unwrap(),
            headers: &headers,
            body: &self.body[..self.body.len().min(64 * 1024)],
            body_end,
            token_owner: self.owner,
            effect: Effect::Action,
            now: SystemTime::now(),
        })
        .err()?;
        let status = status::from_failure(failure);
        let contract = Contract::of(&status);
        self.check(&contract, status.message());
        Some(contract.to_string())
    }

    fn check(&self, contract: &Contract, message: &str) {
        assert!(message.contains(self.says), "{}: {message}", self.name);
        for (key, value) in &self.holds {
            let held = contract.metadata.get(*key).map(String::as_str);
            assert_eq!(held, Some(*value), "{}: {key}", self.name);
        }
    }
}

/// A success in one line: `OK request-id | vendor/provider/status/latency, …`.
fn told(response: &ExecuteResponseActionResponse) -> String {
    let warnings: Vec<String> = response
        .provider_warnings
        .iter()
        .map(|warning| {
            let latency = warning.latency.as_ref();
            let latency = latency.map(|took| format!("{took}"));
            format!(
                "{}/{}/{}/{}",
                warning.vendor,
                warning.provider,
                warning.status_code,
                latency.unwrap_or_default()
            )
        })
        .collect();
    format!("OK {} | {}", response.graph_request_id, warnings.join(", "))
}
