//! Frames that cost their sender nothing and the gateway something each.

use std::time::Duration;

use futures_util::future::join_all;
use h2::Reason;
use socket2::{Domain, Socket, Type};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::timeout};

use super::{EXTRA, Fort, weight::request_with};
use crate::support::{
    Attacker, PREFACE, fields,
    frames::{DATA, END_HEADERS, END_STREAM, HEADERS, WINDOW_UPDATE, frame, reset},
    valve::{Frame, PING, SETTINGS},
};

const CROWD: usize = 20;
/// Streams of one connection, unless it ends before.
const STREAMS: u32 = 5000;
/// RFC 9113, section 6.3.
const PRIORITY: u8 = 2;

fn open(stream: u32, more: &[(&str, &[u8])]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &fields(request_with(more)))
}

/// Says each of these until the connection is closed; the GOAWAY that it ended with, if
/// there was time for one.
async fn say_until_closed(attacker: &mut Attacker, parts: impl Iterator<Item = Vec<u8>>) {
    for part in parts {
        if attacker.is_closed() || !attacker.say(&part).await {
            return;
        }
    }
}

/// CVE-2023-44487.
#[tokio::test]
async fn calls_that_are_reset_at_once_end_the_connection() {
    let fort = Fort::start().await.besieged().await;
    let attack = || async {
        let mut attacker = Attacker::connect(fort.addr()).await;
        let calls = (0..STREAMS).map(|n| {
            let stream = 2 * n + 1;
            [open(stream, &[]), reset(stream, Reason::CANCEL)].concat()
        });
        // Many in one write, as an attacker's network would.
        let calls: Vec<_> = calls.collect();
        say_until_closed(&mut attacker, calls.chunks(100).map(<[_]>::concat)).await;
        let heard = attacker.closed().await;
        let calm = u32::from(Reason::ENHANCE_YOUR_CALM);
        // A RST can take the GOAWAY with it that was sent before.
        let goaway = heard.iter().find(|frame| frame.is_goaway());
        assert!(
            goaway.is_none_or(|goaway| goaway.error() == calm),
            "{heard:?}"
        );
    };
    join_all((0..CROWD).map(|_| attack())).await;
    fort.stands(EXTRA).await;
}

/// CVE-2025-8671: the gateway is made to reset the streams itself.
#[tokio::test]
async fn who_makes_the_gateway_reset_its_calls_is_cut() {
    let fort = Fort::start().await.besieged().await;
    let fault = |what: &str, stream: u32| match what {
        "a window that grows by nothing" => {
            let update = frame(WINDOW_UPDATE, 0, stream, &[0; 4]);
            [open(stream, &[]), update].concat()
        }
        "a window that overflows" => {
            let update = frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes());
            [open(stream, &[]), update].concat()
        }
        "data behind the end" => {
            let head = fields(request_with(&[]));
            let head = frame(HEADERS, END_HEADERS | END_STREAM, stream, &head);
            [head, frame(DATA, 0, stream, b"x")].concat()
        }
        "malformed headers" => open(stream, &[("te", b"gzip")]),
        "more than was said" => {
            let head = open(stream, &[("content-length", b"1")]);
            [head, frame(DATA, 0, stream, b"xx")].concat()
        }
        "a priority of a wrong length" => {
            [open(stream, &[]), frame(PRIORITY, 0, stream, &[0; 4])].concat()
        }
        what => panic!("{what}"),
    };
    for what in [
        "a window that grows by nothing",
        "a window that overflows",
        "data behind the end",
        "malformed headers",
        "more than was said",
        "a priority of a wrong length",
    ] {
        let attack = || async {
            let mut attacker = Attacker::connect(fort.addr()).await;
            let parts = (0..STREAMS).map(|n| fault(what, 2 * n + 1));
            say_until_closed(&mut attacker, parts).await;
            attacker.closed().await;
        };
        join_all((0..CROWD).map(|_| attack())).await;
    }
    fort.stands(EXTRA).await;
}

#[tokio::test]
async fn a_stream_of_empty_data_ends_the_connection() {
    let fort = Fort::start().await.besieged().await;
    let health = |stream: u32| {
        let mut request = request_with(&[]);
        request[3].1 = b"/grpc.health.v1.Health/Check".to_vec();
        frame(HEADERS, END_HEADERS, stream, &fields(request))
    };
    let attack = || async {
        let mut attacker = Attacker::connect(fort.addr()).await;
        attacker.say(&health(1)).await;
        let empty = std::iter::repeat_n(frame(DATA, 0, 1, b""), 100_000);
        say_until_closed(&mut attacker, empty).await;
        attacker.closed().await;
    };
    join_all((0..CROWD).map(|_| attack())).await;
    fort.stands(EXTRA).await;
}

/// CVE-2019-9512 and CVE-2019-9515: each wants an answer, and nobody reads them.
#[tokio::test]
async fn answers_that_nobody_reads_do_not_pile_up() {
    let fort = Fort::start().await.besieged().await;
    for part in [
        frame(PING, 0, 0, b"flooding"),
        frame(SETTINGS, 0, 0, b""),
        frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff].repeat(1000)),
    ] {
        let attack = || async {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_recv_buffer_size(4096).unwrap();
            socket.connect(&fort.addr().into()).unwrap();
            socket.set_nonblocking(true).unwrap();
            let mut deaf = TcpStream::from_std(socket.into()).unwrap();
            deaf.write_all(PREFACE).await.unwrap();
            let flood = part.repeat(64 * 1024 / part.len());
            // Until nothing more is taken. On a slow machine that may be too early, and
            // then the attack was smaller.
            let taken = async { while deaf.write_all(&flood).await.is_ok() {} };
            timeout(Duration::from_secs(2), taken).await.ok();
            deaf
        };
        let deaf = join_all((0..CROWD).map(|_| attack())).await;
        assert!(fort.grown_kib() <= EXTRA, "{} KiB", fort.grown_kib());
        drop(deaf);
    }
    // The same with somebody who reads.
    let mut attacker = Attacker::connect(fort.addr()).await;
    let pings = frame(PING, 0, 0, b"flooding").repeat(100);
    say_until_closed(&mut attacker, std::iter::repeat_n(pings, 100)).await;
    attacker.hears(Frame::is_ping_answer).await;
    fort.stands(EXTRA).await;
}
