//! A row of the status table, and the means to provoke it.

use std::{collections::BTreeSet, future::Future};

use http::{Request, header::AUTHORIZATION};
use incidentgate::{failure::Kind, pb::ExecuteResponseActionRequest, sandbox::Fault};
use prost::Message as _;
use tokio::net::TcpListener;

use super::{callers::Callers, draining, read};
use crate::support::{Gateway, RawCall, frame, within};

/// The gateway's own token in [`Gateway::builder`]'s `with_own_token`.
pub(super) const OWN_TOKEN: &str = "gateway-token-marked-as-secret";

/// The keys of `ErrorInfo.metadata` when nothing was known of the call yet.
pub(super) const REFUSED: &[&str] = &["actionOutcome"];
/// … when the request was valid but nothing was sent.
pub(super) const VALID: &[&str] = &["actionOutcome", "clientRequestId"];
/// … when the request left and no answer came.
pub(super) const SENT: &[&str] = &["actionOutcome", "attempts", "clientRequestId"];
/// … when something answered that is not in Graph's dress.
pub(super) const ANSWERED: &[&str] =
    &["actionOutcome", "attempts", "clientRequestId", "httpStatus"];
/// … when Graph answered.
pub(super) const EXPLAINED: &[&str] = &[
    "actionOutcome",
    "attempts",
    "clientRequestId",
    "graphCode",
    "graphRequestId",
    "httpStatus",
];
/// … when Graph named the type of the action.
pub(super) const TYPED: &[&str] = &[
    "actionOutcome",
    "actionType",
    "attempts",
    "clientRequestId",
    "graphCode",
    "graphRequestId",
    "httpStatus",
];

/// One row.
pub(super) struct Row {
    /// What happens.
    pub(super) when: &'static str,
    /// Which kind of failure it covers.
    pub(super) kind: Kind,
    provocation: Provocation,
    status: &'static str,
    metadata: &'static [&'static str],
}

/// What makes a call fail.
pub(super) enum Provocation {
    /// Graph answers so to the caller's token.
    Graph(Fault),
    /// Graph answers so to the gateway's token.
    OwnToken(Fault),
    /// Graph answers so over HTTP/2.
    Http2(Fault),
    /// Graph answers so, and the gateway waits a second for it.
    Impatient(Fault),
    /// Both fields are wrong.
    MalformedFields,
    /// `grpc-timeout` has this value.
    Timeout(&'static str, Fault),
    /// The caller has no token.
    NoToken,
    /// Callers must prove who they are, or their tokens are exchanged, and so they fail.
    Callers(Callers),
    /// One call may be in flight, and one is.
    Overloaded,
    /// The call comes after GOAWAY, which its client has not read yet.
    Draining,
    /// The audit log is on a full disk.
    FullDisk,
    /// Nobody listens at Graph's port.
    NobodyListens,
    /// Whoever listens there closes every connection before TLS is set up.
    NoTls,
    /// Graph's host does not exist.
    UnknownHost,
}

/// What is compared, so that one row's faults all show at once.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    status: String,
    metadata: BTreeSet<String>,
    posts: usize,
}

/// Gateways with the usual configuration: most rows differ in Graph's answer only.
pub(super) struct Stage {
    passthrough: Gateway,
    own_token: Gateway,
    impatient: Gateway,
    http2: Gateway,
}

pub(super) fn row(
    when: &'static str,
    kind: Kind,
    provocation: Provocation,
    status: &'static str,
    metadata: &'static [&'static str],
) -> Row {
    Row {
        when,
        kind,
        provocation,
        status,
        metadata,
    }
}

// === impl Stage ===

impl Stage {
    pub(super) async fn set() -> Self {
        let impatient = Gateway::single_attempts().with("graph.attempt_timeout", "1s");
        let http2 = Gateway::single_attempts().with("graph.http2_prior_knowledge", "true");
        Self {
            passthrough: Gateway::single_attempts().start().await,
            own_token: Gateway::single_attempts().with_own_token().start().await,
            impatient: impatient.start().await,
            http2: http2.start().await,
        }
    }
}

// === impl Row ===

impl Row {
    pub(super) fn expected(&self) -> Seen {
        Seen {
            status: self.status.to_owned(),
            metadata: self.metadata.iter().map(|&key| key.to_owned()).collect(),
            posts: usize::from(self.metadata.contains(&"attempts")),
        }
    }

