//! How a watch ends before its task.

use std::time::Duration;

use incidentgate::{
    pb::ActionStatus,
    sandbox::{ActionStatus as Put, Fault},
};
use tonic::Code;

use super::{ID, Watch, eager, put, watched};
use crate::support::{answer, with_token, within};

#[tokio::test]
async fn a_drain_ends_it_with_the_last_state_and_the_word_to_come_again() {
    let mut gateway = eager().start().await;
    put(&gateway, "runs", Put::InProgress);
    let mut watch = Watch::of(&gateway, "runs").await.unwrap();
    assert_eq!(watch.state().await, ActionStatus::InProgress);
    gateway.shutdown.graceful.cancel();
    let last = watch.next().await.unwrap().unwrap();
    assert!(!last.is_final);
    assert_eq!(
        last.incident_task.unwrap().action_status(),
        ActionStatus::InProgress
    );
    let ended = answer(&watch.next().await.unwrap_err());
    assert_eq!(
        (ended.code, &*ended.reason),
        (Code::Unavailable, "GATEWAY_DRAINING")
    );
    assert_eq!(ended.outcome, "NOT_STARTED");
    assert!(ended.details.retry_info().is_some() && ended.pushback.is_some());
    assert_eq!(ended.metadata["clientRequestId"].len(), 36);
    gateway.stopped().await;
}

#[tokio::test]
async fn so_does_the_age_of_its_connection() {
    let gateway = eager()
        .with("server.max_connection_age", "100ms")
        .start()
        .await;
    put(&gateway, "runs", Put::InProgress);
    let mut watch = Watch::of(&gateway, "runs").await.unwrap();
    assert_eq!(watch.state().await, ActionStatus::InProgress);
    assert_eq!(watch.state().await, ActionStatus::InProgress);
    let ended = answer(&watch.next().await.unwrap_err());
    assert_eq!(
        (ended.code, &*ended.reason),
        (Code::Unavailable, "GATEWAY_DRAINING")
    );
    // Who comes again sees the state as it is then.
    let mut again = Watch::of(&gateway, "runs").await.unwrap();
    assert_eq!(again.state().await, ActionStatus::InProgress);
}

#[tokio::test]
async fn its_callers_deadline_ends_it_and_the_longest_one_of_calls_does_not() {
    let gateway = eager()
        .with("deadline.default", "50ms")
        .with("deadline.max", "50ms");
    let gateway = gateway.start().await;
    put(&gateway, "runs", Put::InProgress);
    let mut endless = Watch::of(&gateway, "runs").await.unwrap();
    assert_eq!(endless.state().await, ActionStatus::InProgress);

    let mut client = gateway.client().await;
    let mut request = with_token(incidentgate::pb::WatchIncidentTaskRequest {
        incident_task_id: "runs".to_owned(),
        ..Default::default()
    });
    request.set_timeout(Duration::from_millis(400));
    let response = within(client.watch_incident_task(request)).await.unwrap();
    let mut watch = Watch(response.into_inner());
    assert_eq!(watch.state().await, ActionStatus::InProgress);
    let late = answer(&watch.next().await.unwrap_err());
    assert_eq!(
        (late.code, &*late.reason),
        (Code::DeadlineExceeded, "DEADLINE_EXCEEDED")
    );

    put(&gateway, "runs", Put::Completed);
    assert_eq!(endless.states().await, [ActionStatus::Completed]);
}

#[tokio::test]
async fn what_cannot_be_read_at_all_is_told_before_anything_is_shown() {
    let gateway = eager().with("retry.max_attempts", "1").start().await;
    for (fault, code) in [
        (Fault::error(403, "Forbidden", "x"), Code::PermissionDenied),
        (Fault::error(404, "NotFound", "x"), Code::NotFound),
        (Fault::error(502, "UnknownError", ""), Code::Unavailable),
        (
            Fault::error(429, "TooManyRequests", "").header("Retry-After", "0"),
            Code::ResourceExhausted,
        ),
        (Fault::reply(200, "<html>"), Code::Unknown),
    ] {
        gateway.sandbox.script(ID, [fault.on_read()]);
        let error = Watch::of(&gateway, ID).await.err().unwrap();
        let failed = answer(&error);
        assert_eq!((failed.code, &*failed.outcome), (code, "NOT_STARTED"));
        assert_eq!(failed.metadata["clientRequestId"].len(), 36);
    }
    let wrong = Watch::of(&gateway, "..").await.err().unwrap();
    assert_eq!(answer(&wrong).reason, "INVALID_REQUEST");
}

