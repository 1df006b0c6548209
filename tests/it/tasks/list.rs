//! `ListIncidentTasks`.

use incidentgate::{
    pb::{
        ActionType, IncidentTaskOrder, IncidentTaskStatus, ListIncidentTasksRequest,
        ListIncidentTasksResponse, TimeRange,
    },
    sandbox::{Fault, Status as TaskStatus, Task},
};
use prost_types::Timestamp;
use tonic::{Code, Status};

use super::asked;
use crate::support::{Gateway, Wire, answer, frame, head, with_token, within};

const LIST: &str = "/beta/security/incidentTasks";

async fn list(
    gateway: &Gateway,
    message: ListIncidentTasksRequest,
) -> Result<ListIncidentTasksResponse, Status> {
    let mut client = gateway.client().await;
    let answer = within(client.list_incident_tasks(with_token(message))).await;
    answer.map(tonic::Response::into_inner)
}

fn ids(page: &ListIncidentTasksResponse) -> Vec<&str> {
    page.incident_tasks.iter().map(|task| &*task.id).collect()
}

/// A page that Graph shows once.
fn page(body: impl Into<Vec<u8>>) -> Fault {
    Fault::reply(200, body).on_list()
}

#[tokio::test]
async fn pages_follow_each_other_by_graphs_own_links() {
    let gateway = Gateway::start().await;
    let mut message = ListIncidentTasksRequest {
        page_size: 3,
        ..Default::default()
    };
    let first = list(&gateway, message.clone()).await.unwrap();
    assert_eq!(ids(&first), ["213213", "213214", "213215"]);
    message.page_token = first.next_page_token;
    let second = list(&gateway, message).await.unwrap();
    assert_eq!(ids(&second), ["213216"]);
    assert_eq!(second.next_page_token, "");
    let target = format!("GET {LIST}");
    let next = format!("{target}?%24top=3&$skiptoken=after-3");
    assert_eq!(asked(&gateway), [format!("{target}?$top=3"), next]);
}

#[tokio::test]
async fn filters_and_order_are_graphs_and_times_are_the_gateways() {
    let gateway = Gateway::start().await;
    gateway.sandbox.put_task(Task {
        incident_id: "it's".to_owned(),
        status: TaskStatus::NotRelevant,
        ..Task::new("other")
    });
    gateway.execute("213213").await.unwrap();
    let all = ListIncidentTasksRequest::default();
    let time = |seconds| Some(Timestamp { seconds, nanos: 0 });
    let long_ago = 1_700_000_000;
    for (message, want) in [
        (
            ListIncidentTasksRequest {
                incident_id: "it's".to_owned(),
                ..all.clone()
            },
            vec!["other"],
        ),
        (
            ListIncidentTasksRequest {
                status: IncidentTaskStatus::NotRelevant.into(),
                ..all.clone()
            },
            vec!["other"],
        ),
        (
            ListIncidentTasksRequest {
                action_type: ActionType::RunAntiVirusScan.into(),
                ..all.clone()
            },
            vec!["213216"],
        ),
        (
            ListIncidentTasksRequest {
                update_time: Some(TimeRange {
                    start: time(long_ago),
                    end: None,
                }),
                ..all.clone()
            },
            vec!["213213"],
        ),
        (
            ListIncidentTasksRequest {
                create_time: Some(TimeRange {
                    start: None,
                    end: time(1),
                }),
                ..all.clone()
            },
            vec![],
        ),
        (
            ListIncidentTasksRequest {
                order_by: IncidentTaskOrder::UpdateTimeDesc.into(),
                action_type: ActionType::IsolateDevice.into(),
                ..all.clone()
            },
            vec!["213213", "213215", "other"],
        ),
    ] {
        let page = list(&gateway, message.clone()).await.unwrap();
        assert_eq!(ids(&page), want, "{message:?}");
    }
}

#[tokio::test]
async fn a_token_is_for_its_own_list_only() {
    let gateway = Gateway::start().await;
    let message = ListIncidentTasksRequest {
        page_size: 1,
        ..Default::default()
    };
    let token = list(&gateway, message).await.unwrap().next_page_token;
    for (token, status) in [
        (token, IncidentTaskStatus::Open),
        ("x".to_owned(), IncidentTaskStatus::Unspecified),
    ] {
        let message = ListIncidentTasksRequest {
            page_token: token,
            status: status.into(),
            ..Default::default()
        };
        let wrong = answer(&list(&gateway, message).await.unwrap_err());
        assert_eq!(wrong.code, Code::InvalidArgument);
        let fields = wrong.details.bad_request().unwrap();
        assert_eq!(fields.field_violations[0].field, "page_token");
    }
    assert_eq!(gateway.sandbox.journal().len(), 1);
}

