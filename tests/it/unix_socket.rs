//! The gateway on a unix socket.

use std::{
    fs,
    net::SocketAddr,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::UnixListener as StdUnixListener,
    },
    path::{Path, PathBuf},
};

use incidentgate::{
    listen_address::ListenAddress,
    sandbox::Fault,
    server::{BindError, Listener, UnixSocket},
};
use opentelemetry::trace::SpanKind;
use tempfile::TempDir;
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpStream, UnixStream},
};
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};

use crate::support::{
    Authority, Gateway, GatewayBuilder, TlsFolder, Wire, attributes, program::run, request, within,
};

/// A folder for a socket; the path of a socket has at most 107 bytes.
fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::Builder::new().tempdir_in("/tmp").unwrap();
    let path = folder.path().join("gate");
    (folder, path)
}

async fn start_at(path: &Path, builder: GatewayBuilder) -> Gateway {
    let socket = UnixSocket::bind(path).await.unwrap();
    builder
        .start_on(socket, SocketAddr::from(([0; 4], 0)))
        .await
}

async fn channel(path: &Path) -> Channel {
    let endpoint = Endpoint::from_shared(format!("unix:{}", path.display())).unwrap();
    within(endpoint.connect()).await.unwrap()
}

#[tokio::test]
async fn a_call_comes_and_is_answered_and_the_file_goes_with_the_gateway() {
    let (_folder, path) = place();
    let mut gateway = start_at(&path, Gateway::builder()).await;
    let metadata = fs::symlink_metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o660);
    let mut client = Gateway::client_of(channel(&path).await);
    within(client.execute_response_action(request("213213")))
        .await
        .unwrap();
    let spans = gateway.wait_for_spans(2).await;
    let server = spans.iter().find(|span| span.span_kind == SpanKind::Server);
    let all = attributes(&server.unwrap().attributes).into_iter();
    let network: Vec<_> = all.filter(|pair| pair.starts_with("network.")).collect();
    assert_eq!(network, ["network.transport=text:unix"]);
    drop(client);
    gateway.stop().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn calls_that_wait_to_be_accepted_are_told_that_the_gateway_leaves() {
    let (_folder, path) = place();
    let narrow = Gateway::builder()
        .with("server.max_connections", "1")
        .with("drain.timeout", "1h");
    let mut gateway = start_at(&path, narrow).await;
    gateway.sandbox.script("213213", [Fault::hold()]);
    let mut calls = Vec::new();
    for id in ["213213", "213216", "213216"] {
        let socket = UnixStream::connect(&path).await.unwrap();
        let mut wire = Wire::over(socket, 0, 65_535).await;
        calls.push((wire.execute(id, &[]).await, wire));
        within(gateway.sandbox.wait_for_posts("213213", 1)).await;
    }
    gateway.shutdown.graceful.cancel();
    let mut ends = Vec::new();
    while let Some((sent, _wire)) = calls.pop() {
        ends.push(sent.answer().await.unwrap().grpc_status().code());
        // Those who wait are told at once.
        if calls.len() == 1 {
            gateway.sandbox.release("213213");
        }
    }
    assert_eq!(ends, [Code::Unavailable, Code::Unavailable, Code::Ok]);
    gateway.stopped().await;
    assert_eq!(gateway.sandbox.posts("213216"), 0);
}

#[tokio::test]
async fn the_audit_log_names_the_socket() {
    let (folder, path) = place();
    let file = folder.path().join("audit");
    let builder = Gateway::builder()
        .with("audit.sink", "file")
        .with("audit.file", file.to_str().unwrap());
    let mut gateway = start_at(&path, builder).await;
    let mut client = Gateway::client_of(channel(&path).await);
    within(client.execute_response_action(request("213213")))
        .await
        .unwrap();
    gateway.stop().await;
    let log = fs::read_to_string(&file).unwrap();
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["caller"]["peer"], "unix");
    }
    assert_eq!(log.lines().count(), 2);
}

#[tokio::test]
async fn only_a_socket_that_a_dead_process_left_behind_is_replaced() {
    let (folder, path) = place();
    // What a kill leaves.
    drop(StdUnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let socket = UnixSocket::bind(&path).await.unwrap();
    let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o660);

    let error = UnixSocket::bind(&path).await.unwrap_err();
    let expected = format!(
        "{} is in use: another process listens on it",
        path.display()
    );
    assert_eq!(error.to_string(), expected);
    // The one in use is not harmed by the other's end.
    within(UnixStream::connect(&path)).await.unwrap();
    drop(socket);
    assert!(!path.exists());

    fs::write(&path, "text").unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    for path in [&path, &link, &folder.path().to_owned()] {
        let error = UnixSocket::bind(path).await.unwrap_err();
        let expected = format!("{} exists and is not a socket", path.display());
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "text");
}

#[tokio::test]
async fn a_queue_that_is_full_belongs_to_somebody() {
    let (_folder, path) = place();
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    socket
        .bind(&socket2::SockAddr::unix(&path).unwrap())
        .unwrap();
    socket.listen(0).unwrap();
    let _waiting = UnixStream::connect(&path).await.unwrap();
    let error = UnixSocket::bind(&path).await.unwrap_err();
    assert!(matches!(error, BindError::InUse(_)), "{error:?}");
}

