//! The main job, end to end.

use tonic::Code;

use crate::support::{Gateway, RawCall, TOKEN, answer};

#[tokio::test]
async fn an_action_is_started_once() {
    let mut gateway = Gateway::start().await;
    let response = gateway.execute("213213").await.unwrap();
    assert_eq!(response.attempts, 1);

    let again = answer(&gateway.execute("213213").await.unwrap_err());
    assert_eq!(again.code, Code::AlreadyExists);
    assert_eq!(again.reason, "ACTION_ALREADY_IN_PROGRESS");
    assert_eq!(again.outcome, "ALREADY_STARTED");
    let task = again.details.resource_info().unwrap();
    assert_eq!(task.description, "Response action is already in progress.");
    assert!(
        again.message.ends_with(&task.description),
        "{}",
        again.message
    );
    assert_eq!(gateway.sandbox.posts("213213"), 2);
    assert_eq!(gateway.sandbox.commits("213213"), 1);
    gateway.stop().await;
    assert!(!gateway.log_text().contains(TOKEN));
}

#[tokio::test]
async fn a_raw_call_shows_headers_and_trailers() {
    let gateway = Gateway::start().await;
    let ok = RawCall::execute(&gateway, "213213", &[]).await;
    assert_eq!(ok.trailers.unwrap()["grpc-status"], "0");
    let refused = RawCall::execute(&gateway, "999", &[]).await;
    assert_eq!(refused.headers["grpc-status"], "5");
    assert!(refused.trailers.is_none());
}
