//! Credentials that Graph has asked to wait.

use std::time::Duration;

use incidentgate::{
    authorization::{Authorization, TokenOwner},
    throttle::Passage,
};
use tokio::time::Instant;

use crate::support::{Gateway, points};

#[tokio::test]
async fn closed_gates_and_refused_calls_are_counted() {
    let mut gateway = Gateway::start().await;
    let token = |token| Authorization::bearer(token, TokenOwner::Caller).unwrap();
    let (one, other) = (token("one"), token("other"));
    let (now, hour) = (Instant::now(), Duration::from_secs(3600));
    gateway.gates.close(&one, now, hour);
    gateway.gates.close(&other, now, hour);
    for _ in 0..3 {
        let passage = gateway.gates.enter(&one, now);
        assert!(matches!(passage, Passage::Closed(wait) if wait >= hour));
    }
    assert_eq!(gateway.gates.enter(&token("third"), now), Passage::Open);
    assert_eq!(
        points(&gateway.metrics()),
        [
            "incidentgate.throttle.closed {credential} {} 2",
            "incidentgate.throttle.refused {call} {} 3",
        ]
    );
    gateway.stop().await;
}
