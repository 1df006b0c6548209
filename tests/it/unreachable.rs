//! What stands between the command line and a gateway, by real connections: nothing is
//! sent before the peer has shown that it speaks gRPC, and the likely mend is named.

use bytes::Bytes;
use h2::server::SendResponse;
use incidentgate::sandbox::Fault;
use serde_json::Value;
use tokio::{net::TcpStream, task::block_in_place};

use crate::support::{
    Authority, Gateway, Stub, TlsFolder,
    program::{Ended, TempFile, run},
};

/// Runs `execute` for a task that could be started, and `health`, each with more arguments.
fn both(more: &[&str]) -> [Ended; 2] {
    [&["execute", "213213", "--json"][..], &["health"]]
        .map(|command| block_in_place(|| run(&[command, more].concat())))
}

/// Both say this, and that nothing was started.
#[track_caller]
fn assert_unreachable(more: &[&str], says: &str) {
    let [execute, health] = both(more);
    assert_eq!(execute.code, Some(1), "{execute:?}");
    let report: Value = serde_json::from_str(&execute.stdout).unwrap();
    assert_eq!(report["outcome"], "NOT_STARTED", "{report}");
    let message = report["message"].as_str().unwrap();
    assert!(
        message.starts_with("cannot reach the gateway at "),
        "{message}"
    );
    assert!(message.contains(says), "{says:?} is not in {message:?}");
    assert_eq!(health.code, Some(1), "{health:?}");
    assert!(
        health.stderr.contains(says),
        "{says:?} is not in {health:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wrong_scheme_is_told() {
    let authority = Authority::new();
    let files = TlsFolder::with(&authority.issue(&["127.0.0.1"]));
    let builder = Gateway::builder().with_tls(files.for_server());
    let mut secured = builder.start().await;
    let mut plain = Gateway::builder().start().await;
    let (tls, open) = (secured.addr, plain.addr);
    assert_unreachable(
        &["--endpoint", &format!("http://{tls}")],
        &format!("if it speaks TLS, use https://{tls}"),
    );
    assert_unreachable(
        &["--endpoint", &format!("https://{open}")],
        &format!("it does not speak TLS; use http://{open}"),
    );
    secured.stop().await;
    plain.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_one_side_refuses_is_told() {
    let (authority, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    let files = TlsFolder::with(&authority.issue(&["gate.test"]));
    files.put("ca", clients.pem());
    let builder = Gateway::builder().with_tls(files.for_server());
    let mut gateway = builder.start().await;
    let name = "spiffe://example.org/cli";
    let expired = TlsFolder::with(&clients.issue_until(&[name], 2020));
    let foreign = TlsFolder::with(&others.issue(&[name]));
    let good = TlsFolder::with(&clients.issue(&[name]));
    for folder in [&expired, &foreign, &good] {
        folder.put("ca", authority.pem());
    }
    foreign.put("other-ca", others.pem());
    let endpoint = format!("https://{}", gateway.addr);
    let ca = good.file("ca");
    let to = ["--endpoint", &endpoint];
    let trusted = [&to[..], &["--ca-file", &ca]].concat();
    let named = [&trusted[..], &["--server-name", "gate.test"]].concat();

    assert_unreachable(&to, "name its authority by --ca-file");
    let other_ca = foreign.file("other-ca");
    assert_unreachable(
        &[&to[..], &["--ca-file", &other_ca]].concat(),
        &format!("its authority is not in {other_ca}"),
    );
    assert_unreachable(&trusted, "give that one by --server-name");
    assert_unreachable(
        &[&trusted[..], &["--server-name", "other.test"]].concat(),
        "give that one by --server-name",
    );
    for (folder, why) in [(&expired, ": it has expired"), (&foreign, "")] {
        let (certificate, key) = (folder.file("certificate"), folder.file("key"));
        let pair = ["--certificate-file", &certificate, "--key-file", &key];
        // A reset can overtake the alert that has the reason.
        let says = format!(" your client certificate ({certificate}){why}");
        assert_unreachable(&[&named[..], &pair].concat(), &says);
    }

    let (certificate, key) = (good.file("certificate"), good.file("key"));
    let pair = ["--certificate-file", &certificate, "--key-file", &key];
    let token = TempFile::new("unreachable-token", "token");
    let call = ["execute", "213213", "--token-file", token.path()];
    let arguments = [&call[..], &named, &pair].concat();
    let ended = block_in_place(|| run(&arguments));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_missed_is_told() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let acceptor = authority.acceptor_of(
        "127.0.0.1",
        &[b"h2"],
        crate::support::ANY_TLS,
        Some(&clients),
    );
    let stub = Stub::start(move |_, stream, _| {
        let acceptor = acceptor.clone();
        async move {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            // The alert is out once the handshake has failed; what still comes is taken,
            // so that no reset overtakes it.
            let accepted = acceptor.accept(stream).into_fallible().await;
            let Err((_, mut stream)) = accepted else {
                return;
            };
            stream.shutdown().await.ok();
            stream.read_to_end(&mut Vec::new()).await.ok();
        }
    })
    .await;
    let ca = authority.file();
    let endpoint = format!("https://{}", stub.addr);
    assert_unreachable(
        &["--endpoint", &endpoint, "--ca-file", ca.to_str().unwrap()],
        "it wants a client certificate",
    );
}

#[test]
fn a_server_name_needs_tls_and_is_a_name() {
    for (arguments, says) in [
        (&["--server-name", "gate.test"][..], "--server-name need an"),
        (
            &["--endpoint", "https://127.0.0.1:1", "--server-name", "a b"],
            "expected a DNS name or an IP address",
        ),
    ] {
        for command in [&["execute", "1"][..], &["health"]] {
            let ended = run(&[command, arguments].concat());
            assert_eq!(ended.code, Some(64), "{ended:?}");
            assert!(ended.stderr.contains(says), "{ended:?}");
        }
    }
}

/// Answers the question for its health with UNIMPLEMENTED (12), and then has no more words.
async fn die_after_the_first_answer(stream: TcpStream) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    let (request, mut respond): (_, SendResponse<Bytes>) =
        connection.accept().await.unwrap().unwrap();
    assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
    let head = http::Response::builder()
        .header("content-type", "application/grpc")
        .header("grpc-status", "12");
    respond.send_response(head.body(()).unwrap(), true).unwrap();
    let (request, _) = connection.accept().await.unwrap().unwrap();
    let path = "/incidentgate.v1.IncidentTaskService/ExecuteResponseAction";
    assert_eq!(request.uri().path(), path);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_is_proof_enough_and_a_call_that_was_then_lost_is_unknown() {
    let stub = Stub::start(|_, stream, _| die_after_the_first_answer(stream)).await;
    let endpoint = format!("http://{}", stub.addr);
    let call = ["execute", "213213", "--json", "--endpoint", &endpoint];
    let ended = block_in_place(|| run(&call));
    assert_eq!(ended.code, Some(4), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["outcome"], "UNKNOWN", "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claims_challenge_is_shown() {
    let mut gateway = Gateway::builder().start().await;
    let challenged = [Fault::claims_challenge(), Fault::claims_challenge()];
    gateway.sandbox.script("213213", challenged);
    let token = TempFile::new("challenged-token", "token");
    let endpoint = format!("http://{}", gateway.addr);
    let call = ["execute", "213213", "--token-file", token.path()];
    let call = [&call[..], &["--endpoint", &endpoint]].concat();
    let text = block_in_place(|| run(&call));
    assert_eq!(text.code, Some(1), "{text:?}");
    let json = block_in_place(|| run(&[&call[..], &["--json"]].concat()));
    let report: Value = serde_json::from_str(&json.stdout).unwrap();
    let claims = report["claims"].as_str().unwrap();
    assert!(claims.starts_with("eyJ"), "{claims}");
    let row = format!("  {:<18} {claims}", "claims");
    assert!(text.stdout.lines().any(|line| line == row), "{text:?}");
    gateway.stop().await;
}
