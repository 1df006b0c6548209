//! Client certificates, and files that are of no use.

use incidentgate::{
    app::App,
    config::{Config, Flag, Sources},
    credentials::Credentials,
    telemetry::{Metrics, Propagator},
};

use super::{HOST, connects};
use crate::support::{Authority, Gateway, Keys, TLS_1_2, TLS_1_3, TlsFolder};

#[tokio::test]
async fn a_certificate_is_not_needed_but_a_bad_one_is_refused() {
    let (authority, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    let folder = TlsFolder::with(&authority.issue(&[HOST]));
    folder.put("ca", clients.pem());
    let mut gateway = Gateway::builder()
        .with_tls(folder.for_server())
        .start()
        .await;
    let name = "spiffe://example.org/soar";
    let good = clients.issue(&[name]);
    let nameless = clients.issue(&[]);
    let foreign = others.issue(&[name]);
    let expired = clients.issue_until(&[name], 2020);
    for versions in [TLS_1_2, TLS_1_3] {
        for (shown, expected, what) in [
            (None, true, "none"),
            (Some(&good), true, "good"),
            (Some(&nameless), true, "nameless"),
            (Some(&foreign), false, "of another authority"),
            (Some(&expired), false, "expired"),
        ] {
            let connector = authority.connector(&[b"h2"], versions, shown);
            let connects = connects(gateway.addr, &connector).await;
            assert_eq!(connects, expected, "{versions:?} {what}");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn without_authorities_no_certificate_is_asked_for() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let folder = TlsFolder::with(&authority.issue(&[HOST]));
    let mut gateway = Gateway::builder()
        .with_tls(folder.for_server())
        .start()
        .await;
    let connector = authority.connector(&[b"h2"], TLS_1_3, Some(&clients.issue(&["x.test"])));
    assert!(connects(gateway.addr, &connector).await);
    gateway.stop().await;
}

/// Why the gateway does not start with these files.
fn refusal(files: &Keys) -> String {
    let flag = |(key, value): &(&'static str, String)| Flag {
        key,
        name: "test",
        value: value.clone(),
    };
    let config = Config::load(Sources {
        flags: files.iter().map(flag).collect(),
        ..Sources::default()
    })
    .unwrap()
    .config;
    let (propagator, metrics) = (Propagator::default(), Metrics::disabled());
    let built = App::build(&config, Credentials::Passthrough, propagator, metrics);
    format!("{:#}", built.unwrap_err())
}

#[tokio::test]
async fn a_file_that_is_of_no_use_is_told_before_a_port_is_open() {
    let authority = Authority::new();
    let (pair, other) = (authority.issue(&[HOST]), authority.issue(&[HOST]));
    let folder = TlsFolder::with(&pair);
    folder.put("ca", "nothing");
    let path = folder.path().display();
    let server = folder.for_server();
    let expected = format!("tls.client_ca_file {path}/ca holds no readable certificate");
    assert!(refusal(&server).starts_with(&expected));
    folder.put("ca", authority.pem());

    folder.put("key", &other.key);
    let expected = format!(
        "tls.key_file {path}/key is not the key of the certificate in tls.certificate_file {path}/certificate"
    );
    assert_eq!(refusal(&server), expected);
    let graph = folder.as_client_of_graph();
    let expected = format!(
        "graph.client_key_file {path}/key is not the key of the certificate in graph.client_certificate_file {path}/certificate"
    );
    assert_eq!(refusal(&graph), expected);

    std::fs::remove_file(folder.path().join("key")).unwrap();
    let expected = format!("tls.key_file {path}/key cannot be read: No such file");
    assert!(refusal(&server).starts_with(&expected));
    let expected = format!("graph.client_key_file {path}/key cannot be read: No such file");
    assert!(refusal(&graph).starts_with(&expected));
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_told_and_used() {
    let authority = Authority::new();
    let folder = TlsFolder::with(&authority.issue_until(&[HOST], 2020));
    let mut gateway = Gateway::builder()
        .with_tls(folder.for_server())
        .start()
        .await;
    let line = gateway
        .logged("the certificate of tls.certificate_file has expired")
        .await;
    assert_eq!(line["level"], "WARN");
    let file = folder.path().join("certificate");
    assert_eq!(line["file"], file.to_str().unwrap());
    gateway.stop().await;
}
