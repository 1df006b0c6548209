//! The gates of many credentials.

use std::{collections::HashMap, time::Duration};

use proptest::prelude::*;
use tokio::time::Instant;

use super::{Gates, MAX_CLOSED, MAX_GATES, Passage, gate::RAMP, table::Table};
use crate::{
    authorization::{Authorization, TokenOwner},
    telemetry::Metrics,
};

const SECOND: Duration = Duration::from_secs(1);

fn gates() -> Gates {
    Gates::new(true, Metrics::disabled())
}

/// A token that says nothing of itself.
pub(super) fn opaque(token: &str) -> Authorization {
    Authorization::bearer(token, TokenOwner::Caller).unwrap()
}

/// A token with these claims as its payload; `n` tells it from others with the same.
fn naming(payload: &serde_json::Value, n: u32) -> Authorization {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let payload = URL_SAFE_NO_PAD.encode(payload.to_string());
    opaque(&format!("e30.{payload}.{n}"))
}

#[test]
fn a_closed_gate_refuses_its_credential_alone_until_it_opens() {
    let (gates, now) = (gates(), Instant::now());
    let (one, other) = (opaque("one"), opaque("other"));
    assert_eq!(gates.enter(&one, now), Passage::Open);
    gates.close(&one, now, 10 * SECOND);
    assert_eq!(gates.enter(&one, now), Passage::Closed(10 * SECOND));
    assert_eq!(gates.enter(&other, now), Passage::Open);
    assert_eq!(gates.clone().enter(&one, now + 10 * SECOND), Passage::Open);
}

#[test]
fn an_application_in_a_tenant_has_one_gate_and_all_else_its_own() {
    use serde_json::json;
    let token = naming(&json!({"appid": "a", "tid": "t", "oid": "o"}), 0);
    for (other, shares) in [
        (
            naming(&json!({"appid": "a", "tid": "t", "oid": "p"}), 1),
            true,
        ),
        (naming(&json!({"azp": "a", "tid": "t"}), 2), true),
        (naming(&json!({"appid": "a", "tid": "u"}), 3), false),
        (naming(&json!({"appid": "b", "tid": "t"}), 4), false),
        (naming(&json!({"appid": "at"}), 5), false),
        (naming(&json!({"appid": "a"}), 6), false),
        (naming(&json!({"tid": "t"}), 7), false),
        (opaque("a"), false),
    ] {
        let (gates, now) = (gates(), Instant::now());
        gates.close(&token, now, SECOND);
        let refused = gates.enter(&other, now) != Passage::Open;
        assert_eq!(refused, shares, "{:?}", other.claims());
    }
    // Without both claims it is the token that counts, not the one claim.
    let (gates, now) = (gates(), Instant::now());
    gates.close(&naming(&json!({"appid": "a"}), 0), now, SECOND);
    let same = gates.enter(&naming(&json!({"appid": "a"}), 0), now);
    assert_eq!(same, Passage::Closed(SECOND));
    assert_eq!(
        gates.enter(&naming(&json!({"appid": "a"}), 1), now),
        Passage::Open
    );
}

#[test]
fn whose_token_it_is_does_not_matter() {
    let (gates, now) = (gates(), Instant::now());
    gates.close(&opaque("t"), now, SECOND);
    let own = Authorization::bearer("t", TokenOwner::Gateway).unwrap();
    assert_eq!(gates.enter(&own, now), Passage::Closed(SECOND));
}

#[test]
fn a_wait_is_capped_and_none_is_none() {
    let (gates, now, token) = (gates(), Instant::now(), opaque("t"));
    gates.close(&token, now, Duration::ZERO);
    assert_eq!(gates.enter(&token, now), Passage::Open);
    assert_eq!(gates.enter(&token, now), Passage::Open);
    gates.close(&token, now, Duration::MAX);
    assert_eq!(gates.enter(&token, now), Passage::Closed(MAX_CLOSED));
}

#[test]
fn a_gate_is_forgotten_after_its_slow_opening() {
    let (gates, now, token) = (gates(), Instant::now(), opaque("t"));
    gates.close(&token, now, SECOND);
    let end = now + SECOND + RAMP;
    let almost = end - Duration::from_millis(1);
    assert_eq!(gates.enter(&token, almost), Passage::Open);
    assert!(matches!(gates.enter(&token, almost), Passage::After(_)));
    for _ in 0..1_000 {
        assert_eq!(gates.enter(&token, end), Passage::Open);
    }
    assert_eq!(gates.shared.table().len(), 0);
}

