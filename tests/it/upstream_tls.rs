//! What the gateway shows to Graph, whom it believes, and the proxy between.

mod proxy;

use std::sync::{Arc, Mutex};

use tokio::{net::TcpStream, sync::watch};
use tokio_rustls::TlsAcceptor;
use tonic::Code;

use crate::support::{
    ANY_TLS, Answer, Authority, Gateway, Issued, Stub, TLS_1_2, TLS_1_3, TlsFolder, answer, points,
    stub, within,
};

const HOST: &str = "127.0.0.1";
const USED: &str = "changed files are in use";
const REFUSED: &str = "changed files are of no use";

/// A Graph that speaks HTTP/1.1 over TLS, and answers each POST once the gate is open.
struct Graph {
    stub: Stub,
    /// What each connection has shown: the certificate, or nothing.
    shown: Arc<Mutex<Vec<Option<Vec<u8>>>>>,
    gate: watch::Sender<bool>,
    acceptor: watch::Sender<TlsAcceptor>,
}

// === impl Graph ===

impl Graph {
    async fn start(acceptor: TlsAcceptor) -> Self {
        let shown = Arc::<Mutex<Vec<_>>>::default();
        let (gate, acceptor) = (watch::Sender::new(true), watch::Sender::new(acceptor));
        let stub = Stub::start({
            let (shown, gate, acceptor) = (Arc::clone(&shown), gate.clone(), acceptor.clone());
            move |_, stream: TcpStream, heard| {
                let (shown, mut gate) = (Arc::clone(&shown), gate.subscribe());
                let acceptor = acceptor.borrow().clone();
                async move {
                    let Ok(mut tls) = acceptor.accept(stream).await else {
                        return;
                    };
                    let chain = tls.get_ref().1.peer_certificates();
                    let leaf = chain.map(|chain| chain[0].to_vec());
                    shown.lock().unwrap().push(leaf);
                    while heard.request(&mut tls).await {
                        gate.wait_for(|open| *open).await.unwrap();
                        stub::no_content(&mut tls).await;
                    }
                }
            }
        })
        .await;
        Self {
            stub,
            shown,
            gate,
            acceptor,
        }
    }

    fn shown(&self) -> Vec<Option<Vec<u8>>> {
        self.shown.lock().unwrap().clone()
    }
}

fn der(pair: &Issued) -> Vec<u8> {
    pair.der().0[0].to_vec()
}

async fn failed(gateway: &Gateway, id: &str) -> Answer {
    answer(&gateway.execute(id).await.unwrap_err())
}

#[track_caller]
fn assert_unreachable(error: &Answer) {
    assert_eq!(error.code, Code::Unavailable);
    assert_eq!(error.reason, "GRAPH_UNREACHABLE");
    assert_eq!(error.outcome, "NOT_STARTED");
}

#[tokio::test]
async fn graph_is_shown_the_certificate_and_the_newest_one() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let graph =
        Graph::start(authority.acceptor_of(HOST, &[b"http/1.1"], ANY_TLS, Some(&clients))).await;
    let [first, second] = [(); 2].map(|()| clients.issue(&["gate.test"]));
    let folder = TlsFolder::with(&first);
    let gateway = Gateway::single_attempts()
        .with_graph(graph.stub.https_url())
        .with_tls(folder.for_graph(&authority));
    let mut gateway = gateway.start().await;
    gateway.execute("1").await.unwrap();
    gateway.execute("2").await.unwrap();
    assert_eq!(graph.shown(), [Some(der(&first))]);

    // One is on its way while the files change, and comes to its end.
    graph.gate.send_replace(false);
    let mut client = gateway.client().await;
    let call = tokio::spawn(async move {
        client
            .execute_response_action(crate::support::request("3"))
            .await
    });
    within(async {
        while graph.stub.heard.posts() < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    folder.put("certificate", &second.certificate);
    let line = gateway.logged(REFUSED).await;
    assert_eq!(line["what"], "graph");
    folder.put("key", &second.key);
    gateway.logged(USED).await;
    graph.gate.send_replace(true);
    within(call).await.unwrap().unwrap();
    gateway.execute("4").await.unwrap();
    assert_eq!(graph.shown(), [Some(der(&first)), Some(der(&second))]);

    let all = points(&gateway.metrics()).into_iter();
    let reloads: Vec<_> = all
        .filter(|line| line.starts_with("incidentgate.tls."))
        .collect();
    let counted = ["failed", "ok"].map(|result| {
        format!(
            "incidentgate.tls.reloads {{reload}} {{incidentgate.reload.result={result},incidentgate.reload.what=graph}} 1"
        )
    });
    assert_eq!(reloads, counted);
    gateway.stop().await;
    assert!(!gateway.log_text().contains("PRIVATE"));
}

#[tokio::test]
async fn the_authorities_of_graph_can_be_exchanged() {
    let (old, new) = (Authority::new(), Authority::new());
    let graph = Graph::start(old.acceptor(HOST, &[b"http/1.1"])).await;
    let folder = TlsFolder::with(&old.issue(&[HOST]));
    folder.put("ca", old.pem());
    let files = vec![("graph.ca_file", folder.file("ca"))];
    let gateway = Gateway::single_attempts()
        .with_graph(graph.stub.https_url())
        .with_tls(files);
    let mut gateway = gateway.start().await;
    gateway.execute("1").await.unwrap();
    assert_eq!(graph.shown(), [None]);

    graph
        .acceptor
        .send_replace(new.acceptor(HOST, &[b"http/1.1"]));
    folder.put("ca", "nothing");
    gateway.logged(REFUSED).await;
    // The connection is still good.
    gateway.execute("2").await.unwrap();
    folder.put("ca", new.pem());
    gateway.logged(USED).await;
    gateway.execute("3").await.unwrap();
    assert_eq!(graph.shown(), [None, None]);

    folder.put("ca", old.pem());
    gateway.logged_times(USED, 2).await;
    assert_unreachable(&failed(&gateway, "4").await);
    gateway.stop().await;
}

#[tokio::test]
async fn a_graph_that_misses_a_certificate_is_never_told_as_more_than_is_known() {
    let (authority, clients) = (Authority::new(), Authority::new());
    for (versions, protocol) in [TLS_1_2, TLS_1_3]
        .into_iter()
        .flat_map(|versions| [(versions, &b"http/1.1"[..]), (versions, b"h2")])
    {
        let acceptor = authority.acceptor_of(HOST, &[protocol], versions, Some(&clients));
        let graph = Graph::start(acceptor).await;
        let mut gateway = Gateway::single_attempts()
            .with_graph(graph.stub.https_url())
            .with("graph.ca_file", authority.file().to_str().unwrap())
            .start()
            .await;
        let error = failed(&gateway, "213213").await;
        let context = format!("{versions:?} {protocol:?} {error:?}");
        if versions == TLS_1_2 {
            assert_unreachable(&error);
        } else if error.outcome == "NOT_STARTED" {
            // The alert was read before the request was written.
            assert_unreachable(&error);
        } else {
            // The client's handshake ends before the server's, and the request follows it
            // at once. The alert that comes later says nothing about the request.
            assert_eq!(error.outcome, "UNKNOWN", "{context}");
            assert_eq!(error.reason, "GRAPH_RESPONSE_LOST", "{context}");
        }
        assert!(graph.shown().is_empty());
        gateway.stop().await;
    }
}
