//! What operators learn of callers that are refused, and of those that are let in.

use std::fs;

use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::support::{
    Authority, Gateway, GatewayBuilder, RawCall, TLS_1_3, TlsFolder, points, within,
};

fn forwarded(uri: &str) -> String {
    format!("Hash={};URI={uri}", "468e".repeat(16))
}

fn builder() -> GatewayBuilder {
    Gateway::builder()
        .with("callers.forwarded_certificates", "true")
        .with("policy.execute_response_action", "spiffe://corp/soc/*")
}

#[tokio::test]
async fn a_refused_call_is_logged_with_its_peer_and_the_names_that_it_has_proven() {
    let gateway = builder().with_own_token().start().await;
    let header = forwarded("spiffe://corp/shop");
    let headers = [("x-forwarded-client-cert", header.as_str())];
    RawCall::execute(&gateway, "213213", &headers).await;
    let line = gateway.logged_times("call failed", 1).await;
    assert_eq!(line["reason"], "CALLER_NOT_ALLOWED");
    assert_eq!(line["caller"], "spiffe://corp/shop");
    assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"));

    RawCall::execute(&gateway, "213213", &[]).await;
    let line = gateway.logged_times("call failed", 2).await;
    assert_eq!(line["reason"], "CALLER_UNAUTHENTICATED");
    assert_eq!(line["caller"], Value::Null);
    assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
}

#[tokio::test]
async fn the_audit_log_names_the_caller_and_the_pattern_that_lets_it_in() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    let mut gateway = builder()
        .with_own_token()
        .with("audit.sink", "file")
        .with("audit.file", file.to_str().unwrap())
        .start()
        .await;
    let header = forwarded("spiffe://corp/soc/x");
    let headers = [("x-forwarded-client-cert", header.as_str())];
    let call = RawCall::execute(&gateway, "213213", &headers).await;
    assert_eq!(call.grpc_status().code(), tonic::Code::Ok);
    // The outcome is written beside the answer, and before the end.
    gateway.stop().await;
    let text = fs::read_to_string(file).unwrap();
    for line in text.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            record["caller"]["names"],
            serde_json::json!(["spiffe://corp/soc/x"])
        );
        assert_eq!(record["caller"]["allowedBy"], "spiffe://corp/soc/*");
        assert_eq!(record["caller"]["unverified"], Value::Null);
    }
    assert_eq!(text.lines().count(), 2);
}

#[tokio::test]
async fn a_refused_handshake_is_counted_and_told_once_in_a_while() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let folder = TlsFolder::with(&authority.issue(&["127.0.0.1"]));
    folder.put("ca", clients.pem());
    let gateway = Gateway::builder()
        .with_log_filter("info")
        .with_tls(folder.for_server())
        .start()
        .await;
    // Of an authority with the same name, so that the signature gives it away.
    let stranger = Authority::new().issue(&["x.test"]);
    let connector = authority.connector(&[b"h2"], TLS_1_3, Some(&stranger));
    for _ in 0..3 {
        let socket = TcpStream::connect(gateway.addr).await.unwrap();
        let name = "127.0.0.1".try_into().unwrap();
        if let Ok(mut stream) = within(connector.connect(name, socket)).await {
            // With TLS 1.3 the client learns of it by the next byte.
            let mut end = Vec::new();
            within(tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut end))
                .await
                .ok();
        }
    }
    let mut plain = TcpStream::connect(gateway.addr).await.unwrap();
    plain
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    within(tokio::io::AsyncReadExt::read_to_end(
        &mut plain,
        &mut Vec::new(),
    ))
    .await
    .ok();

    let line = gateway.logged("a connection was refused").await;
    assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert!(
        line["cause"]
            .as_str()
            .unwrap()
            .contains("invalid peer certificate"),
        "{line}"
    );
    let counted = within(async {
        loop {
            let all = points(&gateway.metrics());
            let refused: Vec<_> = all
                .into_iter()
                .filter(|point| point.starts_with("incidentgate.connections.refused"))
                .collect();
            if refused.len() == 2 {
                break refused;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(counted[0].contains("certificate_invalid} 3"), "{counted:?}");
    assert!(counted[1].contains("not_tls} 1"), "{counted:?}");
}
