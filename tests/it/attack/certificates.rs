//! Client certificates that prove nothing, or too little.

use std::io::Read as _;

use rcgen::{DnType, ExtendedKeyUsagePurpose};
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::Code;

use super::{
    EXTRA, Fort,
    fort::{HOST, TARGET, shake_hands},
    slow::assert_cut_while_dripping,
};
use crate::support::{
    ANY_TLS, Answer, Authority, EXECUTE, Issued, TLS_1_2, TLS_1_3, TlsFolder, Wire,
    execute_message, head, within,
};

const SOAR: &str = "spiffe://corp.test/soar";

struct Walls {
    gateway: Authority,
    clients: Authority,
    folder: TlsFolder,
}

impl Walls {
    fn new() -> Self {
        let (gateway, clients) = (Authority::new(), Authority::new());
        let folder = TlsFolder::with(&gateway.issue(&[HOST]));
        folder.put("ca", clients.pem());
        Self {
            gateway,
            clients,
            folder,
        }
    }

    /// A gateway with TLS, and the names that one certificate may have.
    async fn fort(&self, handshake_timeout: &str) -> Fort {
        let fort = Fort::with(&[
            (
                "INCIDENTGATE_TLS__CERTIFICATE_FILE",
                &self.folder.file("certificate"),
            ),
            ("INCIDENTGATE_TLS__KEY_FILE", &self.folder.file("key")),
            ("INCIDENTGATE_TLS__CLIENT_CA_FILE", &self.folder.file("ca")),
            ("INCIDENTGATE_SERVER__HANDSHAKE_TIMEOUT", handshake_timeout),
            (
                "INCIDENTGATE_POLICY__EXECUTE_RESPONSE_ACTION",
                "spiffe://corp.test/soar,dns:soar.test,role:Execute",
            ),
        ])
        .await;
        let connector = self.gateway.connector(&[b"h2"], ANY_TLS, None);
        fort.behind_tls(connector).besieged().await
    }
}

/// What a call over such a connection is told; nothing where there is no connection.
async fn told(fort: &Fort, walls: &Walls, shown: &Issued, version: usize) -> Option<Answer> {
    let versions = [TLS_1_2, TLS_1_3][version];
    let connector = walls.gateway.connector(&[b"h2"], versions, Some(shown));
    let stream = within(shake_hands(fort.addr(), &connector)).await.ok()?;
    // In TLS 1.3 a client learns only afterwards that its certificate was refused.
    let (client, connection) = within(h2::client::handshake(stream)).await.ok()?;
    let connection = tokio::spawn(connection);
    let mut request = head(EXECUTE, &[]);
    request.headers_mut().remove("authorization");
    let mut client = within(client.ready()).await.ok()?;
    let (response, mut body) = client.send_request(request, false).ok()?;
    body.send_data(execute_message(TARGET), true).ok()?;
    let head = within(response).await.ok()?;
    connection.abort();
    let status = tonic::Status::from_header_map(head.headers())?;
    Some(crate::support::answer(&status))
}

#[tokio::test]
async fn a_certificate_that_is_not_good_gets_no_connection() {
    let walls = Walls::new();
    let fort = walls.fort("10s").await;
    let names = &[SOAR, "soar.test"];
    let others = Authority::new();
    let day = rcgen::date_time_ymd;
    let only = |usage| {
        move |params: &mut rcgen::CertificateParams| {
            params.extended_key_usages = vec![usage];
        }
    };
    for (what, shown) in [
        ("expired", walls.clients.issue_until(names, 2020)),
        (
            "not yet valid",
            walls
                .clients
                .issue_as(names, |params| params.not_before = day(3999, 1, 1)),
        ),
        ("self-signed", Issued::self_signed(names, |_| {})),
        (
            "self-signed, an authority",
            Issued::self_signed(names, |params| {
                params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            }),
        ),
        // Its authority has the same name as the one that is trusted.
        ("of another authority", others.issue(names)),
        (
            "for servers only",
            walls
                .clients
                .issue_as(names, only(ExtendedKeyUsagePurpose::ServerAuth)),
        ),
        (
            "for code only",
            walls
                .clients
                .issue_as(names, only(ExtendedKeyUsagePurpose::CodeSigning)),
        ),
        ("the gateway's own", walls.gateway.issue(&[HOST, SOAR])),
    ] {
        for version in [0, 1] {
            let told = told(&fort, &walls, &shown, version).await;
            assert!(told.is_none(), "{what}: {told:?}");
        }
    }
    fort.stands(EXTRA).await;
}

