//! A crowd in front of one gate, call by call, on a clock that only the test moves.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    time::Duration,
};

use tokio::time::Instant;

use super::{Gates, Passage, gate::RAMP, tests::opaque};
use crate::telemetry::Metrics;

const CLOSED_FOR: Duration = Duration::from_secs(10);
const WINDOW: Duration = Duration::from_millis(100);

/// Closes a gate, lets callers arrive so long after that, and lets each come back when
/// it is told to, until all have gone: how many went to Graph in each tenth of a second
/// after the opening.
fn simulate(arrivals: impl IntoIterator<Item = Duration>) -> BTreeMap<u32, u32> {
    let gates = Gates::new(true, Metrics::disabled());
    let (token, start) = (opaque("crowd"), Instant::now());
    gates.close(&token, start, CLOSED_FOR);
    let opens_at = start + CLOSED_FOR;
    let arrivals = arrivals.into_iter().map(|after| Reverse(start + after));
    let mut coming: BinaryHeap<_> = arrivals.collect();
    let mut went = BTreeMap::new();
    while let Some(Reverse(now)) = coming.pop() {
        let goes_at = match gates.enter(&token, now) {
            Passage::Open => now,
            Passage::After(wait) => now + wait,
            Passage::Closed(wait) => {
                coming.push(Reverse(now + wait));
                continue;
            }
        };
        let open_for = goes_at.checked_duration_since(opens_at);
        let open_for = open_for.expect("went while the gate was closed");
        let window = u32::try_from(open_for.as_millis() / WINDOW.as_millis()).unwrap();
        *went.entry(window).or_default() += 1;
    }
    went
}

/// The calls of one window that `5·t²` allows, and one that uses its slot late, and one
/// for the fraction.
fn allowed(window: u32) -> u32 {
    5 * (2 * window + 1) / 100 + 2
}

/// One after the other from `first` on, all within `length`.
fn spread(count: u32, first: Duration, length: Duration) -> impl Iterator<Item = Duration> {
    (0..count).map(move |n| first + length * n / count)
}

#[test]
fn a_thousand_callers_are_let_through_one_by_one() {
    const CALLERS: u32 = 1_000;
    let (zero, second) = (Duration::ZERO, Duration::from_secs(1));
    let at_once = |after| std::iter::repeat_n(after, 1_000);
    let crowds: [(&str, Vec<Duration>); 5] = [
        (
            "while it is closed",
            spread(CALLERS, zero, CLOSED_FOR).collect(),
        ),
        ("all as it closes", at_once(zero).collect()),
        ("all as it opens", at_once(CLOSED_FOR).collect()),
        (
            "after it opens",
            spread(CALLERS, CLOSED_FOR, 5 * second).collect(),
        ),
        (
            "before and after",
            spread(CALLERS, zero, 2 * CLOSED_FOR).collect(),
        ),
    ];
    for (crowd, arrivals) in crowds {
        let went = simulate(arrivals);
        assert_eq!(went.values().sum::<u32>(), CALLERS, "{crowd}");
        for (&window, &calls) in &went {
            assert!(
                calls <= allowed(window),
                "{crowd}: {calls} in window {window}"
            );
        }
        let most = went.values().max().copied();
        assert!(most <= Some(20), "{crowd}: {most:?} within 100 ms");
        // 5·t² makes a thousand in 14.2 seconds.
        let last = went.keys().last().copied();
        assert!(
            last < Some(250),
            "{crowd}: the last went in window {last:?}"
        );
    }
}

#[test]
fn a_crowd_that_one_ramp_cannot_take_does_not_rush_its_end() {
    const CALLERS: u32 = 10_000;
    let went = simulate(spread(CALLERS, Duration::ZERO, CLOSED_FOR));
    assert_eq!(went.values().sum::<u32>(), CALLERS);
    let end = u32::try_from(RAMP.as_millis() / WINDOW.as_millis()).unwrap();
    for (&window, &calls) in &went {
        // The gate is gone after its ramp. Then come those who were sent away, still
        // one by one, together with those who hold a slot.
        let most = if window < end {
            allowed(window)
        } else {
            2 * allowed(end)
        };
        assert!(calls <= most, "{calls} in window {window}");
    }
}