#[tokio::test]
async fn trouble_that_passes_is_waited_for_and_a_refusal_is_told_at_once() {
    let gateway = eager().with("retry.max_attempts", "1").start().await;
    put(&gateway, "runs", Put::InProgress);
    let mut watch = Watch::of(&gateway, "runs").await.unwrap();
    assert_eq!(watch.state().await, ActionStatus::InProgress);
    let busy = || Fault::error(502, "UnknownError", "").on_read();
    gateway.sandbox.script("runs", (0..4).map(|_| busy()));
    let reads = gateway.sandbox.reads("runs");
    within(gateway.sandbox.wait_for_reads("runs", reads + 6)).await;
    put(&gateway, "runs", Put::Failed);
    assert_eq!(watch.states().await, [ActionStatus::Failed]);

    put(&gateway, "gone", Put::InProgress);
    let mut watch = Watch::of(&gateway, "gone").await.unwrap();
    assert_eq!(watch.state().await, ActionStatus::InProgress);
    let forbidden = Fault::error(403, "Forbidden", "Not any more.").on_read();
    gateway.sandbox.script("gone", [forbidden]);
    let gone = answer(&watch.next().await.unwrap_err());
    assert_eq!(
        (gone.code, &*gone.reason),
        (Code::PermissionDenied, "FORBIDDEN")
    );
}

#[tokio::test]
async fn a_task_that_cannot_be_read_for_too_long_is_told_to_all_with_their_own_ids() {
    let gateway = eager()
        .with("retry.max_attempts", "1")
        .with("watch.max_silence", "100ms");
    let gateway = gateway.start().await;
    put(&gateway, "lost", Put::InProgress);
    let mut client = gateway.client().await;
    let id = "d9a3ff29-6ba7-4d9f-8e2c-1d9f6f8c1f0a";
    let request = with_token(incidentgate::pb::WatchIncidentTaskRequest {
        incident_task_id: "lost".to_owned(),
        client_request_id: id.to_owned(),
    });
    let response = within(client.watch_incident_task(request)).await.unwrap();
    let mut first = Watch(response.into_inner());
    let mut second = Watch::of(&gateway, "lost").await.unwrap();
    for watch in [&mut first, &mut second] {
        assert_eq!(watch.state().await, ActionStatus::InProgress);
    }
    let reads = gateway.sandbox.reads("lost");
    let busy = || Fault::error(502, "UnknownError", "").on_read();
    gateway.sandbox.script("lost", (0..1000).map(|_| busy()));
    let mut ids = Vec::new();
    for watch in [&mut first, &mut second] {
        let lost = answer(&watch.next().await.unwrap_err());
        assert_eq!(
            (lost.code, &*lost.reason),
            (Code::Unavailable, "UNKNOWN_ERROR")
        );
        assert!(lost.details.retry_info().is_some());
        ids.push(lost.metadata["clientRequestId"].clone());
    }
    assert_eq!(ids[0], id);
    assert_ne!(ids[0], ids[1]);
    assert!(
        gateway.sandbox.reads("lost") > reads + 1,
        "tried more than once"
    );
    gateway.logged("a watch has ended before its task").await;
}

#[tokio::test]
async fn one_failure_among_readings_that_are_rare_ends_nothing() {
    let gateway = eager()
        .with("retry.max_attempts", "1")
        .with("watch.min_interval", "200ms")
        .with("watch.max_interval", "200ms")
        .with("watch.max_silence", "100ms");
    let gateway = gateway.start().await;
    put(&gateway, "runs", Put::InProgress);
    let mut watch = Watch::of(&gateway, "runs").await.unwrap();
    assert_eq!(watch.state().await, ActionStatus::InProgress);
    let busy = Fault::error(502, "UnknownError", "").on_read();
    gateway.sandbox.script("runs", [busy]);
    let reads = gateway.sandbox.reads("runs");
    within(gateway.sandbox.wait_for_reads("runs", reads + 2)).await;
    put(&gateway, "runs", Put::Completed);
    assert_eq!(watch.states().await, [ActionStatus::Completed]);
}

