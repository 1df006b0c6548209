//! A managed identity, as App Service has it: by the real binary, since its address is in
//! the environment.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::block_in_place};

use crate::support::{
    Stub,
    program::{Ended, Server},
    stub,
};

const HEADER: &str = "identity-header-marked-as-secret";
const TOKEN: &str = "platform-token-marked-as-secret";

/// What the platform does.
#[derive(Debug, Clone)]
enum Does {
    Answer(&'static str, String),
    Hang,
}

async fn platform(does: Does) -> Stub {
    Stub::start(move |_, mut stream: TcpStream, heard| {
        let does = does.clone();
        async move {
            while heard.request(&mut stream).await {
                let Does::Answer(status, body) = &does else {
                    std::future::pending::<()>().await;
                    return;
                };
                let length = body.len();
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    })
    .await
}

async fn graph() -> Stub {
    Stub::start(|_, mut stream: TcpStream, heard| async move {
        while heard.request(&mut stream).await {
            stub::no_content(&mut stream).await;
        }
    })
    .await
}

/// One call: what the client printed, and then all that the gateway did.
fn execute(platform: &Stub, graph: &Stub, proxy: &Stub, more: &[(&str, &str)]) -> (Value, Ended) {
    block_in_place(|| {
        let endpoint = format!("http://{}/msi/token", platform.addr);
        let proxy = format!("http://{}", proxy.addr);
        let usual = [
            ("INCIDENTGATE_CREDENTIALS__MODE", "application"),
            (
                "INCIDENTGATE_CREDENTIALS__CLIENT_AUTHENTICATION",
                "managed_identity",
            ),
            ("INCIDENTGATE_CREDENTIALS__TIMEOUT", "1s"),
            ("INCIDENTGATE_RETRY__MAX_ATTEMPTS", "1"),
            ("INCIDENTGATE_LOG__FILTER", "trace"),
            ("IDENTITY_ENDPOINT", &endpoint),
            ("IDENTITY_HEADER", HEADER),
            ("HTTP_PROXY", &proxy),
            ("http_proxy", &proxy),
            ("ALL_PROXY", &proxy),
        ];
        let server = Server::before_graph(&graph.http_url(), &[&usual, more].concat());
        let client = server.execute(&["213213", "--json"]);
        server.program.signal("TERM");
        let ended = server.program.ended();
        for text in [&client.stdout, &client.stderr, &ended.stdout, &ended.stderr] {
            assert!(!text.contains(HEADER) && !text.contains(TOKEN), "{text}");
        }
        (serde_json::from_str(&client.stdout).unwrap(), ended)
    })
}

fn requests(platform: &Stub) -> Vec<String> {
    let heard = String::from_utf8(platform.heard.bytes()).unwrap();
    let requests = heard.split_inclusive("\r\n\r\n");
    requests.map(str::to_ascii_lowercase).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_token_goes_to_graph_and_no_proxy_is_asked() {
    let expires = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
        + 3600;
    let body = json!({
        "access_token": TOKEN,
        "expires_on": expires.to_string(),
        "resource": "https://graph.microsoft.com",
        "token_type": "Bearer",
    });
    for (client_id, asked) in [
        (None, ""),
        (Some("user-assigned"), "client_id=user-assigned"),
    ] {
        let platform = platform(Does::Answer("200 OK", body.to_string())).await;
        let (graph, proxy) = (graph().await, Stub::silent().await);
        let more = client_id.map(|id| ("INCIDENTGATE_CREDENTIALS__CLIENT_ID", id));
        let more: Vec<_> = more.into_iter().collect();
        let (told, _) = execute(&platform, &graph, &proxy, &more);
        assert_eq!(told["outcome"], "STARTED", "{told}");
        let requests = requests(&platform);
        let [request] = &requests[..] else {
            panic!("{requests:?}")
        };
        for part in [
            "get /msi/token?",
            "resource=https%3a%2f%2fgraph.microsoft.com&",
            asked,
            &format!("x-identity-header: {HEADER}\r\n"),
        ] {
            let request = request.replace(" http/1.1", "& http/1.1");
            assert!(request.contains(part), "{part}: {request}");
        }
        let sent = String::from_utf8(graph.heard.bytes()).unwrap();
        assert!(
            sent.contains(&format!("authorization: Bearer {TOKEN}")),
            "{sent}"
        );
        assert_eq!(proxy.heard.connections(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_platform_says_instead_is_told_and_it_is_asked_once() {
    let said = format!("{{\"error\":\"invalid_request\",\"message\":\"{HEADER}\"}}");
    let answer = |status| Does::Answer(status, said.clone());
    let (rejected, for_now) = ("GATEWAY_CREDENTIAL_REJECTED", "CREDENTIAL_UNAVAILABLE");
    for (does, reason) in [
        (answer("400 Bad Request"), rejected),
        (answer("403 Forbidden"), rejected),
        (answer("404 Not Found"), for_now),
        (answer("429 Too Many Requests"), for_now),
        (answer("500 Internal Server Error"), for_now),
        (answer("200 OK"), for_now),
        (Does::Hang, for_now),
    ] {
        let shown = format!("{does:?}");
        let platform = platform(does).await;
        let (graph, proxy) = (graph().await, Stub::silent().await);
        let (told, ended) = execute(&platform, &graph, &proxy, &[]);
        assert_eq!(told["outcome"], "NOT_STARTED", "{shown}: {told}");
        assert_eq!(told["reason"], reason, "{shown}: {told}");
        // As often as a token was wanted, and no more.
        let fetches = ended.stderr.matches("a fetch failed").count();
        assert!(fetches >= 1, "{shown}");
        assert_eq!(requests(&platform).len(), fetches, "{shown}");
        assert_eq!(graph.heard.posts(), 0);
        assert_eq!(proxy.heard.connections(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_platform_that_is_none_is_told_in_the_log_without_its_address() {
    let (platform, graph, proxy) = (Stub::silent().await, graph().await, Stub::silent().await);
    for (endpoint, more, words) in [
        (
            "address-marked-as-secret",
            None,
            "must be a valid URL, but is\"",
        ),
        (
            "http://127.0.0.1/",
            Some(("IDENTITY_SERVER_THUMBPRINT", "x")),
            "Service Fabric",
        ),
    ] {
        let more: Vec<_> = [("IDENTITY_ENDPOINT", endpoint)]
            .into_iter()
            .chain(more)
            .collect();
        let (told, ended) = execute(&platform, &graph, &proxy, &more);
        assert_eq!(told["reason"], "GATEWAY_CREDENTIAL_REJECTED", "{told}");
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
        assert!(
            !ended.stderr.contains("marked-as-secret"),
            "{}",
            ended.stderr
        );
        assert_eq!(platform.heard.connections(), 0);
    }
}