#[tokio::test]
async fn only_the_names_of_a_good_certificate_count_and_only_where_names_stand() {
    let walls = Walls::new();
    let fort = walls.fort("10s").await;
    let called = |name: &'static str| {
        move |params: &mut rcgen::CertificateParams| {
            params.distinguished_name.push(DnType::CommonName, name);
            params
                .distinguished_name
                .push(DnType::OrganizationName, name);
        }
    };
    let (unknown, known) = (
        (Code::Unauthenticated, "CALLER_UNAUTHENTICATED"),
        (Code::PermissionDenied, "CALLER_NOT_ALLOWED"),
    );
    for (what, names, common, want) in [
        ("a common name", &[][..], "soar.test", unknown),
        ("a SPIFFE ID as a common name", &[], SOAR, unknown),
        (
            "a common name beside others",
            &["guest.test"],
            "soar.test",
            known,
        ),
        ("a wildcard", &["*.test"], "guest", unknown),
        ("an address", &["10.0.0.1"], "soar.test", unknown),
        (
            "a longer name",
            &["soar.test.evil.test", "xsoar.test"],
            "guest",
            known,
        ),
        (
            "a longer SPIFFE ID",
            &["spiffe://corp.test/soar/x"],
            "guest",
            known,
        ),
        (
            "a SPIFFE ID in disguise",
            &["spiffe://corp.test/x/../soar"],
            "guest",
            unknown,
        ),
        (
            "another scheme",
            &["https://corp.test/soar"],
            "guest",
            unknown,
        ),
        (
            "the other kind",
            &["corp.test", "spiffe.corp.test"],
            "guest",
            known,
        ),
    ] {
        let shown = walls.clients.issue_as(names, called(common));
        for version in [0, 1] {
            let told = told(&fort, &walls, &shown, version).await.unwrap();
            assert_eq!((told.code, &*told.reason), want, "{what}");
            assert_eq!(told.outcome, "NOT_STARTED", "{what}");
        }
    }
    // The same way leads in with the right name: what is missing is a task.
    let good = walls.clients.issue_as(&[SOAR], called("guest"));
    let connector = walls.gateway.connector(&[b"h2"], ANY_TLS, Some(&good));
    let stream = within(shake_hands(fort.addr(), &connector)).await.unwrap();
    let mut wire = Wire::over(stream, 0, 65_535).await;
    let mut request = head(EXECUTE, &[]);
    request.headers_mut().remove("authorization");
    let mut sent = wire.begin(request).await;
    sent.data(execute_message(super::fort::GOOD), true);
    assert_eq!(sent.answer().await.unwrap().error().code, Code::NotFound);
    fort.stands(EXTRA).await;
}

#[tokio::test]
async fn a_handshake_that_comes_byte_by_byte_is_cut() {
    let walls = Walls::new();
    let fort = walls.fort("300ms").await;
    let connector = walls.gateway.connector(&[b"h2"], ANY_TLS, None);
    let name = ServerName::try_from(HOST).unwrap();
    let config = std::sync::Arc::clone(connector.config());
    let mut client = tokio_rustls::rustls::ClientConnection::new(config, name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    assert!(hello.len() > 100 && hello.bytes().next().is_some());
    let dripping = (0..50).map(|_| async {
        let stream = TcpStream::connect(fort.addr()).await.unwrap();
        assert_cut_while_dripping(stream, &hello).await;
    });
    futures_util::future::join_all(dripping).await;
    fort.stands(EXTRA).await;
}
