//! The writer before a medium that does what the test says.
//!
//! A test that waits for the medium holds its thread up, so that another one has to wake
//! the writer.

mod medium;

use std::{future::Future, task::Poll};

use futures_util::{FutureExt as _, future::join_all};

use self::medium::Medium;
use super::{super::writer::MAX_KEPT, *};

fn log(medium: &Medium, fsync: Fsync, on_failure: OnFailure) -> Audit {
    let options = AuditOptions {
        fsync,
        on_failure,
        ..options(super::super::Medium::Off)
    };
    Audit::start(Box::new(medium.clone()), options).unwrap()
}

fn refusing(medium: &Medium) -> Audit {
    log(medium, Fsync::Always, OnFailure::Refuse)
}

/// Lets a future begin, and go no further.
fn begin<T>(future: &mut (impl Future<Output = T> + Unpin)) {
    let waker = std::task::Waker::noop();
    // The test is one task, and would else have to wait after some.
    let mut future = tokio::task::unconstrained(future);
    let polled = future.poll_unpin(&mut std::task::Context::from_waker(waker));
    assert!(matches!(polled, Poll::Pending), "nothing has been written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_has_queued_up_is_written_and_synced_at_once() {
    let medium = Medium::default();
    let audit = refusing(&medium);
    let held = medium.hold();
    let mut first = Box::pin(audit.intent(move || intent("first")));
    begin(&mut first);
    held.reached();
    let tasks: Vec<_> = (0..50).map(|task| task.to_string()).collect();
    let mut others: Vec<_> = tasks
        .iter()
        .map(|task| Box::pin(audit.intent(move || intent(task))))
        .collect();
    others.iter_mut().for_each(begin);
    held.release();

    let first = first.await.unwrap();
    let others = join_all(others).await;
    assert_eq!(medium.syncs(), 2);
    let mut expected = vec!["intent first".to_owned()];
    expected.extend(tasks.iter().map(|task| format!("intent {task}")));
    assert_eq!(medium.summary(), expected);

    first.outcome(&started());
    drop(others);
    assert!(audit.flush(PATIENCE).await);
}

#[tokio::test]
async fn an_intent_is_durable_before_the_call_goes_on_and_its_outcome_follows() {
    let medium = Medium::default();
    let audit = refusing(&medium);
    let entry = record(&audit, "1").await.unwrap();
    assert_eq!(medium.durable(), ["intent 1"]);
    entry.outcome(&started());
    assert!(audit.flush(PATIENCE).await);
    assert_eq!(medium.durable(), ["intent 1", "outcome 1 STARTED"]);
}

#[tokio::test]
async fn an_entry_that_is_dropped_says_that_nobody_knows() {
    let medium = Medium::default();
    let audit = refusing(&medium);
    drop(record(&audit, "1").await.unwrap());
    assert!(audit.flush(PATIENCE).await);
    let expected = ["intent 1", "outcome 1 UNKNOWN GATEWAY_FAULT"];
    assert_eq!(medium.summary(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_caller_who_leaves_early_leaves_no_intent_alone() {
    let medium = Medium::default();
    let audit = refusing(&medium);
    let held = medium.hold();
    let mut written = Box::pin(audit.intent(move || intent("written")));
    begin(&mut written);
    held.reached();
    let mut queued = Box::pin(audit.intent(move || intent("queued")));
    begin(&mut queued);
    drop((written, queued));
    held.release();
    assert!(audit.flush(PATIENCE).await);
    let expected = [
        "intent written",
        "outcome written NOT_STARTED ENDED_BEFORE_SEND",
    ];
    assert_eq!(medium.summary(), expected);

    // Acknowledged, but not taken.
    let held = medium.hold();
    let mut answered = Box::pin(audit.intent(move || intent("answered")));
    begin(&mut answered);
    held.release();
    assert!(audit.flush(PATIENCE).await);
    drop(answered);
    assert!(audit.flush(PATIENCE).await);
    let last = medium.summary().pop().unwrap();
    assert_eq!(last, "outcome answered NOT_STARTED ENDED_BEFORE_SEND");
}

#[tokio::test]
async fn a_full_medium_refuses_calls_and_keeps_outcomes_in_order() {
    let medium = Medium::default();
    let audit = refusing(&medium);
    let first = record(&audit, "1").await.unwrap();
    let second = record(&audit, "2").await.unwrap();
    medium.set(|state| state.room = Some(10));
    first.outcome(&started());
    let refused = record(&audit, "3").await.unwrap_err();
    assert_eq!(refused.source.kind(), std::io::ErrorKind::StorageFull);
    second.outcome(&started());
    assert!(!audit.flush(PATIENCE).await);
    assert_eq!(medium.summary(), ["intent 1", "intent 2"]);

    medium.set(|state| state.room = None);
    let fourth = record(&audit, "4").await.unwrap();
    let expected = [
        "intent 1",
        "intent 2",
        "outcome 1 STARTED",
        "outcome 2 STARTED",
        "intent 4",
    ];
    assert_eq!(medium.durable(), expected);
    fourth.outcome(&started());
}

#[tokio::test]
async fn what_a_failed_sync_leaves_is_not_trusted_but_written_anew() {
    let medium = Medium::default();
    let audit = refusing(&medium);
    let first = record(&audit, "1").await.unwrap();
    medium.set(|state| state.sync_fails = true);
    first.outcome(&started());
    record(&audit, "2").await.unwrap_err();
    assert_eq!(medium.summary(), ["intent 1"]);
    medium.set(|state| state.sync_fails = false);
    assert!(audit.flush(PATIENCE).await);
    assert_eq!(medium.durable(), ["intent 1", "outcome 1 STARTED"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_intent_that_cannot_be_taken_back_is_ended() {
    let medium = Medium::default();
    let audit = refusing(&medium);
    medium.set(|state| {
        state.cuts = false;
        state.sync_fails = true;
    });
    record(&audit, "1").await.unwrap_err();
    // The outcome stands there too, and is not durable either.
    medium.wait_until(|state| state.syncs >= 2);
    medium.set(|state| state.sync_fails = false);
    assert!(audit.flush(PATIENCE).await);
    let expected = ["intent 1", "outcome 1 NOT_STARTED AUDIT_UNAVAILABLE"];
    assert_eq!(medium.durable(), expected);
}

#[tokio::test]
async fn a_line_that_stays_torn_is_followed_by_a_whole_one() {
    let medium = Medium::default();
    let audit = refusing(&medium);
    medium.set(|state| {
        state.cuts = false;
        state.room = Some(10);
    });
    record(&audit, "1").await.unwrap_err();
    medium.set(|state| state.room = None);
    record(&audit, "2").await.unwrap().outcome(&started());
    assert!(audit.flush(PATIENCE).await);
    // The first is ten bytes of an intent: no record, and nothing has to follow.
    assert_eq!(medium.summary(), ["-", "intent 2", "outcome 2 STARTED"]);
}

#[tokio::test]
async fn a_line_that_lacks_its_newline_stands_as_soon_as_the_next_one_comes() {
    let medium = Medium::default();
    let audit = refusing(&medium);
    // Every intent has this length.
    let entry = record(&audit, "0").await.unwrap();
    let intent = medium.len();
    entry.outcome(&started());
    assert!(audit.flush(PATIENCE).await);
    medium.set(|state| {
        state.cuts = false;
        state.room = Some(intent - 1);
    });
    record(&audit, "1").await.unwrap_err();
    medium.set(|state| state.room = None);
    record(&audit, "2").await.unwrap().outcome(&started());
    assert!(audit.flush(PATIENCE).await);
    let mut summary = medium.summary().split_off(2);
    summary.sort();
    let expected = [
        "intent 1",
        "intent 2",
        "outcome 1 NOT_STARTED AUDIT_UNAVAILABLE",
        "outcome 2 STARTED",
    ];
    assert_eq!(summary, expected);
}

#[tokio::test]
async fn calls_go_on_unrecorded_where_that_is_wanted() {
    let medium = Medium::default();
    let audit = log(&medium, Fsync::Always, OnFailure::Proceed);
    medium.set(|state| state.room = Some(0));
    let entry = record(&audit, "1").await.unwrap();
    medium.set(|state| state.room = None);
    entry.outcome(&started());
    assert!(audit.flush(PATIENCE).await);
    assert_eq!(medium.summary(), ["outcome 1 STARTED"]);
}

#[tokio::test]
async fn calls_that_go_on_unrecorded_fill_no_memory() {
    let medium = Medium::default();
    let audit = log(&medium, Fsync::Always, OnFailure::Proceed);
    medium.set(|state| state.room = Some(0));
    let calls = (0..MAX_KEPT + 10).map(|_| record(&audit, "1"));
    let entries = join_all(calls).await;
    for entry in entries {
        entry.unwrap().outcome(&started());
    }
    assert!(!audit.flush(PATIENCE).await);
    medium.set(|state| state.room = None);
    assert!(audit.flush(PATIENCE).await);
    assert_eq!(medium.summary().len(), MAX_KEPT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn under_the_interval_policy_a_sync_comes_later() {
    let medium = Medium::default();
    let hour = Fsync::Interval(Duration::from_secs(60 * 60));
    let audit = log(&medium, hour, OnFailure::Refuse);
    let entry = record(&audit, "1").await.unwrap();
    assert_eq!(medium.summary(), ["intent 1"]);
    assert_eq!(medium.syncs(), 0);
    entry.outcome(&started());
    drop(audit);
    medium.wait_for_the_end();
    assert_eq!(medium.durable(), ["intent 1", "outcome 1 STARTED"]);
    assert_eq!(medium.syncs(), 1);

    let medium = Medium::default();
    let soon = Fsync::Interval(Duration::from_millis(1));
    let audit = log(&medium, soon, OnFailure::Refuse);
    let entry = record(&audit, "1").await.unwrap();
    medium.wait_until(|state| state.syncs > 0);
    assert_eq!(medium.durable(), ["intent 1"]);
    entry.outcome(&started());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn after_a_failed_sync_calls_wait_for_one_also_under_the_interval_policy() {
    let medium = Medium::default();
    let audit = log(
        &medium,
        Fsync::Interval(Duration::from_millis(1)),
        OnFailure::Refuse,
    );
    medium.set(|state| state.sync_fails = true);
    let entry = record(&audit, "1").await.unwrap();
    medium.wait_until(|state| state.syncs > 0);
    record(&audit, "2").await.unwrap_err();
    medium.set(|state| state.sync_fails = false);
    let third = record(&audit, "3").await.unwrap();
    assert_eq!(medium.durable(), ["intent 1", "intent 3"]);
    entry.outcome(&started());
    third.outcome(&started());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stalled_medium_holds_the_end_up_no_longer_than_allowed() {
    let medium = Medium::default();
    let audit = refusing(&medium);
    let entry = record(&audit, "1").await.unwrap();
    let held = medium.hold();
    entry.outcome(&started());
    held.reached();
    assert!(!audit.flush(Duration::from_millis(1)).await);
    held.release();
    assert!(audit.flush(PATIENCE).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn dropping_the_last_clone_writes_what_is_left() {
    let medium = Medium::default();
    let audit = refusing(&medium);
    let entry = record(&audit, "1").await.unwrap();
    let held = medium.hold();
    drop(audit.clone());
    drop(audit);
    entry.outcome(&started());
    held.release();
    medium.wait_for_the_end();
    assert_eq!(medium.durable(), ["intent 1", "outcome 1 STARTED"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn calls_that_come_and_go_before_a_stalled_medium_fill_no_memory() {
    let medium = Medium::default();
    let audit = refusing(&medium);
    let held = medium.hold();
    let mut first = Box::pin(audit.intent(move || intent("first")));
    begin(&mut first);
    held.reached();
    for task in 0..2 * MAX_WAITING {
        begin(&mut Box::pin(
            audit.intent(move || intent(&task.to_string())),
        ));
    }
    let places = &audit.0.as_ref().unwrap().places;
    assert_eq!(places.available_permits(), 0);
    held.release();
    first.await.unwrap().outcome(&started());
    assert!(audit.flush(PATIENCE).await);
    assert_eq!(medium.summary(), ["intent first", "outcome first STARTED"]);
    assert_eq!(places.available_permits(), MAX_WAITING);
}

#[tokio::test]
async fn a_log_that_is_off_records_nothing_and_holds_nobody_up() {
    let audit = Audit::off();
    record(&audit, "1").await.unwrap().outcome(&started());
    drop(record(&audit, "2").await.unwrap());
    assert!(audit.flush(Duration::ZERO).await);
}
