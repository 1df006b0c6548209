//! The gateway that is attacked: the real binary, with Graph's permissions of its own and
//! callers who must prove who they are; and a good caller who goes on calling.

use std::{io, net::SocketAddr};

use http::Request;
use incidentgate::sandbox::{Endpoint, Mint, Options, Sandbox, Tokens};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream, rustls::pki_types::ServerName};
use tonic::Code;

use crate::support::{EXECUTE, RawCall, Wire, execute_message, head, program::Server, within};

/// What the good caller asks for. There is no such task, so nothing is started either.
pub(super) const GOOD: &str = "asked-for-by-the-good-caller";
/// What every attacker asks for: a task that is ready to start.
pub(super) const TARGET: &str = "213213";
/// What the gateway's certificate is for.
pub(super) const HOST: &str = "127.0.0.1";
/// How much an attack may cost, in KiB, what the allocator keeps included.
pub(super) const EXTRA: usize = 64 * 1024;

type Variables<'a> = &'a [(&'a str, &'a str)];

/// A gateway under attack.
pub(super) struct Fort {
    pub(super) sandbox: Sandbox,
    pub(super) server: Server,
    /// The good caller's.
    pub(super) token: String,
    door: Door,
    resident_kib: usize,
    caller: Option<GoodCaller>,
}

/// The way to the gateway, by TLS or without.
#[derive(Clone)]
pub(super) struct Door {
    addr: SocketAddr,
    tls: Option<TlsConnector>,
}

/// Somebody who calls again and again.
struct GoodCaller {
    stop: watch::Sender<bool>,
    calling: JoinHandle<usize>,
}

// === impl Fort ===

impl Fort {
    /// Callers prove who they are by tokens of the sandbox's Entra.
    pub(super) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// The same with variables.
    pub(super) async fn with(variables: Variables<'_>) -> Self {
        let options = Options {
            tokens: Tokens::Issued,
            ..Options::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sandbox = Sandbox::start(listener, options).await.unwrap();
        let (authority, issuer) = (sandbox.authority(), sandbox.issuer());
        let own = [
            ("INCIDENTGATE_CREDENTIALS__MODE", "application"),
            ("INCIDENTGATE_CREDENTIALS__TENANT", sandbox.tenant()),
            ("INCIDENTGATE_CREDENTIALS__CLIENT_ID", sandbox.client_id()),
            (
                "INCIDENTGATE_CREDENTIALS__CLIENT_SECRET",
                sandbox.client_secret(),
            ),
            ("INCIDENTGATE_CREDENTIALS__AUTHORITY", &authority),
            ("INCIDENTGATE_CALLERS__JWT_ISSUER", &issuer),
            ("INCIDENTGATE_CALLERS__JWT_AUDIENCE", sandbox.client_id()),
            (
                "INCIDENTGATE_POLICY__EXECUTE_RESPONSE_ACTION",
                "role:Execute",
            ),
            ("INCIDENTGATE_AUDIT__SINK", "off"),
            // The line that names the port, and no line for each call.
            ("INCIDENTGATE_LOG__FILTER", "error,incidentgate::cli=info"),
        ];
        let server = Server::before_graph(&sandbox.graph_url(), &[&own, variables].concat());
        let door = Door {
            addr: server.addr,
            tls: None,
        };
        let token = sandbox.mint(allowed()).await.unwrap();
        Self {
            sandbox,
            server,
            token,
            door,
            resident_kib: 0,
            caller: None,
        }
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.server.addr
    }

    /// The good caller comes by TLS.
    pub(super) fn behind_tls(mut self, connector: TlsConnector) -> Self {
        self.door.tls = Some(connector);
        self
    }

    /// A connection as the good caller has one.
    pub(super) async fn wire(&self) -> Wire {
        self.door.wire().await
    }

    /// From now on there is a good caller, and memory counts.
    pub(super) async fn besieged(mut self) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (once, served) = watch::channel(0);
        let calling = call_on(self.door.clone(), self.bearer(), stopped, once);
        self.caller = Some(GoodCaller {
            stop,
            calling: tokio::spawn(calling),
        });
        within(served.clone().wait_for(|calls| *calls >= 3))
            .await
            .unwrap();
        self.resident_kib = self.server.program.resident_kib();
        self
    }

