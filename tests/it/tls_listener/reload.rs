//! Certificates that change while the gateway serves.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use incidentgate::{
    pb::health::{HealthCheckRequest, health_client::HealthClient},
    sandbox::Fault,
};

use super::{HOST, channel, connects, secured, shake_hands};
use crate::support::{
    ANY_TLS, Authority, Gateway, Issued, TLS_1_3, TlsFolder, points, request, within,
};

const USED: &str = "changed files are in use";
const REFUSED: &str = "changed files are of no use";

/// What the gateway shows to a new connection.
async fn shown(gateway: &Gateway, authority: &Authority) -> Vec<u8> {
    let connector = authority.connector(&[b"h2"], ANY_TLS, None);
    let stream = shake_hands(gateway.addr, &connector).await.unwrap();
    let chain = stream.get_ref().1.peer_certificates().unwrap();
    chain[0].to_vec()
}

fn der(pair: &Issued) -> Vec<u8> {
    pair.der().0[0].to_vec()
}

/// The reloads so far, as `what=server,result=ok 2`.
fn reloads(gateway: &Gateway) -> Vec<String> {
    let all = points(&gateway.metrics()).into_iter();
    all.filter(|line| line.starts_with("incidentgate.tls.reloads "))
        .collect()
}

fn counted(result: &str, n: usize) -> String {
    format!(
        "incidentgate.tls.reloads {{reload}} {{incidentgate.reload.result={result},incidentgate.reload.what=server}} {n}"
    )
}

#[tokio::test]
async fn new_connections_get_the_new_certificate_and_open_ones_stay() {
    let authority = Authority::new();
    let (mut gateway, folder) = secured(&authority, Gateway::builder()).await;
    let open = channel(&gateway, &authority, None).await.unwrap();
    let mut health = HealthClient::new(open.clone());
    gateway.sandbox.script("213213", [Fault::hold()]);
    let call = tokio::spawn(async move {
        Gateway::client_of(open)
            .execute_response_action(request("213213"))
            .await
    });
    gateway.sandbox.wait_for_posts("213213", 1).await;
    let new = authority.issue(&[HOST]);
    folder.put_pair(&new);
    gateway.logged(USED).await;
    assert_eq!(shown(&gateway, &authority).await, der(&new));
    gateway.sandbox.release("213213");
    within(call).await.unwrap().unwrap();
    within(health.check(HealthCheckRequest::default()))
        .await
        .unwrap();
    gateway.stop().await;
    assert!(!gateway.log_text().contains("PRIVATE"));
}

#[tokio::test]
async fn a_half_written_pair_is_told_once_and_changes_nothing() {
    let authority = Authority::new();
    let old = authority.issue(&[HOST]);
    let folder = TlsFolder::with(&old);
    let mut gateway = Gateway::builder()
        .with_tls(folder.for_server())
        .start()
        .await;
    let new = authority.issue(&[HOST]);
    folder.put("certificate", &new.certificate);
    let line = gateway.logged(REFUSED).await;
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["what"], "server");
    let error = line["error"].to_string();
    assert!(error.contains("tls.key_file"), "{error}");
    assert_eq!(shown(&gateway, &authority).await, der(&old));
    folder.put("key", &new.key);
    gateway.logged(USED).await;
    assert_eq!(shown(&gateway, &authority).await, der(&new));
    assert_eq!(reloads(&gateway), [counted("failed", 1), counted("ok", 1)]);
    gateway.stop().await;
}

#[tokio::test]
async fn files_of_no_use_keep_the_old_ones_in_use() {
    let authority = Authority::new();
    let old = authority.issue(&[HOST]);
    let folder = TlsFolder::with(&old);
    folder.put("ca", authority.pem());
    let mut gateway = Gateway::builder()
        .with_tls(folder.for_server())
        .start()
        .await;
    for (n, (file, text)) in [
        ("certificate", ""),
        ("certificate", &old.certificate[..100]),
        ("ca", "text"),
        ("key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"),
    ]
    .into_iter()
    .enumerate()
    {
        folder.put(file, text);
        gateway.logged_times(REFUSED, n + 1).await;
        assert_eq!(shown(&gateway, &authority).await, der(&old), "{n}");
    }
    std::fs::remove_file(folder.path().join("key")).unwrap();
    gateway.logged_times(REFUSED, 5).await;
    assert_eq!(shown(&gateway, &authority).await, der(&old));
    // All is as it was, and all is well.
    folder.put_pair(&old);
    folder.put("ca", authority.pem());
    gateway.logged(USED).await;
    assert_eq!(shown(&gateway, &authority).await, der(&old));
    gateway.stop().await;
}

#[tokio::test]
async fn the_authorities_of_the_clients_can_be_exchanged() {
    let (authority, old, new) = (Authority::new(), Authority::new(), Authority::new());
    let folder = TlsFolder::with(&authority.issue(&[HOST]));
    folder.put("ca", old.pem());
    let mut gateway = Gateway::builder()
        .with_tls(folder.for_server())
        .start()
        .await;
    let [of_old, of_new] = [&old, &new].map(|clients| {
        let client = clients.issue(&["soar.test"]);
        // Kept over connections, as a client does that could resume its session.
        authority.connector(&[b"h2"], TLS_1_3, Some(&client))
    });
    for (n, (bundle, old_connects, new_connects)) in [
        (old.pem().to_owned(), true, false),
        (format!("{}{}", old.pem(), new.pem()), true, true),
        (new.pem().to_owned(), false, true),
    ]
    .into_iter()
    .enumerate()
    {
        folder.put("ca", &bundle);
        if n > 0 {
            gateway.logged_times(USED, n).await;
        }
        assert_eq!(connects(gateway.addr, &of_old).await, old_connects, "{n}");
        assert_eq!(connects(gateway.addr, &of_new).await, new_connects, "{n}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn no_connection_is_lost_while_certificates_change() {
    let authority = Authority::new();
    let (mut gateway, folder) = secured(&authority, Gateway::builder()).await;
    let over = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let connector = authority.connector(&[b"h2"], ANY_TLS, None);
            let (addr, over) = (gateway.addr, Arc::clone(&over));
            tokio::spawn(async move {
                let mut connections = 0;
                while !over.load(Ordering::Relaxed) {
                    assert!(connects(addr, &connector).await);
                    connections += 1;
                }
                connections
            })
        })
        .collect();
    for n in 1..=5 {
        folder.put_pair(&authority.issue(&[HOST]));
        gateway.logged_times(USED, n).await;
    }
    over.store(true, Ordering::Relaxed);
    for caller in callers {
        assert!(within(caller).await.unwrap() > 0);
    }
    gateway.stop().await;
}
