//! Any log, and any part of one.

use std::time::SystemTime;

use proptest::prelude::*;
use uuid::Uuid;

use super::{super::record::Subject, *};
use crate::caller::MAX_IDENTITIES;

fn subject(id: Uuid, task: &str) -> Subject {
    Subject::new(id, &intent(task))
}

fn text(line: Vec<u8>) -> String {
    String::from_utf8(line).unwrap()
}

/// A log of calls of which some have ended, in any order that a gateway could write;
/// each line with its call, and whether it is an intent.
fn logs() -> impl Strategy<Value = Vec<(usize, bool, String)>> {
    prop::collection::vec(0..16_usize, 0..40).prop_map(|steps| {
        let mut begun = std::collections::BTreeSet::new();
        let mut ended = std::collections::BTreeSet::new();
        let mut lines = Vec::new();
        for call in steps {
            let (id, now) = (Uuid::from_u128(call as u128), SystemTime::UNIX_EPOCH);
            let subject = subject(id, &call.to_string());
            if begun.insert(call) {
                lines.push((call, true, text(subject.intent_line(now))));
            } else if ended.insert(call) {
                let line = subject.outcome_line(now, &started(), Duration::ZERO);
                lines.push((call, false, text(line)));
            }
        }
        lines
    })
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let mut reader = Reader::new(true);
        reader.read(&bytes[..]).unwrap();
        prop_assert_eq!(reader.finish().calls, []);
    }

    #[test]
    fn where_a_crash_cuts_the_log_the_whole_lines_count(
        lines in logs(),
        cut in any::<prop::sample::Index>(),
    ) {
        let log: String = lines.iter().map(|(_, _, line)| line.as_str()).collect();
        let cut = cut.index(log.len() + 1);
        let mut expected = Vec::new();
        let mut end = 0;
        for (call, is_intent, line) in &lines {
            end += line.len();
            // The newline is not part of what the line says.
            if end - 1 > cut {
                break;
            }
            let task = call.to_string();
            if *is_intent {
                expected.push(task);
            } else {
                expected.retain(|open| *open != task);
            }
        }
        prop_assert_eq!(pending(&log.as_bytes()[..cut]), expected);
    }

    #[test]
    fn noise_between_the_lines_changes_nothing(
        lines in logs(),
        noise in "[^\n]{0,100}",
    ) {
        let whole: String = lines.iter().map(|(_, _, line)| line.as_str()).collect();
        let noisy: String = lines
            .iter()
            .flat_map(|(_, _, line)| [noise.as_str(), "\n", line.as_str()])
            .collect();
        prop_assert_eq!(pending(noisy.as_bytes()), pending(whole.as_bytes()));
    }
}

#[test]
fn what_is_no_record_is_counted() {
    let (id, now) = (Uuid::nil(), SystemTime::UNIX_EPOCH);
    let whole = text(subject(id, "1").intent_line(now));
    let outcome = subject(Uuid::max(), "2").outcome_line(now, &started(), Duration::ZERO);
    let outcome = text(outcome);
    let endless = format!("{}\n", "x".repeat(2_000_000));
    let log = [
        &whole,
        "\n",
        "no record\n",
        &endless,
        &outcome,
        "{\"event\"",
    ]
    .concat();
    let mut reader = Reader::new(false);
    reader.read(log.as_bytes()).unwrap();
    let found = reader.finish();
    assert_eq!((found.unreadable, found.unmatched), (3, 1));
    assert_eq!(found.calls.len(), 1);
    assert_eq!(found.calls[0].task_id, "1");
}

#[test]
fn the_longest_line_is_read_again_with_as_much_as_is_kept() {
    let intent = intent_of(&"\u{2028}".repeat(5_000));
    let line = Subject::new(Uuid::max(), &intent).intent_line(SystemTime::UNIX_EPOCH);
    assert!(line.len() > MAX_IDENTITIES * 2048 * 6, "{}", line.len());
    let mut reader = Reader::new(false);
    reader.read(&line[..]).unwrap();
    let found = reader.finish();
    assert_eq!((found.calls.len(), found.unreadable), (1, 0));
    let caller = &found.calls[0].caller;
    let characters = |text: &str| text.chars().count();
    assert_eq!(caller.names.len(), MAX_IDENTITIES);
    assert_eq!(characters(&caller.names[MAX_IDENTITIES - 1]), 2048);
    assert_eq!(caller.allowed_by.as_deref().map(characters), Some(2048));
    assert_eq!(caller.claims.object.as_deref().map(characters), Some(128));
}

#[test]
fn an_outcome_that_nobody_knows_is_listed_on_demand() {
    let (id, now) = (Uuid::nil(), SystemTime::UNIX_EPOCH);
    let unknown = Outcome {
        outcome: crate::telemetry::Outcome::Unknown,
        reason: Some("GRAPH_RESPONSE_LOST".to_owned()),
        ..started()
    };
    let subject = subject(id, "1");
    let outcome = subject.outcome_line(now, &unknown, PATIENCE);
    let log = [subject.intent_line(now), outcome].concat();
    for (with_unknown, expected) in [(false, 0), (true, 1)] {
        let mut reader = Reader::new(with_unknown);
        reader.read(&log[..]).unwrap();
        let calls = reader.finish().calls;
        assert_eq!(calls.len(), expected);
        for call in calls {
            assert_eq!(call.outcome.as_deref(), Some("UNKNOWN"));
            assert_eq!(call.reason.as_deref(), Some("GRAPH_RESPONSE_LOST"));
        }
    }
}