#[tokio::test]
async fn who_comes_while_it_cannot_be_read_is_told_and_the_others_stay() {
    let gateway = eager().with("retry.max_attempts", "1").start().await;
    put(&gateway, "runs", Put::InProgress);
    let mut first = Watch::of(&gateway, "runs").await.unwrap();
    assert_eq!(first.state().await, ActionStatus::InProgress);
    let busy = || Fault::error(502, "UnknownError", "").on_read();
    gateway.sandbox.script("runs", (0..100).map(|_| busy()));
    let reads = gateway.sandbox.reads("runs");
    within(gateway.sandbox.wait_for_reads("runs", reads + 6)).await;
    for _ in 0..10 {
        let told = answer(&Watch::of(&gateway, "runs").await.err().unwrap());
        assert_eq!(
            (told.code, &*told.reason),
            (Code::Unavailable, "UNKNOWN_ERROR")
        );
    }
    put(&gateway, "runs", Put::Completed);
    assert_eq!(first.states().await, [ActionStatus::Completed]);
}

#[tokio::test]
async fn a_wait_that_is_named_and_longer_than_the_silence_ends_it_at_once() {
    let gateway = eager().with("retry.max_attempts", "1").start().await;
    put(&gateway, "runs", Put::InProgress);
    let mut watch = Watch::of(&gateway, "runs").await.unwrap();
    assert_eq!(watch.state().await, ActionStatus::InProgress);
    let throttled = Fault::error(429, "TooManyRequests", "").header("Retry-After", "3600");
    gateway.sandbox.script("runs", [throttled.on_read()]);
    let ended = answer(&watch.next().await.unwrap_err());
    assert_eq!(
        (ended.code, &*ended.reason),
        (Code::ResourceExhausted, "GRAPH_THROTTLED")
    );
    // And whoever comes again is told the same.
    let again = answer(&Watch::of(&gateway, "runs").await.err().unwrap());
    assert_eq!(
        (again.code, &*again.reason),
        (Code::ResourceExhausted, "GRAPH_THROTTLED")
    );
}

#[tokio::test]
async fn whom_graph_asks_to_wait_waits_and_goes_on() {
    let gateway = eager().with("retry.max_attempts", "1").start().await;
    put(&gateway, "runs", Put::InProgress);
    let mut watch = Watch::of(&gateway, "runs").await.unwrap();
    assert_eq!(watch.state().await, ActionStatus::InProgress);
    let throttled = Fault::error(429, "TooManyRequests", "").header("Retry-After", "1");
    gateway.sandbox.script("runs", [throttled.on_read()]);
    gateway.logged("Graph throttles a credential").await;
    let reads = gateway.sandbox.reads("runs");
    // The gate holds all calls of the credential back, and so it does this one.
    let refused = answer(&gateway.execute(ID).await.unwrap_err());
    assert_eq!(refused.reason, "GRAPH_THROTTLED");
    assert_eq!(gateway.sandbox.reads("runs"), reads);
    put(&gateway, "runs", Put::Completed);
    assert_eq!(watch.states().await, [ActionStatus::Completed]);
}

#[tokio::test]
async fn watches_beyond_the_most_are_refused_and_actions_are_not() {
    let gateway = eager().with("watch.max_watchers", "1").start().await;
    put(&gateway, "runs", Put::InProgress);
    let mut watch = Watch::of(&gateway, "runs").await.unwrap();
    assert_eq!(watch.state().await, ActionStatus::InProgress);
    let refused = answer(&Watch::of(&gateway, "runs").await.err().unwrap());
    assert_eq!(
        (refused.code, &*refused.reason),
        (Code::ResourceExhausted, "GATEWAY_OVERLOADED")
    );
    assert!(refused.details.retry_info().is_some());
    gateway.execute(ID).await.unwrap();
    drop(watch);
    within(async {
        while Watch::of(&gateway, "runs").await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_task_that_nobody_follows_is_not_read() {
    let mut gateway = eager().start().await;
    put(&gateway, "runs", Put::InProgress);
    let mut watch = Watch::of(&gateway, "runs").await.unwrap();
    assert_eq!(watch.state().await, ActionStatus::InProgress);
    drop(watch);
    within(async {
        while watched(&gateway) > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    gateway.stop().await;
}
