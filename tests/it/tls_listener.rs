//! TLS on the listener, by real handshakes. TLS 1.1 and older cannot be tried: the
//! library speaks neither, on either side.

mod clients;
mod reload;

use std::{io, net::SocketAddr, time::Duration};

use incidentgate::sandbox::Fault;
use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{HandshakeKind, pki_types::ServerName},
};
use tonic::transport::Channel;

use crate::support::{
    ANY_TLS, Authority, Gateway, GatewayBuilder, Issued, TLS_1_2, TLS_1_3, TlsFolder, Wire, head,
    request, within,
};

const HOST: &str = "127.0.0.1";

/// A gateway with a certificate for 127.0.0.1, and its files.
async fn secured(authority: &Authority, builder: GatewayBuilder) -> (Gateway, TlsFolder) {
    let folder = TlsFolder::with(&authority.issue(&[HOST]));
    let gateway = builder.with_tls(folder.for_server()).start().await;
    (gateway, folder)
}

async fn shake_hands(
    gateway: SocketAddr,
    connector: &TlsConnector,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(gateway).await?;
    shake_hands_on(stream, connector).await
}

async fn shake_hands_on(
    stream: TcpStream,
    connector: &TlsConnector,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(HOST).unwrap();
    within(connector.connect(name, stream)).await
}

/// One call over HTTP/2 on a connection that has shaken hands: whether it was answered.
async fn is_served(stream: TlsStream<TcpStream>) -> bool {
    let asking = async {
        let (client, connection) = h2::client::handshake(stream).await?;
        let connection = tokio::spawn(connection);
        let mut client = client.ready().await?;
        let (response, _) = client.send_request(head("/a.B/C", &[]), true)?;
        let response = response.await?;
        connection.abort();
        Ok::<_, h2::Error>(response.status() == 200)
    };
    within(asking).await.unwrap_or(false)
}

/// A handshake, and then a call. In TLS 1.3 a client learns only afterwards that its
/// certificate was refused.
async fn connects(gateway: SocketAddr, connector: &TlsConnector) -> bool {
    match shake_hands(gateway, connector).await {
        Ok(stream) => is_served(stream).await,
        Err(_) => false,
    }
}

async fn channel(
    gateway: &Gateway,
    authority: &Authority,
    client: Option<&Issued>,
) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Channel::from_shared(format!("https://{}", gateway.addr)).unwrap();
    let endpoint = endpoint.tls_config(authority.tonic(client)).unwrap();
    within(endpoint.connect()).await
}

/// Reads until the peer has closed, which it does however it likes.
async fn is_closed(stream: &mut TcpStream) {
    within(async {
        let mut buffer = [0; 1024];
        while let Ok(1..) = stream.read(&mut buffer).await {}
    })
    .await;
}