#[tokio::test]
async fn a_file_that_another_one_has_put_in_its_place_is_left_alone() {
    let (_folder, path) = place();
    let mut gateway = start_at(&path, Gateway::builder()).await;
    // Inodes are used again, so the old file stays somewhere.
    fs::rename(&path, path.with_extension("old")).unwrap();
    fs::write(&path, "another's").unwrap();
    gateway.stop().await;
    assert_eq!(fs::read_to_string(&path).unwrap(), "another's");
}

#[tokio::test]
async fn a_place_where_no_socket_can_be_is_an_error() {
    let (folder, path) = place();
    let long = folder.path().join("x".repeat(200));
    for path in [&path.join("below"), &long] {
        let error = UnixSocket::bind(path).await.unwrap_err();
        assert!(matches!(error, BindError::Io(..)), "{error:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_listener_says_where_it_listens() {
    let (_folder, path) = place();
    let address = ListenAddress::Unix(path.clone());
    let listener = Listener::bind(&address).await.unwrap();
    assert_eq!(listener.address().unwrap(), address);
    assert_eq!(address.to_string(), format!("unix:{}", path.display()));
    let any = ListenAddress::Tcp("127.0.0.1:0".parse().unwrap());
    let listener = Listener::bind(&any).await.unwrap();
    let ListenAddress::Tcp(address) = listener.address().unwrap() else {
        panic!("it is a port");
    };
    assert_ne!(address.port(), 0);
    within(TcpStream::connect(address)).await.unwrap();
}

#[tokio::test]
async fn a_silent_connection_is_cut() {
    let (_folder, path) = place();
    let hurried = Gateway::builder().with("server.handshake_timeout", "100ms");
    let mut gateway = start_at(&path, hurried).await;
    let mut silent = UnixStream::connect(&path).await.unwrap();
    within(silent.read_to_end(&mut Vec::new())).await.ok();
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_calls_over_a_socket_and_over_tls() {
    let (folder, path) = place();
    let mut local = start_at(&path, Gateway::builder()).await;
    let authority = Authority::new();
    let clients = Authority::new();
    let files = TlsFolder::with(&authority.issue(&["127.0.0.1"]));
    files.put("ca", clients.pem());
    let mut remote = Gateway::builder()
        .with_tls(files.for_server())
        .start()
        .await;
    let own = TlsFolder::with(&clients.issue(&["spiffe://example.org/cli"]));
    own.put("ca", authority.pem());
    let token = folder.path().join("token");
    fs::write(&token, "token").unwrap();

    let [socket, old_socket] =
        ["unix:", "unix://"].map(|scheme| format!("{scheme}{}", path.display()));
    let https = format!("https://{}", remote.addr);
    let file = |name| own.path().join(name).to_str().unwrap().to_owned();
    let (ca, certificate, key) = (file("ca"), file("certificate"), file("key"));
    let pair = ["--certificate-file", &certificate, "--key-file", &key];
    let trusted = ["--endpoint", &https, "--ca-file", &ca];
    let with_pair = [&trusted[..], &pair].concat();
    let swapped = ["--certificate-file", &key, "--key-file", &certificate];
    let with_swapped = [&trusted[..], &swapped].concat();
    let unix_with_ca = ["--endpoint", &socket, "--ca-file", &ca];
    let missing = ["--endpoint", &https, "--ca-file", "/nowhere/ca"];
    let cases: [(&[&str], i32, &str); 9] = [
        (&["--endpoint", &socket], 0, "SERVING"),
        (&["--endpoint", &old_socket], 0, "SERVING"),
        (&trusted, 0, "SERVING"),
        (&with_pair, 0, "SERVING"),
        (
            &["--endpoint", &https],
            1,
            "cannot reach the gateway at https://",
        ),
        (&with_swapped, 64, "--certificate-file"),
        (&unix_with_ca, 64, "need an --endpoint with https"),
        (&missing, 64, "--ca-file /nowhere/ca cannot be read"),
        (&[&trusted[..], &pair[..2]].concat(), 64, "--key-file"),
    ];
    for (arguments, code, says) in cases {
        let ended = tokio::task::block_in_place(|| run(&[&["health"], arguments].concat()));
        assert_eq!(ended.code, Some(code), "{arguments:?} {ended:?}");
        let all = format!("{}{}", ended.stdout, ended.stderr);
        assert!(all.contains(says), "{arguments:?} {all}");
    }
    let token = ["213213", "--token-file", token.to_str().unwrap()];
    for arguments in [&["--endpoint", &socket][..], &with_pair] {
        let arguments = [&["execute"], &token[..], arguments].concat();
        let ended = tokio::task::block_in_place(|| run(&arguments));
        assert_eq!(ended.code, Some(0), "{arguments:?} {ended:?}");
    }
    local.stop().await;
    remote.stop().await;
}
