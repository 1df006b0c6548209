//! What was not started and passes by itself is sent again, within every limit.

use std::time::Duration;

use incidentgate::{
    pb::ExecutionConfirmation,
    sandbox::{Entry, Fault},
};
use opentelemetry::trace::SpanKind;
use tokio::{net::TcpListener, time::Instant};
use tonic::Code;

use crate::support::{Gateway, answer, attributes, points, request, within};

const ID: &str = "213213";

/// 503 with a `Retry-After` of these seconds.
fn unavailable(seconds: &str) -> Fault {
    Fault::error(503, "serviceNotAvailable", "").header("Retry-After", seconds)
}

fn throttled(seconds: &str) -> Fault {
    Fault::error(429, "TooManyRequests", "").header("Retry-After", seconds)
}

fn connections(gateway: &Gateway) -> Vec<u64> {
    let journal = gateway.sandbox.journal();
    journal
        .iter()
        .map(|entry: &Entry| entry.connection)
        .collect()
}

#[tokio::test]
async fn what_passes_by_itself_is_sent_again() {
    for fault in [
        throttled("0"),
        unavailable("0"),
        Fault::error(429, "TooManyRequests", ""),
    ] {
        let mut gateway = Gateway::start().await;
        gateway.sandbox.script(ID, [fault.clone(), fault]);
        let response = gateway.execute(ID).await.unwrap();
        assert_eq!(response.confirmation(), ExecutionConfirmation::Accepted);
        assert_eq!(response.attempts, 3);
        assert_eq!(
            (gateway.sandbox.posts(ID), gateway.sandbox.commits(ID)),
            (3, 1)
        );
        gateway.stop().await;
    }
}

#[tokio::test]
async fn each_attempt_is_a_client_span_that_counts_the_ones_before() {
    let gateway = Gateway::start().await;
    gateway
        .sandbox
        .script(ID, [throttled("0"), unavailable("0")]);
    gateway.execute(ID).await.unwrap();
    let (servers, clients): (Vec<_>, Vec<_>) = gateway
        .spans()
        .into_iter()
        .partition(|span| span.span_kind == SpanKind::Server);
    assert_eq!((servers.len(), clients.len()), (1, 3));
    for (resent, client) in clients.iter().enumerate() {
        assert_eq!(client.parent_span_id, servers[0].span_context.span_id());
        let counts: Vec<_> = attributes(&client.attributes)
            .into_iter()
            .filter_map(|pair| {
                let count = pair.strip_prefix("http.request.resend_count=int:")?;
                count.parse::<usize>().ok()
            })
            .collect();
        let want = if resent == 0 { vec![] } else { vec![resent] };
        assert_eq!(counts, want);
    }
    let causes: Vec<_> = points(&gateway.metrics())
        .into_iter()
        .filter(|point| point.starts_with("incidentgate.attempt.resends"))
        .collect();
    let point = |cause| {
        format!("incidentgate.attempt.resends {{attempt}} {{incidentgate.resend.cause={cause}}} 1")
    };
    assert_eq!(causes, [point("throttled"), point("unavailable")]);
}