#[test]
fn while_nothing_is_closed_the_lock_is_not_taken() {
    let (gates, now) = (gates(), Instant::now());
    let _held = gates.shared.table();
    // Would wait for ever.
    assert_eq!(gates.enter(&opaque("t"), now), Passage::Open);
}

#[test]
fn when_there_are_too_many_gates_the_first_to_open_gives_way() {
    let (gates, now) = (gates(), Instant::now());
    let token = |n: usize| opaque(&format!("token-{n}"));
    for n in 0..=MAX_GATES {
        // The first is closed for the longest time, the second for the shortest.
        let seconds = if n == 0 { 3_000 } else { 1_000 };
        let wait = Duration::from_secs(seconds) + Duration::from_millis(n as u64);
        gates.close(&token(n), now, wait);
    }
    assert_eq!(gates.shared.table().len(), MAX_GATES);
    assert_eq!(gates.enter(&token(1), now), Passage::Open);
    for n in [0, 2, MAX_GATES] {
        let passage = gates.enter(&token(n), now);
        assert!(matches!(passage, Passage::Closed(_)), "{n}");
    }
    assert_eq!(
        *gates.closed_until().borrow(),
        Some(now + Duration::from_secs(3_000))
    );
}

#[test]
fn the_last_opening_is_told_and_only_moves_forward() {
    let (gates, now) = (gates(), Instant::now());
    let mut until = gates.closed_until();
    assert_eq!(*until.borrow(), None);
    for (token, wait, told) in [
        ("one", 10, Some(10)),
        ("one", 5, None),
        ("other", 9, None),
        ("other", 11, Some(11)),
    ] {
        gates.close(&opaque(token), now, wait * SECOND);
        assert_eq!(
            until.has_changed().unwrap(),
            told.is_some(),
            "{token} {wait}"
        );
        if let Some(told) = told {
            assert_eq!(*until.borrow_and_update(), Some(now + told * SECOND));
        }
    }
}

#[test]
fn debug_shows_neither_token_nor_claims() {
    let gates = gates();
    let token = naming(&serde_json::json!({"appid": "app-1", "tid": "tenant-1"}), 0);
    gates.close(&token, Instant::now(), SECOND);
    gates.close(&opaque("s3cret"), Instant::now(), SECOND);
    let shown = format!("{gates:?}");
    for hidden in ["app-1", "tenant-1", "s3cret", token.token()] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}

/// What happens to a table, some time after what happened before.
#[derive(Debug, Clone)]
enum Event {
    Close { key: u64, millis: u64 },
    Enter { key: u64 },
}

fn events() -> impl Strategy<Value = Vec<(Duration, Event)>> {
    let event = prop_oneof![
        (0_u64..12, 1_u64..60_000).prop_map(|(key, millis)| Event::Close { key, millis }),
        (0_u64..12).prop_map(|key| Event::Enter { key }),
    ];
    let pause = (0_u64..5_000).prop_map(Duration::from_millis);
    prop::collection::vec((pause, event), 1..200)
}

proptest! {
    #[test]
    fn nobody_passes_early_and_no_gate_is_lost(events in events(), capacity in 1_usize..16) {
        let mut table = Table::new(capacity);
        // What was asked, without any bound: when each gate opens at the earliest.
        let mut asked: HashMap<u64, Instant> = HashMap::new();
        let mut now = Instant::now();
        for (pause, event) in events {
            now += pause;
            match event {
                Event::Close { key, millis } => {
                    let opens_at = now + Duration::from_millis(millis);
                    table.close(key, opens_at, now);
                    let known = asked.entry(key).or_insert(opens_at);
                    *known = opens_at.max(*known);
                }
                Event::Enter { key } => {
                    let opens_at = asked.get(&key).copied().unwrap_or(now);
                    // Lost only where others, more than there is room for, open later.
                    let later = asked.values().filter(|&&other| opens_at <= other).count();
                    let kept = later <= capacity;
                    let closed_for = opens_at.saturating_duration_since(now);
                    match table.enter(key, now) {
                        Passage::Closed(wait) => {
                            prop_assert!(asked.contains_key(&key));
                            prop_assert!(wait >= closed_for || !kept);
                        }
                        Passage::Open | Passage::After(_) => {
                            prop_assert!(closed_for.is_zero() || !kept);
                        }
                    }
                }
            }
            prop_assert!(table.len() <= capacity);
            let closed = asked.values().filter(|&&opens_at| now < opens_at).count();
            prop_assert_eq!(table.closed(now), closed.min(capacity));
        }
    }
}