#[tokio::test]
async fn a_token_that_was_forged_makes_no_other_list() {
    use base64::Engine as _;
    let gateway = Gateway::start().await;
    let mut message = ListIncidentTasksRequest {
        page_size: 1,
        ..Default::default()
    };
    let token = list(&gateway, message.clone())
        .await
        .unwrap()
        .next_page_token;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let text = String::from_utf8(engine.decode(&token).unwrap()).unwrap();
    for forged in [
        format!("{text}&$expand=incident"),
        format!("{text}&$filter=status+eq+'open'&%24expand=x"),
        text.replace("skiptoken", "search"),
        format!("{text}#"),
        text.replace("after-1", "after-1\r\nx: y"),
    ] {
        assert_ne!(forged, text);
        message.page_token = engine.encode(&forged);
        let wrong = answer(&list(&gateway, message.clone()).await.unwrap_err());
        assert_eq!(wrong.code, Code::InvalidArgument, "{forged}");
    }
    assert_eq!(gateway.sandbox.journal().len(), 1);
}

#[tokio::test]
async fn pages_that_nobody_takes_are_few_and_hold_up_nothing_but_lists() {
    const SEATS: usize = 8;
    let gateway = Gateway::builder()
        .with("server.max_wait", "50ms")
        .start()
        .await;
    gateway
        .sandbox
        .script("*", (0..SEATS).map(|_| Fault::hold().on_list()));
    let message = ListIncidentTasksRequest::default();
    let held = (0..SEATS).map(|_| list(&gateway, message.clone()));
    let meanwhile = async {
        within(async {
            while gateway.sandbox.journal().len() < SEATS {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let refused = answer(&list(&gateway, message.clone()).await.unwrap_err());
        assert_eq!(
            (refused.code, &*refused.reason),
            (Code::ResourceExhausted, "GATEWAY_OVERLOADED")
        );
        gateway.execute("213213").await.unwrap();
        gateway.sandbox.release("*");
    };
    let (pages, ()) = tokio::join!(futures_util::future::join_all(held), meanwhile);
    assert!(pages.iter().all(Result::is_ok));
    assert_eq!(ids(&list(&gateway, message).await.unwrap()).len(), 4);
}

#[tokio::test]
async fn who_has_not_said_which_page_has_no_place_yet() {
    let gateway = Gateway::builder()
        .with("server.max_wait", "50ms")
        .start()
        .await;
    let mut wire = Wire::connect(gateway.addr).await;
    let mut slow = Vec::new();
    for _ in 0..20 {
        let path = "/incidentgate.v1.IncidentTaskService/ListIncidentTasks";
        slow.push(wire.begin(head(path, &[])).await);
    }
    let page = list(&gateway, ListIncidentTasksRequest::default()).await;
    assert_eq!(ids(&page.unwrap()).len(), 4);
    for mut call in slow {
        call.data(frame(&[]), true);
        let answered = call.answer().await.unwrap().grpc_status();
        assert_eq!(answered.code(), Code::Ok, "{answered}");
    }
}

#[tokio::test]
async fn a_link_to_another_host_is_not_followed() {
    let gateway = Gateway::single_attempts().start().await;
    let here = gateway.sandbox.addr();
    for link in [
        "https://evil.example/beta/security/incidentTasks?$skiptoken=x".to_owned(),
        format!("http://{here}/beta/users?$skiptoken=x"),
        format!("http://{here}@evil.example/beta/security/incidentTasks?$skiptoken=x"),
        format!("https://{here}/beta/security/incidentTasks?$skiptoken=x"),
    ] {
        let body = serde_json::json!({"value": [{"id": "1"}], "@odata.nextLink": link});
        gateway.sandbox.script("*", [page(body.to_string())]);
        let error = list(&gateway, ListIncidentTasksRequest::default()).await;
        let refused = answer(&error.unwrap_err());
        assert_eq!(refused.reason, "UNEXPECTED_GRAPH_RESPONSE", "{link}");
        assert!(
            refused.message.contains("not followed"),
            "{}",
            refused.message
        );
        assert!(!refused.message.contains("evil"), "{}", refused.message);
    }
}

#[tokio::test]
async fn a_page_is_read_up_to_its_cap() {
    let gateway = Gateway::single_attempts().start().await;
    let of = |bytes: usize| {
        let body = serde_json::json!({"value": [{"id": "1", "description": "x".repeat(bytes)}]});
        page(body.to_string())
    };
    gateway
        .sandbox
        .script("*", [of(1024 * 1024), of(2 * 1024 * 1024)]);
    let page = list(&gateway, ListIncidentTasksRequest::default())
        .await
        .unwrap();
    assert_eq!(page.incident_tasks[0].description.len(), 1024 * 1024);
    let error = list(&gateway, ListIncidentTasksRequest::default()).await;
    let refused = answer(&error.unwrap_err());
    assert_eq!(refused.reason, "UNEXPECTED_GRAPH_RESPONSE");
    assert!(
        refused.message.contains("less at a time"),
        "{}",
        refused.message
    );
}
