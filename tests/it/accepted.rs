//! What a successful call looks like on both sides.

use incidentgate::{
    pb::{ExecuteResponseActionRequest, ExecuteResponseActionResponse, ExecutionConfirmation},
    sandbox::{Entry, Fault, Task},
};

use crate::support::{Gateway, RawCall};

const GUID: &str = "A2F0B4A6-7d3c-4c5e-9a52-0f6f2f6d9d11";

#[tokio::test]
async fn a_success_says_how_it_is_known_and_under_which_ids() {
    let gateway = Gateway::start().await;
    let fault = Fault::reply(204, "")
        .header("request-id", "43067534-c43a")
        .header("client-request-id", "another-one");
    gateway.sandbox.script("213213", [fault]);
    let response = execute(&gateway, "213213", GUID, &[]).await;
    assert_eq!(
        response,
        ExecuteResponseActionResponse {
            confirmation: ExecutionConfirmation::Accepted.into(),
            graph_request_id: "43067534-c43a".to_owned(),
            client_request_id: GUID.to_owned(),
            attempts: 1,
            provider_warnings: Vec::new(),
            action_status: 0,
        }
    );
    assert_eq!(only_post(&gateway).header("client-request-id"), Some(GUID));
}

#[tokio::test]
async fn a_call_without_an_id_gets_one_that_graph_is_shown() {
    let gateway = Gateway::start().await;
    let first = execute(&gateway, "213213", "", &[]).await;
    let sent = only_post(&gateway);
    assert_eq!(
        sent.header("client-request-id"),
        Some(&*first.client_request_id)
    );
    assert!(uuid::Uuid::try_parse(&first.client_request_id).is_ok());
    assert!(uuid::Uuid::try_parse(&first.graph_request_id).is_ok());

    gateway.sandbox.reset();
    let second = execute(&gateway, "213213", "", &[]).await;
    assert_ne!(first.client_request_id, second.client_request_id);
}

#[tokio::test]
async fn providers_in_trouble_are_named_in_the_success() {
    let gateway = Gateway::start().await;
    gateway
        .sandbox
        .script("213213", [Fault::provider_warnings()]);
    let response = execute(&gateway, "213213", "", &[]).await;
    let warnings: Vec<_> = response
        .provider_warnings
        .into_iter()
        .map(|warning| {
            let latency = warning.latency.unwrap();
            (
                warning.vendor,
                warning.provider,
                warning.status_code,
                latency.seconds,
                latency.nanos,
            )
        })
        .collect();
    let warning = |vendor: &str, provider: &str, status, seconds, nanos| {
        (
            vendor.to_owned(),
            provider.to_owned(),
            status,
            seconds,
            nanos,
        )
    };
    assert_eq!(
        warnings,
        [
            warning("{Vendor2}", "{Provider 2}", 504, 10, 0),
            warning("{Vendor4}", "{Provider 4}", 403, 0, 10_000_000),
        ]
    );
    assert_eq!(gateway.sandbox.commits("213213"), 1);
}

#[tokio::test]
async fn graph_gets_the_documented_request_and_nothing_else_over_http_1() {
    let gateway = Gateway::start().await;
    is_the_documented_request(&gateway, "HTTP/1.1", &["host"]).await;
}

#[tokio::test]
async fn graph_gets_the_documented_request_and_nothing_else_over_http_2() {
    let gateway = Gateway::builder().with("graph.http2_prior_knowledge", "true");
    is_the_documented_request(&gateway.start().await, "HTTP/2.0", &[]).await;
}

#[tokio::test]
async fn a_task_id_is_one_segment_of_the_path_whatever_it_holds() {
    let gateway = Gateway::start().await;
    every_id_is_one_segment(&gateway).await;
}

#[tokio::test]
async fn a_task_id_is_one_segment_of_the_path_over_http_2_too() {
    let gateway = Gateway::builder().with("graph.http2_prior_knowledge", "true");
    every_id_is_one_segment(&gateway.start().await).await;
}

