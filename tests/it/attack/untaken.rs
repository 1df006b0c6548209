//! Answers that are asked for and never taken: their streams stay open, and what they hold
//! stays held (CVE-2019-9511 and others).

use http::StatusCode;
use tonic::Code;

use super::{EXTRA, Fort, weight::request_with};
use crate::support::{
    Attacker, fields, frame as message_frame,
    frames::{DATA, END_HEADERS, END_STREAM, HEADERS, frame},
    head, within,
};

/// RFC 9113, section 6.5.2: `SETTINGS_INITIAL_WINDOW_SIZE`, 0.
const NO_WINDOW: &[u8] = &[0, 4, 0, 0, 0, 0];
/// Calls of one connection, as many as it may have by default.
const CALLS: u32 = 256;
/// Connections for each kind of question.
const CROWD: usize = 20;
/// `server::wire::OWN_SEATS` and `server::front::SHARED_SEATS`.
const OWN_SEATS: usize = 4;
const SHARED_SEATS: usize = 8192;

/// Asks as often as it may; how many were refused, whose answers need no window.
async fn ask(attacker: &mut Attacker, method: &str, path: &str) -> usize {
    let mut request = request_with(&[]);
    request[0].1 = method.into();
    request[3].1 = path.into();
    let block = fields(request);
    let streams = || (0..CALLS).map(|n| 2 * n + 1);
    for stream in streams() {
        let head = frame(HEADERS, END_HEADERS, stream, &block);
        let message = frame(DATA, END_STREAM, stream, &[0; 5]);
        attacker.say(&[head, message].concat()).await;
    }
    let mut refused = 0;
    for stream in streams() {
        let begun = attacker.hears(|frame| frame.stream == stream && frame.kind == HEADERS);
        refused += usize::from(begun.await.unwrap().flags & END_STREAM != 0);
    }
    refused
}

#[tokio::test]
async fn what_strangers_may_ask_is_bounded_and_keeps_no_probe_out() {
    const HEALTH: &str = "/grpc.health.v1.Health";
    let fort = Fort::start().await.besieged().await;
    let mut attackers = Vec::new();
    let mut refused = 0;
    for (method, path) in [
        ("POST", format!("{HEALTH}/Watch")),
        ("POST", format!("{HEALTH}/Check")),
        ("POST", format!("{HEALTH}/List")),
        ("GET", "/".to_owned()),
    ] {
        for _ in 0..CROWD {
            let mut attacker = Attacker::connect_with(fort.addr(), NO_WINDOW).await;
            refused += ask(&mut attacker, method, &path).await;
            attackers.push(attacker);
        }
    }
    let asked = attackers.len() * usize::try_from(CALLS).unwrap();
    let answered = attackers.len() * OWN_SEATS + SHARED_SEATS;
    assert_eq!(refused, asked - answered);
    // Measured: 15 KiB for each that is held.
    let grown = fort.grown_kib();
    assert!(grown <= answered * 20, "{grown} KiB");

    // A probe comes by a connection of its own, and is answered.
    let mut wire = fort.wire().await;
    let probe = wire.health("Check").await.answer().await.unwrap();
    assert_eq!(probe.grpc_status().code(), Code::Ok);
    let mut page = head("/", &[]);
    *page.method_mut() = http::Method::GET;
    let mut sent = wire.begin(page).await;
    sent.data(message_frame(b""), true);
    assert_eq!(
        sent.answer().await.unwrap().status,
        StatusCode::METHOD_NOT_ALLOWED
    );
    // Whoever wants more on one connection is told to come back. A watch that comes before the
    // seat of an answer just taken is free again is refused itself: so there is always one more.
    let mut watches = Vec::new();
    let refused = within(async {
        loop {
            watches.push(wire.health("Watch").await);
            let call = wire.health("Check").await.answer().await.unwrap();
            if call.grpc_status().code() != Code::Ok {
                return call.error();
            }
        }
    })
    .await;
    let told = (refused.code, &*refused.reason);
    assert_eq!(told, (Code::ResourceExhausted, "GATEWAY_OVERLOADED"));
    assert!(refused.details.retry_info().is_some());
    // With the attackers their streams are gone.
    drop(attackers);
    within(async {
        loop {
            let call = wire.health("Check").await.answer().await.unwrap();
            if call.grpc_status().code() == Code::Ok {
                break;
            }
        }
    })
    .await;
    drop(watches);
    fort.stands(4 * EXTRA).await;
}