#[tokio::test]
async fn both_versions_are_spoken_and_http2_is_the_only_protocol() {
    let authority = Authority::new();
    let (mut gateway, _folder) = secured(&authority, Gateway::builder()).await;
    let h2 = b"h2".as_slice();
    for versions in [TLS_1_2, TLS_1_3] {
        for (offered, agreed) in [
            (&[h2][..], Some(Some(h2))),
            (&[b"http/1.1", h2], Some(Some(h2))),
            // Whoever asks for nothing must know what this server speaks.
            (&[], Some(None)),
            (&[b"http/1.1"], None),
        ] {
            let connector = authority.connector(offered, versions, None);
            let stream = shake_hands(gateway.addr, &connector).await.ok();
            let alpn = stream
                .as_ref()
                .map(|stream| stream.get_ref().1.alpn_protocol());
            assert_eq!(alpn, agreed, "{versions:?} {offered:?}");
            if let Some(stream) = stream {
                assert_eq!(
                    stream.get_ref().1.protocol_version(),
                    Some(versions[0].version)
                );
                assert!(is_served(stream).await, "{versions:?} {offered:?}");
            }
        }
        // A session that is resumed would vouch for a certificate of some time ago.
        let connector = authority.connector(&[h2], versions, None);
        for _ in 0..2 {
            let stream = shake_hands(gateway.addr, &connector).await.unwrap();
            let kind = stream.get_ref().1.handshake_kind();
            assert_eq!(kind, Some(HandshakeKind::Full), "{versions:?}");
            assert!(is_served(stream).await);
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn tonics_client_calls_over_tls() {
    let authority = Authority::new();
    let (mut gateway, _folder) = secured(&authority, Gateway::builder()).await;
    let channel = channel(&gateway, &authority, None).await.unwrap();
    let mut client = Gateway::client_of(channel);
    within(client.execute_response_action(request("213213")))
        .await
        .unwrap();
    let strangers = Authority::new();
    let connector = strangers.connector(&[b"h2"], ANY_TLS, None);
    shake_hands(gateway.addr, &connector).await.unwrap_err();
    gateway.stop().await;
    assert!(!gateway.log_text().contains("PRIVATE KEY"));
}

#[tokio::test]
async fn who_speaks_the_other_protocol_is_told_at_once() {
    let authority = Authority::new();
    // Longer than any test.
    let patient = || Gateway::builder().with("server.handshake_timeout", "10m");
    let (mut secure, _folder) = secured(&authority, patient()).await;
    let mut stream = TcpStream::connect(secure.addr).await.unwrap();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    is_closed(&mut stream).await;
    let mut plain = patient().start().await;
    let connector = authority.connector(&[b"h2"], ANY_TLS, None);
    shake_hands(plain.addr, &connector).await.unwrap_err();
    // Both still serve.
    assert!(connects(secure.addr, &connector).await);
    plain.execute("213213").await.unwrap();
    secure.stop().await;
    plain.stop().await;
}

#[tokio::test]
async fn a_handshake_that_does_not_come_to_its_end_is_cut() {
    let authority = Authority::new();
    let hurried = Gateway::builder().with("server.handshake_timeout", "100ms");
    let (mut gateway, _folder) = secured(&authority, hurried).await;
    // A record's header: a handshake message of 512 bytes that does not come.
    for start in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = TcpStream::connect(gateway.addr).await.unwrap();
        stream.write_all(start).await.unwrap();
        is_closed(&mut stream).await;
    }
    // TLS is done, and HTTP/2 does not come.
    let connector = authority.connector(&[b"h2"], ANY_TLS, None);
    let mut stream = shake_hands(gateway.addr, &connector).await.unwrap();
    within(stream.read_to_end(&mut Vec::new())).await.ok();
    gateway.stop().await;
}

#[tokio::test]
async fn a_handshake_counts_as_a_connection_and_holds_up_no_other() {
    let authority = Authority::new();
    let connector = authority.connector(&[b"h2"], ANY_TLS, None);
    let limit = Duration::from_millis(200);
    for (connections, timeout, waits) in [("1", limit, true), ("2", 3000 * limit, false)] {
        let builder = Gateway::builder()
            .with("server.max_connections", connections)
            .with(
                "server.handshake_timeout",
                format!("{}ms", timeout.as_millis()),
            );
        let (mut gateway, _folder) = secured(&authority, builder).await;
        let started = Instant::now();
        let silent = TcpStream::connect(gateway.addr).await.unwrap();
        assert!(connects(gateway.addr, &connector).await);
        // Only the end of the first one's time has made room.
        assert_eq!(started.elapsed() >= timeout, waits, "{connections}");
        drop(silent);
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_drain_lets_calls_over_tls_end_and_closes_the_rest() {
    let authority = Authority::new();
    let unhurried = Gateway::builder().with("drain.timeout", "1h");
    let (mut gateway, _folder) = secured(&authority, unhurried).await;
    gateway.sandbox.script("213213", [Fault::hold()]);
    let busy = channel(&gateway, &authority, None).await.unwrap();
    let idle = channel(&gateway, &authority, None).await.unwrap();
    let mut half = TcpStream::connect(gateway.addr).await.unwrap();
    half.write_all(b"\x16\x03\x01\x02\x00\x01").await.unwrap();
    let late = TcpStream::connect(gateway.addr).await.unwrap();
    let port = late.local_addr().unwrap().port();
    let call = tokio::spawn(async move {
        Gateway::client_of(busy)
            .execute_response_action(request("213213"))
            .await
    });
    gateway.sandbox.wait_for_posts("213213", 1).await;
    gateway.begin_drain().await;
    // Its handshake is done in time, though it has not begun yet.
    let connector = authority.connector(&[b"h2"], ANY_TLS, None);
    let late = shake_hands_on(late, &connector).await.unwrap();
    let mut late = Wire::over(late, port, 65_535).await;
    let refused = late.execute("213216", &[]).await.answer().await.unwrap();
    assert_eq!(refused.error().reason, "GATEWAY_DRAINING");
    assert!(gateway.is_running());
    gateway.sandbox.release("213213");
    within(call).await.unwrap().unwrap();
    gateway.stopped().await;
    is_closed(&mut half).await;
    drop(idle);
}

#[tokio::test]
async fn a_peer_that_stops_reading_is_dropped_though_tls_takes_what_it_is_given() {
    let authority = Authority::new();
    let connector = authority.connector(&[b"h2"], ANY_TLS, None);
    let watchful = Gateway::builder()
        .with("server.keepalive_interval", "100ms")
        .with("server.keepalive_timeout", "200ms");
    let (mut gateway, _folder) = secured(&authority, watchful).await;
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&gateway.addr.into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    let deaf = TcpStream::from_std(socket.into()).unwrap();
    let mut deaf = shake_hands_on(deaf, &connector).await.unwrap();
    deaf.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    // Answers to these fill every buffer between here and there.
    let pings: Vec<u8> = b"\0\0\x08\x06\0\0\0\0\0deafness".repeat(4096);
    // It ends with the connection.
    within(async { while deaf.write_all(&pings).await.is_ok() {} }).await;
    gateway.stop().await;
}