async fn is_the_documented_request(gateway: &Gateway, version: &str, more: &[&str]) {
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    let traceparent = format!("00-{trace_id}-b7ad6b7169203331-01");
    let headers = [
        ("traceparent", &*traceparent),
        ("baggage", "user=alice"),
        ("x-tenant", "contoso"),
        ("cookie", "a=b"),
        ("user-agent", "grpc-go/1.0"),
    ];
    execute(gateway, "213213", GUID, &headers).await;
    let post = only_post(gateway);
    assert_eq!(post.version, version);
    assert_eq!(
        post.target,
        "/beta/security/incidentTasks/213213/executeResponseAction"
    );
    assert_eq!(post.body_length, 0);
    let mut names: Vec<&str> = post.headers.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    let mut expected = vec![
        "accept",
        "accept-encoding",
        "authorization",
        "client-request-id",
        "content-length",
        "traceparent",
        "user-agent",
    ];
    expected.extend(more);
    expected.sort_unstable();
    assert_eq!(names, expected);
    for (name, value) in [
        ("accept", "application/json"),
        ("accept-encoding", "gzip"),
        ("authorization", "Bearer (present)"),
        ("client-request-id", GUID),
        ("content-length", "0"),
        (
            "user-agent",
            concat!("incidentgate/", env!("CARGO_PKG_VERSION")),
        ),
    ] {
        assert_eq!(post.header(name), Some(value), "{name}");
    }
    let sent = post.header("traceparent").unwrap();
    assert!(sent.contains(trace_id), "{sent}");
    assert_ne!(sent, traceparent, "the parent is the attempt's own span");
}

async fn every_id_is_one_segment(gateway: &Gateway) {
    let longest = ["/", "?", "ü", "."].map(|text| text.repeat(256 / text.len()));
    for (id, segment) in [
        ("a/b", "a%2Fb"),
        ("../../users", "..%2F..%2Fusers"),
        ("a?b=c#d", "a%3Fb%3Dc%23d"),
        ("%2e%2e", "%252e%252e"),
        ("%2E", "%252E"),
        ("%", "%25"),
        ("...", "..."),
        (" a b ", "%20a%20b%20"),
        ("a\\b", "a%5Cb"),
        ("a;b=c:d@e", "a%3Bb%3Dc%3Ad%40e"),
        ("a+b&c", "a%2Bb%26c"),
        ("ünï", "%C3%BCn%C3%AF"),
        ("端末🔒", "%E7%AB%AF%E6%9C%AB%F0%9F%94%92"),
        ("\u{202e}x", "%E2%80%AEx"),
        ("executeResponseAction", "executeResponseAction"),
        (&longest[0], &*"%2F".repeat(256)),
        (&longest[1], &*"%3F".repeat(256)),
        (&longest[2], &*"%C3%BC".repeat(128)),
        (&longest[3], &*longest[3]),
    ] {
        gateway.sandbox.clear_journal();
        gateway.sandbox.put_task(Task {
            id: id.to_owned(),
            action_type: "isolateDevice".to_owned(),
            ..Task::default()
        });
        execute(gateway, id, "", &[]).await;
        let post = only_post(gateway);
        assert_eq!(
            post.target,
            format!("/beta/security/incidentTasks/{segment}/executeResponseAction")
        );
        assert_eq!(post.task.as_deref(), Some(id));
        assert!(post.committed, "{id}");
    }
}

async fn execute(
    gateway: &Gateway,
    id: &str,
    client_request_id: &str,
    headers: &[(&str, &str)],
) -> ExecuteResponseActionResponse {
    let message = ExecuteResponseActionRequest {
        incident_task_id: id.to_owned(),
        client_request_id: client_request_id.to_owned(),
    };
    let call = RawCall::execute_message(gateway, &message, headers).await;
    assert!(!call.headers.contains_key("grpc-status"), "{call:?}");
    call.message()
}

/// The one request that Graph has received.
#[track_caller]
fn only_post(gateway: &Gateway) -> Entry {
    let mut journal = gateway.sandbox.journal();
    assert_eq!(journal.len(), 1, "{journal:?}");
    let entry = journal.remove(0);
    assert!(entry.is_post(), "{entry:?}");
    entry
}
