//! Headers that are too large, never end, or swell when they are unpacked.

use futures_util::future::join_all;

use super::{EXTRA, Fort};
use crate::support::{
    Attacker, EXECUTE, fields,
    frames::{CONTINUATION, END_HEADERS, HEADERS, OK, RST_STREAM, frame},
};

/// RFC 9113, section 4.2: the largest frame that a peer takes unless it says otherwise.
const FRAME: usize = 16 * 1024;
/// `server.max_header_list_size`, by default.
const LIMIT: usize = 64 * 1024;
/// Attackers at a time.
const CROWD: usize = 100;

/// The head of a call without a token, and more fields.
pub(super) fn request_with<'a>(more: &[(&'a str, &[u8])]) -> Vec<(&'a str, Vec<u8>)> {
    let usual: [(&str, &[u8]); 6] = [
        (":method", b"POST"),
        (":scheme", b"http"),
        (":authority", b"gateway.test"),
        (":path", EXECUTE.as_bytes()),
        ("content-type", b"application/grpc"),
        ("te", b"trailers"),
    ];
    let all = usual.into_iter().chain(more.iter().copied());
    all.map(|(name, value)| (name, value.to_vec())).collect()
}

/// As HTTP/2 counts it (RFC 9113, section 6.5.2).
fn list_size(fields: &[(&str, Vec<u8>)]) -> usize {
    fields
        .iter()
        .map(|(name, value)| name.len() + value.len() + 32)
        .sum()
}

/// One header block in as many frames as it needs. A peer that has closed hears less.
pub(super) async fn send_block(attacker: &mut Attacker, stream: u32, block: &[u8]) {
    let mut parts = block.chunks(FRAME).peekable();
    let mut kind = HEADERS;
    while let Some(part) = parts.next() {
        let flags = if parts.peek().is_none() {
            END_HEADERS
        } else {
            0
        };
        if !attacker.say(&frame(kind, flags, stream, part)).await {
            return;
        }
        kind = CONTINUATION;
    }
}

/// The stream was refused by HTTP (431), reset, or ended with its connection.
pub(super) async fn assert_turned_away(attacker: &Attacker, stream: u32) {
    assert!(!is_answered(attacker, stream).await, "it was served");
}

/// Whether the request came to gRPC, which answers by its own status.
async fn is_answered(attacker: &Attacker, stream: u32) -> bool {
    let ends = |kind: u8| kind == HEADERS || kind == RST_STREAM;
    let end = attacker.hears(|frame| frame.stream == stream && ends(frame.kind));
    end.await
        .is_some_and(|frame| frame.kind == HEADERS && frame.payload.contains(&OK))
}

#[tokio::test]
async fn headers_below_the_limit_are_read_and_above_it_turned_away() {
    let fort = Fort::start().await.besieged().await;
    let empty = list_size(&request_with(&[("x-large", b"")]));
    for (size, is_read) in [
        (LIMIT - 1, true),
        (LIMIT, false),
        (LIMIT + 1, false),
        (2 * LIMIT, false),
        (5 * LIMIT, false),
        (100 * LIMIT, false),
    ] {
        let large = vec![b'a'; size - empty];
        let request = request_with(&[("x-large", &large)]);
        assert_eq!(list_size(&request), size);
        let block = fields(request);
        let attack = || async {
            let mut attacker = Attacker::connect(fort.addr()).await;
            send_block(&mut attacker, 1, &block).await;
            assert_eq!(is_answered(&attacker, 1).await, is_read, "{size}");
        };
        join_all((0..CROWD).map(|_| attack())).await;
    }
    fort.stands(EXTRA).await;
}