    pub(super) async fn provoke(&self, stage: &Stage) -> Seen {
        match &self.provocation {
            Provocation::Graph(fault) => self.answered(&stage.passthrough, fault, &[]).await,
            Provocation::OwnToken(fault) => self.answered(&stage.own_token, fault, &[]).await,
            Provocation::Http2(fault) => self.answered(&stage.http2, fault, &[]).await,
            Provocation::Impatient(fault) => self.answered(&stage.impatient, fault, &[]).await,
            Provocation::Timeout(timeout, fault) => {
                let headers = [("grpc-timeout", *timeout)];
                self.answered(&stage.passthrough, fault, &headers).await
            }
            Provocation::MalformedFields => {
                self.posting(&stage.passthrough, async |gateway| {
                    let message = ExecuteResponseActionRequest {
                        incident_task_id: "..".to_owned(),
                        client_request_id: "not a guid".to_owned(),
                    };
                    RawCall::execute_message(gateway, &message, &[]).await
                })
                .await
            }
            Provocation::NoToken => {
                self.posting(&stage.passthrough, async |gateway| {
                    let (request, message) = without_token(gateway);
                    RawCall::send(gateway, request, frame(&message)).await
                })
                .await
            }
            Provocation::Callers(callers) => {
                let (gateway, (name, value)) = callers.set().await;
                let mut seen = self
                    .posting(&gateway, async |gateway| {
                        RawCall::execute(gateway, "213213", &[(name, &value)]).await
                    })
                    .await;
                // The gateway asks for what it needs when it starts, and a wait after that
                // may have begun a moment before the call.
                if let Some((status, seconds)) = delay(&seen.status) {
                    seen.status = format!("{status}RetryInfo {}s", seconds.ceil());
                }
                seen
            }
            Provocation::Overloaded => self.overloaded().await,
            Provocation::Draining => {
                let gateway = Gateway::single_attempts().start().await;
                self.posting(&gateway, draining::late_call).await
            }
            Provocation::FullDisk => {
                let gateway = Gateway::single_attempts()
                    .with("audit.sink", "file")
                    .with("audit.file", "/dev/full");
                self.posting(&gateway.start().await, plain).await
            }
            Provocation::NobodyListens => {
                let gateway = Gateway::single_attempts().start().await;
                gateway.sandbox.shutdown().await;
                self.posting(&gateway, plain).await
            }
            Provocation::NoTls => {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let url = format!("https://{}/beta", listener.local_addr().unwrap());
                let closing = tokio::spawn(async move { while listener.accept().await.is_ok() {} });
                let gateway = Gateway::single_attempts().with_graph(url).start().await;
                let seen = self.posting(&gateway, plain).await;
                closing.abort();
                seen
            }
            Provocation::UnknownHost => {
                let gateway = Gateway::single_attempts().with_graph("https://graph.invalid/beta");
                self.posting(&gateway.start().await, plain).await
            }
        }
    }

    async fn answered(&self, gateway: &Gateway, fault: &Fault, headers: &[(&str, &str)]) -> Seen {
        gateway.sandbox.script("213213", [fault.clone()]);
        let seen = self
            .posting(gateway, async |gateway| {
                RawCall::execute(gateway, "213213", headers).await
            })
            .await;
        // Also takes away a fault that was not consumed.
        gateway.sandbox.reset();
        seen
    }

    async fn overloaded(&self) -> Seen {
        let gateway = Gateway::single_attempts()
            .with("server.max_in_flight", "1")
            .with("server.max_waiting", "0")
            .start()
            .await;
        gateway.sandbox.script("213213", [Fault::hold()]);
        let second = async {
            gateway.sandbox.wait_for_posts("213213", 1).await;
            let seen = self
                .posting(&gateway, async |gateway| {
                    RawCall::execute(gateway, "213214", &[]).await
                })
                .await;
            gateway.sandbox.release("213213");
            seen
        };
        let (first, mut seen) =
            within(async { tokio::join!(gateway.execute("213213"), second) }).await;
        first.unwrap();
        let (status, seconds) = delay(&seen.status).unwrap();
        assert!((1.0..2.0).contains(&seconds), "{}", seen.status);
        seen.status = format!("{status}RetryInfo 1s to 2s");
        seen
    }

    /// Makes a call and counts the POSTs that it causes.
    async fn posting<'a, F>(
        &self,
        gateway: &'a Gateway,
        call: impl FnOnce(&'a Gateway) -> F,
    ) -> Seen
    where
        F: Future<Output = RawCall>,
    {
        let before = gateway.sandbox.posts("*");
        let contract = read(&Box::pin(call(gateway)).await);
        let posts = gateway.sandbox.posts("*") - before;
        let attempts = contract.metadata.get("attempts").map(String::as_str);
        assert_eq!(attempts.unwrap_or("0"), posts.to_string(), "{}", self.when);
        Seen {
            status: contract.to_string(),
            metadata: contract.metadata.into_keys().collect(),
            posts,
        }
    }
}

async fn plain(gateway: &Gateway) -> RawCall {
    RawCall::execute(gateway, "213213", &[]).await
}

fn without_token(gateway: &Gateway) -> (Request<()>, Vec<u8>) {
    let mut request = RawCall::request(gateway);
    request.headers_mut().remove(AUTHORIZATION);
    let message = ExecuteResponseActionRequest {
        incident_task_id: "213213".to_owned(),
        client_request_id: String::new(),
    };
    (request, message.encode_to_vec())
}

/// What stands before the delay of a `RetryInfo`, and the delay in seconds.
fn delay(status: &str) -> Option<(&str, f64)> {
    let (status, delay) = status.rsplit_once("RetryInfo ")?;
    let seconds = match delay.strip_suffix("ms") {
        Some(milliseconds) => milliseconds.parse::<f64>().unwrap() / 1000.0,
        None => delay.strip_suffix('s').unwrap().parse().unwrap(),
    };
    Some((status, seconds))
}
