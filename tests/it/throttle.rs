//! Credentials that Graph has asked to wait.

use std::time::Duration;

use incidentgate::{pb::ExecuteResponseActionResponse, sandbox::Fault};
use tonic::{Code, Status};

use crate::support::{Gateway, answer, points, request, within};

const ID: &str = "213213";

fn refusal(status: u16, seconds: u32) -> Fault {
    Fault::error(status, "TooManyRequests", "").header("Retry-After", &seconds.to_string())
}

async fn execute_as(
    gateway: &Gateway,
    token: &str,
) -> Result<ExecuteResponseActionResponse, Status> {
    let mut call = request(ID);
    let token = format!("Bearer {token}").parse().unwrap();
    call.metadata_mut().insert("authorization", token);
    let mut client = gateway.client().await;
    within(client.execute_response_action(call))
        .await
        .map(tonic::Response::into_inner)
}

#[tokio::test]
async fn who_was_asked_to_wait_is_refused_without_a_request_and_others_are_not() {
    for status in [429, 503] {
        let mut gateway = Gateway::start().await;
        gateway.sandbox.script(ID, [refusal(status, 3000)]);
        execute_as(&gateway, "one").await.unwrap_err();
        for _ in 0..3 {
            let error = answer(&execute_as(&gateway, "one").await.unwrap_err());
            assert_eq!(error.code, Code::ResourceExhausted);
            assert_eq!(error.reason, "GRAPH_THROTTLED");
            assert_eq!(error.outcome, "NOT_STARTED");
            assert!(!error.metadata.contains_key("attempts"));
            assert!(!error.metadata.contains_key("httpStatus"));
            let delay = error.details.retry_info().unwrap().retry_delay.unwrap();
            assert!(delay > Duration::from_secs(2900), "{delay:?}");
            let pushback: u128 = error.pushback.unwrap().parse().unwrap();
            assert_eq!(pushback, delay.as_nanos().div_ceil(1_000_000));
        }
        assert_eq!(gateway.sandbox.posts(ID), 1);
        let throttle: Vec<_> = points(&gateway.metrics())
            .into_iter()
            .filter(|point| point.starts_with("incidentgate.throttle"))
            .collect();
        assert_eq!(
            throttle,
            [
                "incidentgate.throttle.closed {credential} {} 1",
                "incidentgate.throttle.refused {call} {} 3",
            ]
        );
        execute_as(&gateway, "other").await.unwrap();
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_refusal_that_names_no_time_closes_nothing() {
    let gateway = Gateway::single_attempts().start().await;
    let unnamed = Fault::error(429, "TooManyRequests", "");
    gateway.sandbox.script(ID, [unnamed, refusal(503, 0)]);
    gateway.execute(ID).await.unwrap_err();
    gateway.execute(ID).await.unwrap_err();
    gateway.execute(ID).await.unwrap();
}

#[tokio::test]
async fn a_look_at_the_task_that_is_refused_closes_the_gate_too() {
    let gateway = Gateway::start().await;
    let look = refusal(429, 3000).on_read();
    gateway.sandbox.script(ID, [Fault::reset(), look]);
    let error = answer(&gateway.execute(ID).await.unwrap_err());
    assert_eq!(error.outcome, "UNKNOWN");
    let error = answer(&gateway.execute(ID).await.unwrap_err());
    assert_eq!(error.reason, "GRAPH_THROTTLED");
    assert_eq!(gateway.sandbox.posts(ID), 1);
}

#[tokio::test]
async fn a_gate_that_closes_between_a_lost_post_and_the_next_leaves_the_doubt() {
    let gateway = Gateway::start().await;
    gateway.sandbox.script(ID, [Fault::reset().held()]);
    let (lost, ()) = tokio::join!(gateway.execute(ID), async {
        within(gateway.sandbox.wait_for_posts(ID, 1)).await;
        // Another call with the same token is asked to wait meanwhile.
        gateway.sandbox.script("213216", [refusal(429, 3000)]);
        gateway.execute("213216").await.unwrap_err();
        gateway.sandbox.release(ID);
    });
    let error = answer(&lost.unwrap_err());
    assert_eq!(error.outcome, "UNKNOWN");
    assert_eq!(gateway.sandbox.posts(ID), 1);
}

#[tokio::test]
async fn calls_that_wait_for_the_opening_go_one_by_one() {
    let gateway = Gateway::start().await;
    gateway.sandbox.script(ID, [refusal(429, 1)]);
    let begun = tokio::time::Instant::now();
    gateway.execute(ID).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));
    // Just opened: each of these has a moment of its own within the next second.
    let calls = (0..3).map(|_| gateway.execute(ID));
    let mut went: Vec<Duration> = Vec::new();
    let mut calls: futures_util::stream::FuturesUnordered<_> = calls.collect();
    while let Some(result) = futures_util::StreamExt::next(&mut calls).await {
        let error = answer(&result.unwrap_err());
        assert_eq!(error.code, Code::AlreadyExists);
        went.push(begun.elapsed());
    }
    // The gate opened a second after `begun` at the earliest, and the slots after the
    // first begin 447, 632 and 775 ms later.
    for (went, slot_ms) in went.into_iter().zip([447, 632, 775]) {
        assert!(went >= Duration::from_millis(1000 + slot_ms), "{went:?}");
    }
}
