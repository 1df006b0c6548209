//! `GetIncidentTask`.

use incidentgate::{
    pb::{
        ActionStatus, ActionType, GetIncidentTaskRequest, GetIncidentTaskResponse, IncidentTask,
        IncidentTaskSource, IncidentTaskStatus, IsolationType, ResponseAction,
    },
    sandbox::{Fault, Mint},
};
use prost_types::Timestamp;
use tonic::{Code, Request, Status};

use super::{asked, on_read};
use crate::support::{Gateway, TOKEN, answer, with_token, within};

const ID: &str = "213213";
const GUID: &str = "A2F0B4A6-7d3c-4c5e-9a52-0f6f2f6d9d11";

fn message(id: &str) -> GetIncidentTaskRequest {
    GetIncidentTaskRequest {
        incident_task_id: id.to_owned(),
        client_request_id: GUID.to_owned(),
    }
}

async fn get(gateway: &Gateway, id: &str) -> Result<GetIncidentTaskResponse, Status> {
    let mut client = gateway.client().await;
    let answer = within(client.get_incident_task(with_token(message(id)))).await;
    answer.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_task_is_shown_as_graph_shows_it() {
    let mut gateway = Gateway::start().await;
    let response = get(&gateway, ID).await.unwrap();
    let want = IncidentTask {
        id: ID.to_owned(),
        incident_id: "123".to_owned(),
        status: IncidentTaskStatus::Open.into(),
        action_status: ActionStatus::NotStarted.into(),
        action_type: ActionType::IsolateDevice.into(),
        // The documentation's sample has a word that its own enumeration lacks.
        source: IncidentTaskSource::UnknownFutureValue.into(),
        unknown_source: "defenderExpertsXDR".to_owned(),
        display_name: "Isolate device testmachine20".to_owned(),
        description: "This action will isolate device testmachine20 from the network.".to_owned(),
        create_time: Some(Timestamp {
            seconds: 1_687_806_459,
            nanos: 743_333_300,
        }),
        created_by: "Defender Experts".to_owned(),
        update_time: Some(Timestamp {
            seconds: 1_687_862_973,
            nanos: 980_000_000,
        }),
        updated_by: "bealfasi".to_owned(),
        response_action: Some(ResponseAction {
            odata_type: "#microsoft.graph.security.isolateDeviceResponseAction".to_owned(),
            identifier_value: "02851525-dc00-438b-83f5-3b2947bf4a48".to_owned(),
            isolation_type: IsolationType::Full.into(),
            unknown_isolation_type: String::new(),
        }),
        ..IncidentTask::default()
    };
    assert_eq!(response.incident_task, Some(want));
    assert_eq!(response.client_request_id, GUID);
    assert!(!response.graph_request_id.is_empty());

    let [read] = &gateway.sandbox.journal()[..] else {
        panic!("{:?}", asked(&gateway));
    };
    assert_eq!(asked(&gateway), ["GET /beta/security/incidentTasks/213213"]);
    assert_eq!(read.header("client-request-id"), Some(GUID));
    assert_eq!(read.header("prefer"), Some("include-unknown-enum-members"));
    gateway.stop().await;
    let log = gateway.log_text();
    assert!(!log.contains(TOKEN) && !log.contains("testmachine20"));
}

#[tokio::test]
async fn what_graph_adds_or_leaves_out_is_no_error() {
    let gateway = Gateway::start().await;
    let body = r#"{"id":"213213","status":"paused","actionStatus":"queued","actionType":"wipeDevice","new":{"a":[1]}}"#;
    let faults = [Fault::reply(200, body), Fault::reply(200, r#"{"id":7}"#)];
    gateway.sandbox.script(ID, on_read(faults));
    let task = get(&gateway, ID).await.unwrap().incident_task.unwrap();
    assert_eq!(task.status(), IncidentTaskStatus::UnknownFutureValue);
    assert_eq!(task.action_status(), ActionStatus::UnknownFutureValue);
    assert_eq!(task.action_type(), ActionType::UnknownFutureValue);
    let words = [
        task.unknown_status,
        task.unknown_action_status,
        task.unknown_action_type,
    ];
    assert_eq!(words, ["paused", "queued", "wipeDevice"]);

    let bare = get(&gateway, ID).await.unwrap().incident_task.unwrap();
    let want = IncidentTask {
        id: "7".to_owned(),
        ..IncidentTask::default()
    };
    assert_eq!(bare, want);
}

#[tokio::test]
async fn a_reading_is_repeated_where_that_may_help() {
    let gateway = Gateway::builder()
        .with("retry.initial_backoff", "1ms")
        .start()
        .await;
    for fault in [
        Fault::error(500, "generalException", ""),
        Fault::error(504, "UnknownError", ""),
        Fault::error(503, "serviceNotAvailable", "").header("Retry-After", "0"),
        Fault::reset(),
        Fault::close(),
    ] {
        gateway.sandbox.clear_journal();
        gateway.sandbox.script(ID, on_read([fault.clone(), fault]));
        get(&gateway, ID).await.unwrap();
        assert_eq!(gateway.sandbox.reads(ID), 3);
    }
}

#[tokio::test]
async fn every_failure_says_that_nothing_was_started_and_whether_to_ask_again() {
    let gateway = Gateway::single_attempts().start().await;
    for (fault, code, reason, again) in [
        (
            Fault::error(500, "generalException", "x"),
            Code::Internal,
            "GENERAL_EXCEPTION",
            Some("1000"),
        ),
        (
            Fault::error(504, "UnknownError", ""),
            Code::Unavailable,
            "UNKNOWN_ERROR",
            Some("1000"),
        ),
        (
            Fault::reset(),
            Code::Unavailable,
            "GRAPH_RESPONSE_LOST",
            Some("1000"),
        ),
        (
            Fault::error(429, "TooManyRequests", "").header("Retry-After", "7"),
            Code::ResourceExhausted,
            "GRAPH_THROTTLED",
            Some("7000"),
        ),
        (
            Fault::error(403, "Forbidden", ""),
            Code::PermissionDenied,
            "FORBIDDEN",
            None,
        ),
        (
            Fault::reply(200, "<html>"),
            Code::Unknown,
            "UNEXPECTED_GRAPH_RESPONSE",
            None,
        ),
        (
            Fault::reply(204, ""),
            Code::Unknown,
            "UNEXPECTED_GRAPH_RESPONSE",
            None,
        ),
    ] {
        gateway.sandbox.script(ID, on_read([fault]));
        let failed = answer(&get(&gateway, ID).await.unwrap_err());
        assert_eq!((failed.code, &*failed.reason), (code, reason));
        assert_eq!(failed.outcome, "NOT_STARTED", "{reason}");
        assert_eq!(failed.pushback.as_deref(), again, "{reason}");
        let retry = failed.details.retry_info().is_some();
        assert_eq!(retry, again.is_some(), "{reason}");
        assert_eq!(failed.metadata["clientRequestId"], GUID);
        assert_eq!(failed.metadata["attempts"], "1");
        assert!(!failed.message.contains("started"), "{}", failed.message);
    }
    let unknown = answer(&get(&gateway, "nobody").await.unwrap_err());
    assert_eq!(
        (unknown.code, &*unknown.reason),
        (Code::NotFound, "NOT_FOUND")
    );
}

#[tokio::test]
async fn what_nobody_sent_is_refused_before_graph_is_asked() {
    let gateway = Gateway::start().await;
    let wrong = answer(&get(&gateway, "a\nb").await.unwrap_err());
    assert_eq!(wrong.code, Code::InvalidArgument);
    let fields = wrong.details.bad_request().unwrap();
    assert_eq!(fields.field_violations[0].field, "incident_task_id");

    let mut client = gateway.client().await;
    let without_token = within(client.get_incident_task(Request::new(message(ID)))).await;
    let refused = answer(&without_token.unwrap_err());
    assert_eq!(refused.reason, "CALLER_UNAUTHENTICATED");
    assert_eq!(refused.metadata["clientRequestId"], GUID);
    assert!(gateway.sandbox.journal().is_empty());
}

#[tokio::test]
async fn a_deadline_that_passes_while_graph_reads_is_told_before_it_does() {
    let gateway = Gateway::start().await;
    gateway.sandbox.script(ID, on_read([Fault::hang()]));
    let mut request = with_token(message(ID));
    request.set_timeout(std::time::Duration::from_millis(500));
    let mut client = gateway.client().await;
    let late = answer(&within(client.get_incident_task(request)).await.unwrap_err());
    assert_eq!(
        (late.code, &*late.reason),
        (Code::DeadlineExceeded, "DEADLINE_EXCEEDED")
    );
    assert_eq!(late.outcome, "NOT_STARTED");
    assert_eq!(late.metadata["attempts"], "1");
}

#[tokio::test]
async fn who_may_start_actions_may_not_read_by_that() {
    let mut gateway = Gateway::builder().with_entra("on_behalf_of");
    gateway = gateway.with("policy.list_incident_tasks", "*");
    let gateway = gateway.start().await;
    let mint = Mint {
        user: Some("3f1c9f3e-5d1b-4a57-9d0c-6f1f4d1f7a10".to_owned()),
        ..Mint::default()
    };
    let token = gateway.sandbox.mint(mint).await.unwrap();
    let mut request = Request::new(message(ID));
    let token = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", token);
    let mut client = gateway.client().await;
    let refused = answer(&within(client.get_incident_task(request)).await.unwrap_err());
    assert_eq!(refused.reason, "CALLER_NOT_ALLOWED");
    assert!(
        refused.message.contains("`policy.get_incident_task`"),
        "{}",
        refused.message
    );
    assert!(gateway.sandbox.journal().is_empty());
}
