//! What an intent and an outcome say, and that the intent comes first.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use incidentgate::{
    pb::{ExecuteResponseActionRequest, ExecuteResponseActionResponse},
    sandbox::{ActionStatus, Fault, Task},
};
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::Log;
use crate::support::{
    Hanging, RawCall, TOKEN, TRACE, TRACEPARENT, Wire, answer, request, stub, within,
};

const ID: &str = "213213";
const GUID: &str = "A2F0B4A6-7d3c-4c5e-9a52-0f6f2f6d9d11";

/// A look at the task that shows nothing.
fn unread() -> Fault {
    Fault::error(500, "generalException", "").on_read()
}

/// The members of a JSON object.
fn members(record: &Value) -> BTreeSet<&str> {
    let object = record.as_object().unwrap();
    object.keys().map(String::as_str).collect()
}

#[tokio::test]
async fn the_intent_stands_in_the_file_before_the_post_leaves_and_the_outcome_after() {
    for (fsync, interval) in [("always", "1h"), ("interval", "1h")] {
        let log = Log::new();
        let gateway = log
            .gateway()
            .with("audit.fsync", fsync)
            .with("audit.fsync_interval", interval);
        let mut gateway = gateway.start().await;
        gateway.sandbox.script(ID, [Fault::hold()]);
        let (response, ()) = tokio::join!(gateway.execute(ID), async {
            within(gateway.sandbox.wait_for_posts(ID, 1)).await;
            let records = log.records();
            assert_eq!(records.len(), 1, "{records:?}");
            assert_eq!(records[0]["event"], "intent");
            assert_eq!(records[0]["taskId"], ID);
            gateway.sandbox.release(ID);
        });
        response.unwrap();
        let records = log.wait_for(2).await;
        assert_eq!(records[1]["event"], "outcome");
        assert_eq!(records[1]["outcome"], "STARTED");
        gateway.stop().await;
        assert_eq!(log.records().len(), 2);
    }
}

