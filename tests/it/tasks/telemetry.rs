//! What spans and metrics tell of the calls that start nothing.

use incidentgate::{
    pb::{
        GetIncidentTaskRequest, IncidentTask, IncidentTaskStatus, ListIncidentTasksRequest,
        UpdateIncidentTaskRequest, WatchIncidentTaskRequest,
    },
    sandbox::{ActionStatus, Fault, Task},
};
use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;

use super::on_read;
use crate::support::{Gateway, attributes, points, with_token, within};

const ID: &str = "213213";
const SERVICE: &str = "incidentgate.v1.IncidentTaskService";

/// The one span of this kind.
fn only(spans: &[SpanData], kind: &SpanKind) -> SpanData {
    let mut found = spans.iter().filter(|span| span.span_kind == *kind);
    let span = found.next().expect("a span").clone();
    assert!(found.next().is_none(), "{spans:?}");
    span
}

/// Nothing of it tells which task it was.
fn is_without_ids(spans: &[SpanData]) -> bool {
    !spans
        .iter()
        .any(|span| format!("{:?} {:?}", span.name, span.attributes).contains(ID))
}

#[tokio::test]
async fn a_reading_is_a_server_span_with_a_client_span_for_each_request() {
    let gateway = Gateway::builder()
        .with("retry.initial_backoff", "1ms")
        .start()
        .await;
    let busy = Fault::error(502, "UnknownError", "");
    gateway.sandbox.script(ID, on_read([busy]));
    let mut client = gateway.client().await;
    let message = GetIncidentTaskRequest {
        incident_task_id: ID.to_owned(),
        ..Default::default()
    };
    within(client.get_incident_task(with_token(message)))
        .await
        .unwrap();

    let spans = gateway.wait_for_spans(3).await;
    let server = only(&spans, &SpanKind::Server);
    assert_eq!(server.name, format!("{SERVICE}/GetIncidentTask"));
    assert_eq!(server.status, Status::Unset);
    let told = attributes(&server.attributes);
    assert!(
        told.iter().any(|told| told == "rpc.status_code=text:OK"),
        "{told:?}"
    );
    assert!(
        !told
            .iter()
            .any(|told| told.starts_with("incidentgate.action.")),
        "{told:?}"
    );

    let clients: Vec<_> = spans
        .iter()
        .filter(|span| span.span_kind == SpanKind::Client)
        .collect();
    for (n, client) in clients.iter().enumerate() {
        assert_eq!(client.name, "GET /security/incidentTasks/{incidentTaskId}");
        assert_eq!(client.parent_span_id, server.span_context.span_id());
        let told = attributes(&client.attributes);
        let has = |wanted: &str| told.iter().any(|told| told.starts_with(wanted));
        assert_eq!(has("http.request.resend_count=int:1"), n == 1, "{told:?}");
        assert_eq!(
            has("incidentgate.action.status=text:notStarted"),
            n == 1,
            "{told:?}"
        );
        assert!(
            has("url.template=text:/security/incidentTasks/{incidentTaskId}"),
            "{told:?}"
        );
    }
    assert!(is_without_ids(&spans));
}

#[tokio::test]
async fn each_rpc_and_each_request_has_its_own_name() {
    let gateway = Gateway::start().await;
    let mut client = gateway.client().await;
    let list = with_token(ListIncidentTasksRequest::default());
    within(client.list_incident_tasks(list)).await.unwrap();
    let update = with_token(UpdateIncidentTaskRequest {
        incident_task: Some(IncidentTask {
            id: ID.to_owned(),
            status: IncidentTaskStatus::InProgress.into(),
            ..Default::default()
        }),
        ..Default::default()
    });
    within(client.update_incident_task(update)).await.unwrap();
    let spans = gateway.wait_for_spans(4).await;
    let mut names: Vec<_> = spans.iter().map(|span| span.name.to_string()).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "GET /security/incidentTasks",
            "PATCH /security/incidentTasks/{incidentTaskId}",
            &format!("{SERVICE}/ListIncidentTasks"),
            &format!("{SERVICE}/UpdateIncidentTask"),
        ]
    );
    assert!(is_without_ids(&spans));

    let metrics = points(&gateway.metrics());
    for wanted in [
        format!(
            "rpc.server.call.duration s {{rpc.method={SERVICE}/ListIncidentTasks,rpc.status_code=OK,"
        ),
        format!(
            "rpc.server.call.duration s {{rpc.method={SERVICE}/UpdateIncidentTask,rpc.status_code=OK,"
        ),
        "http.client.request.duration s {http.request.method=PATCH,http.response.status_code=200,"
            .to_owned(),
    ] {
        assert!(
            metrics.iter().any(|point| point.starts_with(&wanted)),
            "{wanted}: {metrics:?}"
        );
    }
    // Whether an action was started is not asked of them.
    assert!(
        !metrics
            .iter()
            .any(|point| point.starts_with("incidentgate.action.outcomes"))
    );
}

#[tokio::test]
async fn a_watch_is_one_span_and_its_readings_are_nobodys() {
    let gateway = Gateway::start().await;
    gateway.sandbox.put_task(Task {
        action_status: ActionStatus::Completed,
        ..Task::new("done")
    });
    let mut client = gateway.client().await;
    let message = WatchIncidentTaskRequest {
        incident_task_id: "done".to_owned(),
        ..Default::default()
    };
    let stream = within(client.watch_incident_task(with_token(message))).await;
    let mut stream = stream.unwrap().into_inner();
    while within(stream.message()).await.unwrap().is_some() {}
    let spans = gateway.wait_for_spans(2).await;
    let server = only(&spans, &SpanKind::Server);
    assert_eq!(server.name, format!("{SERVICE}/WatchIncidentTask"));
    let told = attributes(&server.attributes);
    assert!(
        told.iter().any(|told| told == "rpc.status_code=text:OK"),
        "{told:?}"
    );
    let client = only(&spans, &SpanKind::Client);
    assert_eq!(client.parent_span_id, SpanId::INVALID);
}