    /// `Bearer TOKEN` of a caller who may.
    pub(super) fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    /// A call for the target with this `authorization`.
    pub(super) async fn attempt(&self, authorization: &str) -> RawCall {
        self.send(head(EXECUTE, &[("authorization", authorization)]))
            .await
    }

    /// A call for the target with any head.
    pub(super) async fn send(&self, head: Request<()>) -> RawCall {
        let mut wire = self.wire().await;
        let mut sent = wire.begin(head).await;
        sent.data(execute_message(TARGET), true);
        sent.answer().await.unwrap()
    }

    /// A call that is refused as one of nobody.
    #[track_caller]
    pub(super) fn assert_nobody(call: &RawCall, what: &str) {
        let error = call.error();
        let told = (error.code, &*error.reason, &*error.outcome);
        let nobody = (
            Code::Unauthenticated,
            "CALLER_UNAUTHENTICATED",
            "NOT_STARTED",
        );
        assert_eq!(told, nobody, "{what}");
        assert!(error.details.retry_info().is_none(), "{what}");
    }

    /// How often the issuer's keys were asked for.
    pub(super) fn key_requests(&self) -> usize {
        let entries = self.sandbox.entra_journal().into_iter();
        entries
            .filter(|entry| entry.endpoint == Endpoint::Keys)
            .count()
    }

    /// What the attack has cost so far, in KiB.
    pub(super) fn grown_kib(&self) -> usize {
        self.server
            .program
            .resident_kib()
            .saturating_sub(self.resident_kib)
    }

    /// The attack is over: the good caller was served all the time and still is, Graph
    /// has seen nobody else, and memory is what it was, give or take `extra` KiB.
    pub(super) async fn stands(mut self, extra: usize) {
        let grown = self.grown_kib();
        assert!(grown <= extra, "{grown} KiB");
        if let Some(GoodCaller { stop, calling }) = self.caller.take() {
            stop.send_replace(true);
            within(calling).await.unwrap();
        }
        let mut wire = self.wire().await;
        assert_served(&mut wire, &self.bearer()).await;
        let posts = self
            .sandbox
            .journal()
            .into_iter()
            .filter(|entry| entry.method != "GET");
        let others: Vec<_> = posts
            .filter(|entry| entry.task.as_deref() != Some(GOOD))
            .collect();
        assert!(others.is_empty(), "{others:?}");
        assert_eq!(self.sandbox.posts(TARGET), 0);
        self.server.program.signal("TERM");
        let ended = self.server.program.ended();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(!ended.stderr.contains(&self.token), "a token in the log");
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
}

// === impl Door ===

impl Door {
    async fn wire(&self) -> Wire {
        let Some(tls) = &self.tls else {
            return Wire::connect(self.addr).await;
        };
        let stream = within(shake_hands(self.addr, tls)).await.unwrap();
        Wire::over(stream, 0, 65_535).await
    }
}

/// TLS with the gateway.
pub(super) async fn shake_hands(
    addr: SocketAddr,
    connector: &TlsConnector,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(HOST).unwrap();
    let socket = TcpStream::connect(addr).await?;
    connector.connect(name, socket).await
}

/// A token of somebody who may start actions.
pub(super) fn allowed() -> Mint {
    Mint {
        roles: vec!["Execute".to_owned()],
        ..Mint::default()
    }
}

async fn call_on(
    door: Door,
    bearer: String,
    stopped: watch::Receiver<bool>,
    served: watch::Sender<usize>,
) -> usize {
    let mut calls = 0;
    let mut wire = door.wire().await;
    while !*stopped.borrow() {
        // A connection of its own for every tenth call: new ones are taken, too.
        if calls % 10 == 9 {
            wire = door.wire().await;
        }
        assert_served(&mut wire, &bearer).await;
        calls += 1;
        served.send_replace(calls);
        tokio::task::yield_now().await;
    }
    calls
}

/// A call of somebody who may comes to Graph and back.
async fn assert_served(wire: &mut Wire, bearer: &str) {
    let sent = wire.execute(GOOD, &[("authorization", bearer)]).await;
    let error = sent.answer().await.unwrap().error();
    assert_eq!(
        (error.code, &*error.domain),
        (Code::NotFound, "graph.microsoft.com")
    );
}