#[tokio::test]
async fn a_record_says_who_wanted_what_and_never_shows_the_token() {
    let log = Log::new();
    let mut gateway = log.gateway().start().await;
    let payload = json!({"appid": "app-1", "tid": "tenant-1", "oid": "object-1"});
    let payload = URL_SAFE_NO_PAD.encode(payload.to_string());
    let authorization = format!("Bearer e30.{payload}.{TOKEN}");
    let message = ExecuteResponseActionRequest {
        incident_task_id: ID.to_owned(),
        client_request_id: GUID.to_owned(),
    };
    let headers = [("authorization", &*authorization), TRACEPARENT];
    let call = RawCall::execute_message(&gateway, &message, &headers).await;
    let response = call.message();
    let records = log.wait_for(2).await;
    let claims = json!({"app": "app-1", "tenant": "tenant-1", "object": "object-1"});
    let peer = format!("127.0.0.1:{}", call.port);
    for record in &records {
        assert_eq!(record["id"], records[0]["id"]);
        assert_eq!(record["taskId"], ID);
        assert_eq!(record["clientRequestId"], GUID);
        assert_eq!(record["traceId"], TRACE);
        assert_eq!(
            record["caller"],
            json!({"peer": peer, "unverified": claims})
        );
    }
    let about = ["time", "event", "id", "taskId", "clientRequestId"];
    let about = about.into_iter().chain(["traceId", "caller"]);
    let end = ["outcome", "code", "graphRequestId", "attempts"];
    let end = about.clone().chain(end).chain(["durationMs"]);
    assert_eq!(members(&records[0]), about.collect());
    assert_eq!(members(&records[1]), end.collect());
    assert_eq!(records[1]["code"], "OK");
    assert_eq!(records[1]["attempts"], 1);
    assert_eq!(records[1]["graphRequestId"], response.graph_request_id);
    let post = &gateway.sandbox.journal()[0];
    assert_eq!(post.header("client-request-id"), Some(GUID));

    // A token that names nobody leaves the connection alone to say who it was.
    gateway.sandbox.reset();
    gateway.execute(ID).await.unwrap();
    let caller = &log.wait_for(4).await[2]["caller"];
    assert_eq!(members(caller), BTreeSet::from(["peer"]));
    gateway.stop().await;
    let text = log.text();
    assert!(!text.contains(TOKEN) && !text.contains(&payload), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_share_a_connection_are_told_apart() {
    let log = Log::new();
    let mut gateway = log.gateway().start().await;
    let token = |app: &str, signature: &str| {
        let payload = URL_SAFE_NO_PAD.encode(json!({ "appid": app }).to_string());
        format!("Bearer e30.{payload}.{signature}")
    };
    let tokens = [
        (token("app-1", TOKEN), json!({"app": "app-1"})),
        (token("app-2", TOKEN), json!({"app": "app-2"})),
        (token("app-1", "c2ln"), json!({"app": "app-1"})),
        (format!("Bearer {TOKEN}"), Value::Null),
        (token("app", TOKEN), json!({"app": "app"})),
    ];
    // A mesh's proxy has one connection for all of them.
    let client = gateway.client().await;
    let calls = (0..60).map(|call| {
        let mut client = client.clone();
        let mut request = request(&format!("{call}"));
        let token = tokens[call % tokens.len()].0.parse().unwrap();
        request.metadata_mut().insert("authorization", token);
        tokio::spawn(async move { client.execute_response_action(request).await })
    });
    for call in within(join_all(calls)).await {
        assert_eq!(call.unwrap().unwrap_err().code(), Code::NotFound);
    }
    let records = log.wait_for(120).await;
    let mut seen = BTreeMap::new();
    for record in &records {
        assert_eq!(record["caller"]["peer"], records[0]["caller"]["peer"]);
        let call: usize = record["taskId"].as_str().unwrap().parse().unwrap();
        let claims = &tokens[call % tokens.len()].1;
        assert_eq!(&record["caller"]["unverified"], claims, "{record}");
        *seen.entry(call).or_insert(0) += 1;
    }
    assert_eq!(seen, (0..60).map(|call| (call, 2)).collect());
    gateway.stop().await;
}

/// The caller's answer and the outcome say the same.
#[track_caller]
fn assert_as_told(end: &Value, told: &Result<ExecuteResponseActionResponse, Status>) {
    match told {
        Ok(response) => {
            assert_eq!(end["clientRequestId"], response.client_request_id);
            assert_eq!(end["graphRequestId"], response.graph_request_id);
        }
        Err(status) => {
            let error = answer(status);
            assert_eq!(end["reason"], error.reason);
            assert_eq!(end["outcome"], error.outcome);
            for key in ["clientRequestId", "graphRequestId"] {
                let told = error.metadata.get(key).map(|id| json!(id));
                assert_eq!(end.get(key), told.as_ref(), "{key}");
            }
        }
    }
}

#[tokio::test]
async fn an_outcome_says_what_the_caller_was_told() {
    let log = Log::new();
    let mut gateway = log
        .gateway()
        .with("retry.initial_backoff", "1ms")
        .with("throttle.gate", "false")
        .start()
        .await;
    let busy = || Fault::error(429, "TooManyRequests", "").header("Retry-After", "0");
    let forbidden = Fault::error(403, "accessDenied", "");
    let lost = Fault::reset();
    gateway.sandbox.put_task(Task {
        action_status: ActionStatus::InProgress,
        ..Task::new("begun")
    });
    for (n, (task, faults, outcome, code, reason, attempts)) in [
        ("a", vec![], "STARTED", "OK", None, 1),
        ("b", vec![busy(), busy()], "STARTED", "OK", None, 3),
        ("c", vec![lost.clone()], "STARTED", "OK", None, 2),
        (
            "d",
            vec![lost.clone().committed()],
            "OBSERVED",
            "OK",
            None,
            1,
        ),
        (
            "begun",
            vec![],
            "ALREADY_STARTED",
            "ALREADY_EXISTS",
            Some("ACTION_ALREADY_IN_PROGRESS"),
            1,
        ),
        (
            "nowhere",
            vec![],
            "NOT_STARTED",
            "NOT_FOUND",
            Some("NOT_FOUND"),
            1,
        ),
        (
            "e",
            vec![busy(), forbidden.clone()],
            "NOT_STARTED",
            "PERMISSION_DENIED",
            Some("ACCESS_DENIED"),
            2,
        ),
        (
            "f",
            vec![lost.clone(), unread()],
            "UNKNOWN",
            "UNKNOWN",
            Some("GRAPH_RESPONSE_LOST"),
            1,
        ),
        (
            "g",
            vec![lost, forbidden],
            "UNKNOWN",
            "UNKNOWN",
            Some("GRAPH_RESPONSE_LOST"),
            2,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        if task.len() == 1 {
            gateway.sandbox.put_task(Task::new(task));
        }
        gateway.sandbox.script(task, faults);
        let told = gateway.execute(task).await;
        let records = log.wait_for(2 * n + 2).await;
        let [intent, end] = &records[2 * n..] else {
            panic!("{task}: {records:?}");
        };
        assert_eq!(intent["event"], "intent", "{task}");
        assert_eq!(intent["id"], end["id"], "{task}");
        assert_eq!(end["outcome"], outcome, "{task}");
        assert_eq!(end["code"], code, "{task}");
        assert_eq!(end.get("reason"), reason.map(Value::from).as_ref());
        assert_eq!(end["attempts"], attempts, "{task}");
        assert_eq!(gateway.sandbox.posts(task), attempts, "{task}");
        assert_as_told(end, &told);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_call_that_found_no_graph_has_sent_nothing() {
    let (_taken, addr) = stub::refusing();
    let log = Log::new();
    let gateway = log
        .gateway()
        .with_graph(format!("http://{addr}/beta"))
        .with("retry.max_attempts", "2")
        .with("retry.initial_backoff", "1ms");
    let mut gateway = gateway.start().await;
    gateway.execute(ID).await.unwrap_err();
    let records = log.wait_for(2).await;
    assert_eq!(records[1]["outcome"], "NOT_STARTED");
    assert_eq!(records[1]["code"], "UNAVAILABLE");
    assert_eq!(records[1]["reason"], "GRAPH_UNREACHABLE");
    assert_eq!(records[1]["attempts"], 0);
    gateway.stop().await;
}

#[tokio::test]
async fn a_call_that_never_came_to_a_post_leaves_no_record() {
    let graph = Hanging::start().await;
    let log = Log::new();
    let gateway = log
        .gateway()
        .with_graph(graph.url())
        .with("graph.http2_prior_knowledge", "true")
        .with("server.max_in_flight", "1")
        .with("server.max_waiting", "0");
    let mut gateway = gateway.start().await;
    let mut wire = Wire::connect(gateway.addr).await;
    for (task, headers, reason) in [
        ("..", &[][..], "INVALID_REQUEST"),
        (ID, &[("grpc-timeout", "soon")], "INVALID_REQUEST"),
        (ID, &[("authorization", "")], "CALLER_UNAUTHENTICATED"),
        (ID, &[("grpc-timeout", "0n")], "DEADLINE_EXCEEDED"),
    ] {
        let call = wire.execute(task, headers).await.answer().await.unwrap();
        assert_eq!(call.error().reason, reason);
    }
    let running = wire.execute(ID, &[]).await;
    graph.wait_for_posts(1).await;
    let call = wire.execute(ID, &[]).await.answer().await.unwrap();
    assert_eq!(call.error().reason, "GATEWAY_OVERLOADED");
    graph.open();
    running.answer().await.unwrap().message();
    gateway.stop().await;
    // Of the call that ran.
    assert_eq!(log.records().len(), 2, "{}", log.text());
}

#[tokio::test]
async fn a_call_that_graphs_wish_to_wait_holds_back_leaves_no_record() {
    let log = Log::new();
    let mut gateway = log.gateway().start().await;
    let busy = Fault::error(429, "TooManyRequests", "").header("Retry-After", "60");
    gateway.sandbox.script(ID, [busy]);
    let mut client = gateway.client().await;
    for _ in 0..2 {
        let refused = within(client.execute_response_action(request(ID))).await;
        let error = answer(&refused.unwrap_err());
        assert_eq!(error.code, Code::ResourceExhausted);
        assert_eq!(error.reason, "GRAPH_THROTTLED");
    }
    assert_eq!(gateway.sandbox.posts(ID), 1);
    gateway.stop().await;
    let records = log.records();
    assert_eq!(records.len(), 2, "{records:?}");
    assert_eq!(records[1]["reason"], "GRAPH_THROTTLED");
    assert_eq!(records[1]["attempts"], 1);
}

#[tokio::test]
async fn the_longest_id_and_the_strangest_stand_as_they_were_sent() {
    let log = Log::new();
    let mut gateway = log.gateway().start().await;
    let longest = "x".repeat(256);
    for (n, id) in [&*longest, "\"}\\", "端末🔒", " a b "]
        .into_iter()
        .enumerate()
    {
        gateway.sandbox.put_task(Task::new(id));
        gateway.execute(id).await.unwrap();
        let records = log.wait_for(2 * n + 2).await;
        assert_eq!(records[2 * n + 1]["taskId"], id);
    }
    gateway.stop().await;
}
