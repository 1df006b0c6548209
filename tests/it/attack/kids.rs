//! Tokens that name keys which nobody has: each could make the gateway ask the issuer.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::{StreamExt as _, stream};
use incidentgate::sandbox::{Endpoint, EntraAct, EntraFault};
use serde_json::json;
use tokio::time::Instant;
use tonic::Code;

use super::{EXTRA, Fort, fort::TARGET};
use crate::support::{RawCall, Wire, within};

const FLOOD: usize = 2000;
/// Keys that are younger are not asked for anew (`callers::token::RENEWAL_INTERVAL`), in
/// seconds.
const INTERVAL: u64 = 10;

/// The good token under a header that names another key.
fn invented(good: &str, n: usize) -> String {
    let (_, rest) = good.split_once('.').unwrap();
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": format!("invented-{n}")});
    format!(
        "Bearer {}.{rest}",
        URL_SAFE_NO_PAD.encode(header.to_string())
    )
}

async fn flood(fort: &Fort, from: usize, count: usize) -> Vec<RawCall> {
    let mut sent = Vec::with_capacity(count);
    let mut wires = Vec::new();
    for n in 0..count {
        if n % 200 == 0 {
            wires.push(Wire::connect(fort.addr()).await);
        }
        let token = invented(&fort.token, from + n);
        let headers = [("authorization", token.as_str()), ("grpc-timeout", "10S")];
        let wire = wires.last_mut().unwrap();
        sent.push(wire.execute(TARGET, &headers).await);
    }
    let answers = stream::iter(sent).map(|sent| async { sent.answer_some_day().await.unwrap() });
    within(answers.buffer_unordered(count).collect()).await
}

/// The most requests for keys since `began`.
fn bound(began: Instant) -> usize {
    usize::try_from(began.elapsed().as_secs() / INTERVAL).unwrap() + 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_invented_keys_asks_the_issuer_seldom_and_holds_up_nobody() {
    let began = Instant::now();
    let hurried = &[("INCIDENTGATE_CALLERS__JWT_TIMEOUT", "1s")];
    let fort = Fort::with(hurried).await.besieged().await;
    for call in flood(&fort, 0, FLOOD).await {
        Fort::assert_nobody(&call, "invented");
    }
    let asked = fort.key_requests();
    assert!(asked <= bound(began), "asked {asked} times");

    // Now the issuer hangs, and the keys grow so old that one of these tokens asks.
    let hang = EntraFault {
        on: Endpoint::Keys,
        ..EntraFault::of(EntraAct::Hang)
    };
    fort.sandbox.script_entra(std::iter::repeat_n(hang, FLOOD));
    let mut wire = Wire::connect(fort.addr()).await;
    within(async {
        for n in 0.. {
            let token = invented(&fort.token, FLOOD + n);
            let headers = [("authorization", token.as_str()), ("grpc-timeout", "100m")];
            let call = wire.execute(TARGET, &headers).await.answer().await.unwrap();
            if call.grpc_status().code() != Code::Unauthenticated {
                break;
            }
        }
    })
    .await;
    // Nobody can tell whether these are good, and says so; the good caller's key is known.
    for call in flood(&fort, 2 * FLOOD, FLOOD).await {
        let error = call.error();
        assert_eq!(
            (error.code, &*error.reason),
            (Code::Unavailable, "ISSUER_UNAVAILABLE")
        );
        assert_eq!(error.outcome, "NOT_STARTED");
        assert!(error.details.retry_info().is_some());
    }
    let asked = fort.key_requests();
    assert!(
        (2..=2 * bound(began)).contains(&asked),
        "asked {asked} times"
    );
    fort.stands(EXTRA).await;
}