#[tokio::test]
async fn only_after_a_503_the_next_attempt_makes_a_connection_of_its_own() {
    for http2 in ["false", "true"] {
        let mut gateway = Gateway::builder()
            .with("graph.http2_prior_knowledge", http2)
            .start()
            .await;
        gateway
            .sandbox
            .script(ID, [throttled("0"), unavailable("0")]);
        gateway.execute(ID).await.unwrap();
        let used = connections(&gateway);
        assert_eq!(used[0], used[1], "HTTP/2 {http2}: after 429");
        assert_ne!(used[1], used[2], "HTTP/2 {http2}: after 503");
        // And the pool is as good as before.
        gateway.execute(ID).await.unwrap_err();
        assert_eq!(connections(&gateway)[3], used[0], "HTTP/2 {http2}");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn it_gives_up_after_so_many_attempts_and_says_when_to_come_back() {
    for max in 1..=3 {
        let mut gateway = Gateway::builder()
            .with("retry.max_attempts", max.to_string())
            .start()
            .await;
        let faults = (0..5).map(|_| unavailable("0"));
        gateway.sandbox.script(ID, faults);
        let error = answer(&gateway.execute(ID).await.unwrap_err());
        assert_eq!(error.code, Code::Unavailable);
        assert_eq!(error.outcome, "NOT_STARTED");
        assert_eq!(error.metadata["attempts"], max.to_string());
        assert!(error.details.retry_info().is_some());
        assert_eq!(gateway.sandbox.posts(ID), max);
        gateway.stop().await;
    }
}

#[tokio::test]
async fn an_attempt_that_reaches_nobody_counts_as_a_try_but_not_as_a_post() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let gateway = Gateway::builder()
        .with_graph(format!("http://{closed}/beta"))
        .start()
        .await;
    let error = answer(&gateway.execute(ID).await.unwrap_err());
    assert_eq!(error.reason, "GRAPH_UNREACHABLE");
    assert!(!error.metadata.contains_key("attempts"));
    let spans = gateway.spans();
    let tries = spans
        .iter()
        .filter(|span| span.span_kind == SpanKind::Client);
    assert_eq!(tries.count(), 3);
}

#[tokio::test]
async fn what_would_pass_only_after_the_deadline_is_answered_at_once() {
    let gateway = Gateway::start().await;
    gateway.sandbox.script(ID, [throttled("10")]);
    let mut call = request(ID);
    call.set_timeout(Duration::from_secs(9));
    let begun = Instant::now();
    let mut client = gateway.client().await;
    let status = within(client.execute_response_action(call))
        .await
        .unwrap_err();
    let error = answer(&status);
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(error.reason, "GRAPH_THROTTLED");
    assert_eq!(error.outcome, "NOT_STARTED");
    assert_eq!(gateway.sandbox.posts(ID), 1);
}

#[tokio::test]
async fn what_graph_asks_for_is_waited() {
    let gateway = Gateway::start().await;
    // Graph answers 429 until a second has passed, and longer if that is ignored.
    gateway.sandbox.script(ID, [Fault::throttle(1, true)]);
    let begun = Instant::now();
    let response = gateway.execute(ID).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(response.attempts, 2);
}

#[tokio::test]
async fn a_process_whose_calls_fail_stops_to_send_again() {
    let gateway = Gateway::builder()
        .with("retry.max_tokens", "4")
        .start()
        .await;
    let attempts = async |faults: usize| {
        gateway
            .sandbox
            .script(ID, (0..faults).map(|_| unavailable("0")));
        let error = answer(&gateway.execute(ID).await.unwrap_err());
        error.metadata["attempts"].clone()
    };
    // 4 tokens, of which more than 2 must be there.
    assert_eq!(attempts(2).await, "2");
    assert_eq!(attempts(1).await, "1");
}

#[tokio::test]
async fn a_caller_who_leaves_while_the_gateway_waits_ends_the_matter() {
    let mut gateway = Gateway::start().await;
    gateway.sandbox.script(ID, [unavailable("1")]);
    let mut client = gateway.client().await;
    tokio::select! {
        result = client.execute_response_action(request(ID)) => panic!("{result:?}"),
        () = within(gateway.sandbox.wait_for_finished(ID, 1)) => {}
    }
    gateway.stop().await;
    assert_eq!(gateway.sandbox.posts(ID), 1);
    let outcomes: Vec<_> = points(&gateway.metrics())
        .into_iter()
        .filter(|point| point.starts_with("incidentgate.action.outcomes"))
        .collect();
    assert_eq!(
        outcomes,
        [
            "incidentgate.action.outcomes {call} {incidentgate.action.outcome=NOT_STARTED,rpc.status_code=CANCELLED} 1"
        ]
    );
}

#[tokio::test]
async fn a_gateway_that_ends_at_once_does_not_wait_for_graph() {
    let mut gateway = Gateway::start().await;
    gateway.sandbox.script(ID, [unavailable("20")]);
    let mut client = gateway.client().await;
    let call = tokio::spawn(async move { client.execute_response_action(request(ID)).await });
    within(gateway.sandbox.wait_for_finished(ID, 1)).await;
    gateway.shutdown.immediate.cancel();
    let error = answer(&within(call).await.unwrap().unwrap_err());
    assert_eq!(error.reason, "GATEWAY_DRAINING");
    assert_eq!(error.outcome, "NOT_STARTED");
    assert_eq!(gateway.sandbox.posts(ID), 1);
    gateway.stopped().await;
}
