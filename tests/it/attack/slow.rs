//! Peers that send so slowly that nothing ever comes to its end. A slow preface is in
//! `connection`.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::interval,
};
use tonic::Code;

use super::{EXTRA, Fort, weight::request_with};
use crate::support::{
    PREFACE, Wire, execute_message, fields,
    frames::{CONTINUATION, END_HEADERS, HEADERS, frame},
    head,
    valve::SETTINGS,
    within,
};

/// Between two bytes. What is sent here takes longer than any limit of the tests'.
const PACE: Duration = Duration::from_millis(20);
const CROWD: usize = 50;

/// Sends byte by byte until the peer has closed, which must happen before the end.
pub(super) async fn assert_cut_while_dripping(stream: TcpStream, bytes: &[u8]) {
    let (mut from, mut to) = stream.into_split();
    let dripping = async {
        let mut pace = interval(PACE);
        for byte in bytes {
            pace.tick().await;
            if to.write_all(&[*byte]).await.is_err() {
                // The other half sees the end, too.
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut said = Vec::new();
    tokio::select! {
        () = dripping => {}
        // FIN or RST.
        _ = within(from.read_to_end(&mut said)) => {}
    }
}

#[tokio::test]
async fn headers_that_come_byte_by_byte_are_cut() {
    let watchful = &[
        ("INCIDENTGATE_SERVER__KEEPALIVE_INTERVAL", "200ms"),
        ("INCIDENTGATE_SERVER__KEEPALIVE_TIMEOUT", "1s"),
    ];
    let fort = Fort::with(watchful).await.besieged().await;
    let block = fields(request_with(&[("x-slow", &[b'y'; 8000])]));
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    let whole = frame(HEADERS, END_HEADERS, 1, &block);
    let mut in_parts = frame(HEADERS, 0, 1, b"");
    for byte in &block {
        in_parts.extend(frame(CONTINUATION, 0, 1, &[*byte]));
    }
    for bytes in [whole, in_parts] {
        let dripping = (0..CROWD).map(|_| async {
            let mut stream = TcpStream::connect(fort.addr()).await.unwrap();
            stream.write_all(&hello).await.unwrap();
            assert_cut_while_dripping(stream, &bytes).await;
        });
        join_all(dripping).await;
    }
    fort.stands(EXTRA).await;
}

#[tokio::test]
async fn a_message_that_never_ends_is_told_and_starts_nothing() {
    let hurried = &[
        ("INCIDENTGATE_DEADLINE__DEFAULT", "2s"),
        ("INCIDENTGATE_DEADLINE__MAX", "2s"),
    ];
    let fort = Fort::with(hurried).await.besieged().await;
    let bearer = fort.bearer();
    let execute = crate::support::EXECUTE;
    for (path, authorization, code) in [
        // Who has no token is not waited for.
        (execute, "", Code::Unauthenticated),
        (execute, bearer.as_str(), Code::DeadlineExceeded),
        ("/grpc.health.v1.Health/Check", "", Code::DeadlineExceeded),
        ("/grpc.health.v1.Health/Watch", "", Code::DeadlineExceeded),
        ("/no.such.Service/Call", "", Code::Unimplemented),
    ] {
        let dripping = (0..CROWD).map(|_| async {
            let mut wire = Wire::connect(fort.addr()).await;
            let mut sent = wire
                .begin(head(path, &[("authorization", authorization)]))
                .await;
            let mut message = execute_message(super::fort::TARGET);
            let _last = message.split_off(message.len() - 1);
            let mut pace = interval(PACE);
            for byte in message {
                pace.tick().await;
                sent.data(Bytes::copy_from_slice(&[byte]), false);
            }
            let call = sent.answer().await.unwrap();
            assert_eq!(call.grpc_status().code(), code, "{path}");
        });
        join_all(dripping).await;
    }
    fort.stands(EXTRA).await;
}
