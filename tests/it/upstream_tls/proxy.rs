//! The proxy that the usual variables name, before a gateway in a process of its own.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncWriteExt as _, copy_bidirectional},
    net::TcpStream,
    task::block_in_place,
};

use super::{Graph, HOST};
use crate::support::{
    Authority, Stub,
    program::{Ended, Server, Simulator},
    stub,
};

/// Resolved by nobody but the proxy.
const NAME: &str = "graph.test";
const PASSWORD: &str = "proxy-password-marked-as-secret";
const CONNECTED: &str = "HTTP/1.1 200 Connected\r\n\r\n";

/// A proxy that answers each CONNECT so, and on success passes everything on to `graph`.
async fn proxy(graph: &Graph, says: &'static str) -> Stub {
    let target = graph.stub.addr;
    Stub::start(move |_, mut client: TcpStream, heard| async move {
        if heard.request(&mut client).await {
            client.write_all(says.as_bytes()).await.unwrap();
            if says == CONNECTED {
                let mut server = TcpStream::connect(target).await.unwrap();
                // Either side may end it.
                copy_bidirectional(&mut client, &mut server).await.ok();
            }
        }
    })
    .await
}

/// The proxy as a variable has it, with a name and a password.
fn url(proxy: &Stub) -> String {
    format!("http://gate:{PASSWORD}@{}", proxy.addr)
}

async fn graph_at(name: &str) -> (Graph, String) {
    let authority = Authority::new();
    let graph = Graph::start(authority.acceptor(name, &[b"http/1.1"])).await;
    (graph, authority.file().to_str().unwrap().to_owned())
}

/// One attempt of a gateway with these variables: what the client says, and then all that
/// the gateway has.
fn execute(url: &str, variables: &[(&str, &str)]) -> (Ended, Ended) {
    block_in_place(|| {
        let usual = [
            ("INCIDENTGATE_RETRY__MAX_ATTEMPTS", "1"),
            ("INCIDENTGATE_LOG__FILTER", "trace"),
        ];
        let server = Server::before_graph(url, &[&usual, variables].concat());
        let token = crate::support::program::TempFile::new(
            &uuid::Uuid::new_v4().to_string(),
            crate::support::TOKEN,
        );
        let ended = server.execute(&["213213", "--json", "--token-file", token.path()]);
        server.program.signal("TERM");
        (ended, server.program.ended())
    })
}

#[track_caller]
fn assert_secret(ended: &(Ended, Ended)) {
    let encoded = STANDARD.encode(format!("gate:{PASSWORD}"));
    for ended in [&ended.0, &ended.1] {
        let text = format!("{}{}", ended.stdout, ended.stderr);
        assert!(
            !text.contains(PASSWORD) && !text.contains(&encoded),
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graph_is_reached_through_the_proxy_of_either_spelling() {
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        let (graph, ca) = graph_at(NAME).await;
        let proxy = proxy(&graph, CONNECTED).await;
        let ended = execute(
            &format!("https://{NAME}/beta"),
            &[
                (variable, url(&proxy).as_str()),
                ("INCIDENTGATE_GRAPH__CA_FILE", &ca),
            ],
        );
        assert_eq!(ended.0.code, Some(0), "{variable} {ended:?}");
        assert_eq!(graph.stub.heard.posts(), 1);
        let heard = String::from_utf8(proxy.heard.bytes()).unwrap();
        assert!(heard.starts_with(&format!("CONNECT {NAME}:443 HTTP/1.1\r\n")));
        let encoded = STANDARD.encode(format!("gate:{PASSWORD}"));
        assert!(heard.contains(&format!("Basic {encoded}")), "{heard}");
        // The token is for Graph alone.
        assert!(!heard.contains(crate::support::TOKEN));
        assert_secret(&ended);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_excepted_and_plain_http_need_no_proxy() {
    let (graph, ca) = graph_at(HOST).await;
    let proxy = proxy(&graph, CONNECTED).await;
    let address = url(&proxy);
    for exception in ["NO_PROXY", "no_proxy"] {
        let ended = execute(
            &graph.stub.https_url(),
            &[
                ("HTTPS_PROXY", address.as_str()),
                (exception, HOST),
                ("INCIDENTGATE_GRAPH__CA_FILE", &ca),
            ],
        );
        assert_eq!(ended.0.code, Some(0), "{exception} {ended:?}");
    }
    let sandbox = block_in_place(Simulator::start);
    let ended = execute(
        &format!("http://{}/beta", sandbox.addr),
        &[("HTTP_PROXY", &address), ("ALL_PROXY", &address)],
    );
    assert_eq!(ended.0.code, Some(0), "{ended:?}");
    assert_eq!(proxy.heard.connections(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_does_not_let_through_has_started_nothing() {
    let (graph, ca) = graph_at(NAME).await;
    let (_taken, nobody) = stub::refusing();
    let refusing = format!("http://gate:{PASSWORD}@{nobody}");
    let mut proxies = Vec::new();
    for says in [
        "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm=\"x\"\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 403 Forbidden\r\n\r\n",
        "nonsense\r\n\r\n",
        "",
    ] {
        proxies.push(proxy(&graph, says).await);
    }
    for url in proxies.iter().map(url).chain([refusing]) {
        let ended = execute(
            &format!("https://{NAME}/beta"),
            &[
                ("HTTPS_PROXY", url.as_str()),
                ("INCIDENTGATE_GRAPH__CA_FILE", &ca),
            ],
        );
        assert_eq!(ended.0.code, Some(1), "{ended:?}");
        let report: serde_json::Value = serde_json::from_str(&ended.0.stdout).unwrap();
        assert_eq!(report["outcome"], "NOT_STARTED", "{ended:?}");
        assert_eq!(report["reason"], "GRAPH_UNREACHABLE", "{ended:?}");
        assert_secret(&ended);
    }
    assert_eq!(graph.stub.heard.connections(), 0);
}