#[tokio::test]
async fn many_small_fields_weigh_as_much_as_a_large_one() {
    let fort = Fort::start().await.besieged().await;
    // 2,048 empty fields: 20 KiB of bytes, and more than 64 KiB of list.
    let names: Vec<_> = (0..2048).map(|n| format!("x{n}")).collect();
    let more: Vec<_> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    let block = fields(request_with(&more));
    assert!(block.len() < LIMIT / 2);
    let attack = || async {
        let mut attacker = Attacker::connect(fort.addr()).await;
        send_block(&mut attacker, 1, &block).await;
        assert_turned_away(&attacker, 1).await;
    };
    join_all((0..CROWD).map(|_| attack())).await;
    fort.stands(EXTRA).await;
}

/// CVE-2024-27316: headers that go on by one CONTINUATION after the other.
#[tokio::test]
async fn headers_that_never_end_end_the_connection() {
    // A gateway that reads them all waits for more.
    const FRAMES: usize = 64;
    let fort = Fort::start().await.besieged().await;
    let start = fields(request_with(&[]));
    let small = fields([("x", "y")]);
    let large = fields([("x", vec![b'y'; FRAME - 100])]);
    // One value that is longer than all frames together.
    let endless = vec![b'y'; FRAME];
    for (what, part) in [
        ("empty", &b""[..]),
        ("small", &small),
        ("large", &large),
        ("endless", &endless),
    ] {
        let attack = || async {
            let mut attacker = Attacker::connect(fort.addr()).await;
            let mut start = start.clone();
            if what == "endless" {
                start.extend_from_slice(b"\0\x01x\x7f\xff\xff\xff\x7f");
            }
            attacker.say(&frame(HEADERS, 0, 1, &start)).await;
            let next = frame(CONTINUATION, 0, 1, part);
            for _ in 0..FRAMES {
                if attacker.is_closed() || !attacker.say(&next).await {
                    break;
                }
            }
            attacker.closed().await;
        };
        join_all((0..CROWD).map(|_| attack())).await;
    }
    fort.stands(EXTRA).await;
}

/// CVE-2016-6581: a value is put into the table once and named by one byte each time.
#[tokio::test]
async fn headers_that_swell_when_they_are_unpacked_are_turned_away() {
    /// RFC 7541, section 6.2.1: kept in the table, whose 4,096 bytes it fills. Its first
    /// entry is 62 (section 2.3.3), which takes one byte (section 6.1).
    const KEPT: &[u8] = b"\x40\x01x\x7f\xa1\x1e";
    const NAMED: u8 = 0xbe;
    /// `accept-encoding: gzip, deflate`, entry 16 of the static table (appendix A).
    const STATIC: u8 = 0x90;
    let fort = Fort::start().await.besieged().await;
    let kept = [KEPT, &[b'y'; 4000]].concat();
    for (what, first, byte) in [("named", &kept[..], NAMED), ("static", b"", STATIC)] {
        // 16 to 64 KiB here, and up to 256 MiB unpacked.
        for named in [FRAME, 4 * FRAME] {
            let swelling = vec![byte; named];
            let block = [&fields(request_with(&[])), first, &swelling].concat();
            let attack = || async {
                let mut attacker = Attacker::connect(fort.addr()).await;
                send_block(&mut attacker, 1, &block).await;
                assert_turned_away(&attacker, 1).await;
                // On the same connection, as long as there is one.
                for stream in (3..100).step_by(2) {
                    send_block(&mut attacker, stream, &block).await;
                }
            };
            join_all((0..CROWD).map(|_| attack())).await;
            assert!(
                fort.grown_kib() <= EXTRA,
                "{what}: {} KiB",
                fort.grown_kib()
            );
        }
    }
    // The table is as small as it may be: a peer that wants a larger one is cut.
    let mut attacker = Attacker::connect(fort.addr()).await;
    // Section 6.3: 1 MiB.
    let block = [&b"\x3f\xe1\xff\x3f"[..], &fields(request_with(&[]))].concat();
    send_block(&mut attacker, 1, &block).await;
    assert_turned_away(&attacker, 1).await;
    fort.stands(EXTRA).await;
}
