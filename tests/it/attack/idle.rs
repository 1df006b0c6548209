//! Connections that do nothing but be there, and what each of them costs.

use std::{fs, net::SocketAddr, process::Command};

use futures_util::{StreamExt as _, stream};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    EXTRA, Fort,
    fort::{HOST, shake_hands},
};
use crate::support::{
    ANY_TLS, Authority, PREFACE, TlsFolder, frames::frame, valve::SETTINGS, within,
};

/// Fewer where the machine allows fewer open files.
const PLAIN: usize = 10_000;
const SECURE: usize = 1000;
/// Open files beside these connections, of the test and of the gateway.
const OTHER_FILES: usize = 1000;
/// Connections that are made at a time.
const TOGETHER: usize = 100;
/// What one may cost, in KiB, after it has said hello. Measured: 36 KiB without TLS, of
/// which 24 are HTTP/2's two buffers (h2 makes them as large as that), and 47 with it.
const MAX_KIB: usize = 45;
const MAX_SECURE_KIB: usize = 60;

/// As many as can be open here; what this process may open is raised as far as it goes.
fn affordable(wanted: usize) -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let hard = line.unwrap().split_whitespace().nth(4).unwrap();
    let raise = format!("--nofile={hard}:{hard}");
    let own = std::process::id().to_string();
    // Part of util-linux. Where it is missing, what there is must do.
    Command::new("prlimit")
        .args([&raise, "--pid", &own])
        .status()
        .ok();
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft = line.unwrap().split_whitespace().nth(3).unwrap();
    let soft: usize = soft.parse().unwrap_or(usize::MAX);
    let affordable = wanted.min(soft.saturating_sub(OTHER_FILES));
    assert!(
        affordable >= 20,
        "{soft} open files are too few for this test"
    );
    affordable
}

/// Says hello, and waits until the gateway has said it, too.
async fn hello<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> S {
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    within(async {
        stream.write_all(&hello).await.unwrap();
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(head[3], SETTINGS);
    })
    .await;
    stream
}

async fn plain(addr: SocketAddr) -> TcpStream {
    hello(within(TcpStream::connect(addr)).await.unwrap()).await
}

#[tokio::test]
async fn ten_thousand_idle_connections_cost_little_and_keep_nobody_out() {
    let count = affordable(PLAIN);
    // They take every slot that there is.
    let room = count.to_string();
    let fort = Fort::with(&[("INCIDENTGATE_SERVER__MAX_CONNECTIONS", &room)]).await;
    let fort = fort.besieged().await;
    let idle: Vec<_> = stream::iter(0..count)
        .map(|_| plain(fort.addr()))
        .buffer_unordered(TOGETHER)
        .collect()
        .await;
    let grown = fort.grown_kib();
    assert!(grown <= count * MAX_KIB, "{count}: {grown} KiB");
    fort.stands(count * MAX_KIB + EXTRA).await;
    drop(idle);
}

#[tokio::test]
async fn a_thousand_idle_connections_over_tls_cost_little_and_keep_nobody_out() {
    let count = affordable(SECURE);
    let authority = Authority::new();
    let folder = TlsFolder::with(&authority.issue(&[HOST]));
    let fort = Fort::with(&[
        (
            "INCIDENTGATE_TLS__CERTIFICATE_FILE",
            &folder.file("certificate"),
        ),
        ("INCIDENTGATE_TLS__KEY_FILE", &folder.file("key")),
    ])
    .await;
    let connector = authority.connector(&[b"h2"], ANY_TLS, None);
    let fort = fort.behind_tls(connector.clone()).besieged().await;
    let idle: Vec<_> = stream::iter(0..count)
        .map(|_| async { hello(within(shake_hands(fort.addr(), &connector)).await.unwrap()).await })
        .buffer_unordered(TOGETHER)
        .collect()
        .await;
    let grown = fort.grown_kib();
    assert!(grown <= count * MAX_SECURE_KIB, "{count}: {grown} KiB");
    drop(idle);
    fort.stands(count * MAX_SECURE_KIB + EXTRA).await;
}
