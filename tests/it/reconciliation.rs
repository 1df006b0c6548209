//! When nobody knows whether a POST has started the action, the task itself is asked.

use std::time::Duration;

use incidentgate::{
    pb::{ActionStatus, ExecuteResponseActionResponse, ExecutionConfirmation},
    sandbox::{self, Fault},
};
use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::trace::SpanData;
use tonic::Code;

use crate::support::{Gateway, answer, attributes, points, request, within};

const ID: &str = "213213";
const ANSWERED: &str = "an action was answered after its caller had left";

/// Each loses the answer to a POST.
fn losses() -> Vec<Fault> {
    vec![
        Fault::reset(),
        Fault::close(),
        Fault::garbage("HTTP/2.0 200 OK\r\nnot so"),
        Fault::error(500, "generalException", ""),
        Fault::error(503, "serviceNotAvailable", ""),
        Fault::error(504, "UnknownError", ""),
        Fault::reply(502, "<html>Bad Gateway</html>"),
        Fault::reply(408, ""),
        Fault::captive_page(),
        Fault::truncate(200, 100, "{"),
        Fault::hang(),
    ]
}

/// A POST that hangs costs this much time; the next one has more than enough of it.
async fn impatient() -> Gateway {
    Gateway::builder()
        .with("graph.attempt_timeout", "2s")
        .start()
        .await
}

/// How often the task was read.
fn reads(gateway: &Gateway) -> usize {
    let journal = gateway.sandbox.journal();
    journal.iter().filter(|entry| entry.method == "GET").count()
}

async fn within_ms(
    gateway: &Gateway,
    ms: u64,
) -> Result<ExecuteResponseActionResponse, tonic::Status> {
    let mut call = request(ID);
    call.set_timeout(Duration::from_millis(ms));
    let mut client = gateway.client().await;
    within(client.execute_response_action(call))
        .await
        .map(tonic::Response::into_inner)
}

#[tokio::test]
async fn an_action_that_was_started_is_seen_in_its_task() {
    for loss in losses() {
        let mut gateway = impatient().await;
        gateway.sandbox.script(ID, [loss.clone().committed()]);
        let response = gateway.execute(ID).await.unwrap();
        assert_eq!(
            response.confirmation(),
            ExecutionConfirmation::Observed,
            "{loss:?}"
        );
        assert_eq!(response.action_status(), ActionStatus::InProgress);
        assert_eq!(response.attempts, 1);
        assert!(!response.graph_request_id.is_empty());
        assert_eq!((gateway.sandbox.posts(ID), reads(&gateway)), (1, 1));
        gateway.stop().await;
    }
}

#[tokio::test]
async fn one_that_was_not_started_is_started_by_one_more_post() {
    for loss in losses() {
        let mut gateway = impatient().await;
        gateway.sandbox.script(ID, [loss.clone()]);
        let response = gateway.execute(ID).await.unwrap();
        assert_eq!(
            response.confirmation(),
            ExecutionConfirmation::Accepted,
            "{loss:?}"
        );
        assert_eq!(response.action_status(), ActionStatus::Unspecified);
        assert_eq!(response.attempts, 2);
        assert_eq!((gateway.sandbox.posts(ID), reads(&gateway)), (2, 1));
        assert_eq!(gateway.sandbox.commits(ID), 1);
        gateway.stop().await;
    }
}

#[tokio::test]
async fn every_state_of_a_task_that_was_started_is_passed_on() {
    use sandbox::ActionStatus as Graph;
    for (state, seen) in [
        (Graph::InProgress, ActionStatus::InProgress),
        (Graph::PartiallyCompleted, ActionStatus::PartiallyCompleted),
        (Graph::Completed, ActionStatus::Completed),
        (Graph::Failed, ActionStatus::Failed),
    ] {
        let mut gateway = Gateway::start().await;
        let mut task = gateway.sandbox.task(ID).unwrap();
        task.action_status = state;
        gateway.sandbox.put_task(task);
        gateway.sandbox.script(ID, [Fault::reset()]);
        let response = gateway.execute(ID).await.unwrap();
        assert_eq!(response.confirmation(), ExecutionConfirmation::Observed);
        assert_eq!(response.action_status(), seen);
        gateway.stop().await;
    }
}

#[tokio::test]
async fn the_mode_says_how_far_it_goes() {
    for (mode, committed, outcome, posts, looks) in [
        ("off", true, "UNKNOWN", 1, 0),
        ("off", false, "UNKNOWN", 1, 0),
        ("observe", true, "OBSERVED", 1, 1),
        ("observe", false, "UNKNOWN", 1, 1),
        ("resend", true, "OBSERVED", 1, 1),
        ("resend", false, "ACCEPTED", 2, 1),
    ] {
        let mut gateway = Gateway::builder()
            .with("reconciliation.mode", mode)
            .start()
            .await;
        let loss = Fault {
            commit: committed,
            ..Fault::reset()
        };
        gateway.sandbox.script(ID, [loss]);
        let told = match gateway.execute(ID).await {
            Ok(response) => match response.confirmation() {
                ExecutionConfirmation::Observed => "OBSERVED".to_owned(),
                ExecutionConfirmation::Accepted => "ACCEPTED".to_owned(),
                ExecutionConfirmation::Unspecified => "UNSPECIFIED".to_owned(),
            },
            Err(status) => answer(&status).outcome,
        };
        assert_eq!(told, outcome, "{mode} {committed}");
        assert_eq!((gateway.sandbox.posts(ID), reads(&gateway)), (posts, looks));
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_task_that_cannot_be_read_leaves_the_outcome_unknown() {
    for unread in [
        Fault::reset(),
        Fault::hang(),
        Fault::garbage("?"),
        Fault::captive_page(),
        Fault::error(500, "generalException", ""),
        Fault::error(404, "itemNotFound", ""),
        Fault::error(429, "TooManyRequests", "").header("Retry-After", "1"),
        Fault::reply(200, r#"{"actionStatus":"unknownFutureValue"}"#),
        Fault::truncate(200, 100, r#"{"actionStatus":"completed""#),
    ] {
        for committed in [false, true] {
            let mut gateway = Gateway::builder()
                .with("reconciliation.timeout", "500ms")
                .start()
                .await;
            let loss = Fault {
                commit: committed,
                ..Fault::reset()
            };
            gateway.sandbox.script(ID, [loss, unread.clone().on_read()]);
            let error = answer(&gateway.execute(ID).await.unwrap_err());
            assert_eq!(error.code, Code::Unknown, "{unread:?}");
            assert_eq!(error.reason, "GRAPH_RESPONSE_LOST");
            assert_eq!(error.outcome, "UNKNOWN");
            assert_eq!(error.pushback.as_deref(), Some("-1"));
            assert_eq!(error.metadata["attempts"], "1");
            assert_eq!((gateway.sandbox.posts(ID), reads(&gateway)), (1, 1));
            gateway.stop().await;
        }
    }
}

#[tokio::test]
async fn a_task_that_shows_its_state_late_is_still_started_once() {
    let stale = || Fault::reply(200, r#"{"actionStatus":"notStarted"}"#).on_read();
    // Graph refuses the second POST; a second look shows why.
    let gateway = Gateway::start().await;
    let lost = Fault::reset().committed();
    gateway.sandbox.script(ID, [lost.clone(), stale()]);
    let response = gateway.execute(ID).await.unwrap();
    assert_eq!(response.confirmation(), ExecutionConfirmation::Observed);
    assert_eq!(response.attempts, 2);
    assert_eq!(
        (gateway.sandbox.posts(ID), gateway.sandbox.commits(ID)),
        (2, 1)
    );

    // Even if the task never shows it, Graph's refusal does.
    let gateway = Gateway::start().await;
    gateway.sandbox.script(ID, [lost, stale(), stale()]);
    let error = answer(&gateway.execute(ID).await.unwrap_err());
    assert_eq!(error.code, Code::AlreadyExists);
    assert_eq!(error.outcome, "ALREADY_STARTED");
    assert_eq!(error.metadata["attempts"], "2");
    assert_eq!(
        (gateway.sandbox.posts(ID), gateway.sandbox.commits(ID)),
        (2, 1)
    );
}

#[tokio::test]
async fn a_refusal_does_not_hide_that_an_earlier_post_was_lost() {
    for refusal in [
        Fault::error(429, "TooManyRequests", "").header("Retry-After", "0"),
        Fault::error(403, "Forbidden", ""),
        Fault::error(404, "itemNotFound", ""),
    ] {
        let mut gateway = Gateway::start().await;
        gateway
            .sandbox
            .script(ID, [Fault::reset(), refusal.clone()]);
        let error = answer(&gateway.execute(ID).await.unwrap_err());
        assert_eq!(error.outcome, "UNKNOWN", "{refusal:?}");
        assert_eq!(error.metadata["attempts"], "2");
        assert_eq!((gateway.sandbox.posts(ID), reads(&gateway)), (2, 2));
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_doubt_is_resolved_by_one_more_post_at_most() {
    let gateway = Gateway::builder()
        .with("retry.max_attempts", "10")
        .start()
        .await;
    gateway.sandbox.script(ID, (0..5).map(|_| Fault::reset()));
    let error = answer(&gateway.execute(ID).await.unwrap_err());
    assert_eq!(error.outcome, "UNKNOWN");
    assert_eq!((gateway.sandbox.posts(ID), reads(&gateway)), (2, 2));
}

#[tokio::test]
async fn a_post_that_hangs_is_checked_before_the_deadline() {
    let mut gateway = Gateway::start().await;
    gateway.sandbox.script(ID, [Fault::hang().committed()]);
    let response = within_ms(&gateway, 2000).await.unwrap();
    assert_eq!(response.confirmation(), ExecutionConfirmation::Observed);
    assert_eq!(response.attempts, 1);
    assert_eq!((gateway.sandbox.posts(ID), reads(&gateway)), (1, 1));
    gateway.stop().await;
}

#[tokio::test]
async fn one_that_was_sent_late_is_checked_too() {
    let mut gateway = Gateway::builder()
        .with("retry.initial_backoff", "1ms")
        .start()
        .await;
    let refused = Fault::error(429, "TooManyRequests", "").header("Retry-After", "3");
    gateway
        .sandbox
        .script(ID, [refused, Fault::hang().committed()]);
    // The second POST leaves when the first would have been checked already.
    let response = within_ms(&gateway, 4000).await.unwrap();
    assert_eq!(response.confirmation(), ExecutionConfirmation::Observed);
    assert_eq!(response.attempts, 2);
    assert_eq!((gateway.sandbox.posts(ID), reads(&gateway)), (2, 1));
    gateway.stop().await;
}

#[tokio::test]
async fn one_that_is_answered_after_all_is_not_sent_again() {
    let gateway = Gateway::start().await;
    // The look, after three quarters of the time, finds nothing started.
    gateway.sandbox.script(ID, [Fault::hold()]);
    let (response, ()) = tokio::join!(within_ms(&gateway, 4000), async {
        within(async {
            while reads(&gateway) == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        gateway.sandbox.release(ID);
    });
    let response = response.unwrap();
    assert_eq!(response.confirmation(), ExecutionConfirmation::Accepted);
    assert_eq!((gateway.sandbox.posts(ID), reads(&gateway)), (1, 1));
}

#[tokio::test]
async fn one_that_hangs_without_having_started_anything_stays_unknown() {
    let gateway = Gateway::start().await;
    gateway.sandbox.script(ID, [Fault::hang()]);
    let error = answer(&within_ms(&gateway, 1000).await.unwrap_err());
    assert_eq!(error.code, Code::DeadlineExceeded);
    assert_eq!(error.outcome, "UNKNOWN");
    assert_eq!((gateway.sandbox.posts(ID), reads(&gateway)), (1, 1));
}

#[tokio::test]
async fn after_its_caller_has_left_a_doubt_is_looked_into_but_nothing_is_sent_again() {
    for (committed, outcome) in [(true, "OBSERVED"), (false, "UNKNOWN")] {
        let mut gateway = Gateway::start().await;
        let loss = Fault {
            commit: committed,
            ..Fault::reset().held()
        };
        gateway.sandbox.script(ID, [loss]);
        let mut client = gateway.client().await;
        tokio::select! {
            result = client.execute_response_action(request(ID)) => panic!("{result:?}"),
            () = within(gateway.sandbox.wait_for_posts(ID, 1)) => {}
        }
        gateway.logged("the caller left").await;
        gateway.sandbox.release(ID);
        assert_eq!(gateway.logged(ANSWERED).await["outcome"], outcome);
        gateway.stop().await;
        assert_eq!((gateway.sandbox.posts(ID), reads(&gateway)), (1, 1));
        let counted = format!(
            "incidentgate.action.outcomes {{call}} {{incidentgate.action.outcome={outcome},rpc.status_code=CANCELLED}} 1"
        );
        assert!(points(&gateway.metrics()).contains(&counted));
    }
}

#[tokio::test]
async fn a_caller_who_leaves_in_the_pause_after_the_look_is_the_end_of_sending() {
    const CALLS: usize = 20;
    let mut gateway = Gateway::builder()
        .with("retry.initial_backoff", "100ms")
        .start()
        .await;
    for n in 0..CALLS {
        let id = format!("task-{n}");
        gateway.sandbox.put_task(sandbox::Task::new(&id));
        gateway.sandbox.script(&id, [Fault::reset()]);
        let mut client = gateway.client().await;
        let looked = async {
            while reads(&gateway) <= n {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            result = client.execute_response_action(request(&id)) => panic!("{result:?}"),
            () = within(looked) => {}
        }
        gateway.logged_times(ANSWERED, n + 1).await;
    }
    gateway.stop().await;
    let (servers, clients): (Vec<_>, Vec<_>) = gateway
        .spans()
        .into_iter()
        .partition(|span| span.span_kind == SpanKind::Server);
    for server in servers {
        let of_call = |span: &&SpanData| span.parent_span_id == server.span_context.span_id();
        let posts = clients.iter().filter(of_call);
        for post in posts.filter(|span| span.name.starts_with("POST")) {
            assert!(post.start_time <= server.end_time, "{post:?} {server:?}");
        }
    }
    // Else nobody has left in a pause.
    assert!(gateway.sandbox.posts("*") < 2 * CALLS);
}

#[tokio::test]
async fn a_hundred_tasks_are_looked_at_at_a_time() {
    const CALLS: usize = 250;
    let gateway = Gateway::builder()
        .with("reconciliation.mode", "observe")
        .with("reconciliation.timeout", "1h")
        .start()
        .await;
    let sandbox = &gateway.sandbox;
    let looks = (0..CALLS).map(|_| Fault::hold().on_read());
    sandbox.script("*", (0..CALLS).map(|_| Fault::reset()).chain(looks));
    let client = gateway.client().await;
    let calls: Vec<_> = (0..CALLS)
        .map(|n| {
            let id = format!("task-{n}");
            sandbox.put_task(sandbox::Task::new(&id));
            let mut client = client.clone();
            tokio::spawn(async move { client.execute_response_action(request(&id)).await })
        })
        .collect();
    within(sandbox.wait_for_finished("*", CALLS)).await;
    let looking = || {
        let journal = sandbox.journal();
        let looks = journal.iter().filter(|entry| entry.method == "GET");
        looks.filter(|look| !look.finished).count()
    };
    let mut most = 0;
    within(async {
        while most < 100 {
            most = most.max(looking());
            tokio::task::yield_now().await;
        }
        while !calls.iter().all(tokio::task::JoinHandle::is_finished) {
            most = most.max(looking());
            sandbox.release("*");
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(most, 100);
    assert_eq!(reads(&gateway), CALLS);
}

#[tokio::test]
async fn the_look_is_a_client_span_of_the_same_trace() {
    let gateway = Gateway::start().await;
    gateway.sandbox.script(ID, [Fault::reset().committed()]);
    gateway.execute(ID).await.unwrap();
    let (servers, clients): (Vec<_>, Vec<_>) = gateway
        .spans()
        .into_iter()
        .partition(|span| span.span_kind == SpanKind::Server);
    let server = &servers[0];
    let own = attributes(&server.attributes);
    assert!(own.contains("incidentgate.action.outcome=text:OBSERVED"));
    let names: Vec<_> = clients.iter().map(|span| span.name.as_ref()).collect();
    assert_eq!(
        names,
        [
            "POST /security/incidentTasks/{incidentTaskId}/executeResponseAction",
            "GET /security/incidentTasks/{incidentTaskId}",
        ]
    );
    for client in &clients {
        assert_eq!(client.parent_span_id, server.span_context.span_id());
    }
    let look = attributes(&clients[1].attributes);
    let template = "/security/incidentTasks/{incidentTaskId}";
    for attribute in [
        "http.request.method=text:GET".to_owned(),
        "http.response.status_code=int:200".to_owned(),
        "incidentgate.action.status=text:inProgress".to_owned(),
        format!("url.template=text:{template}"),
        format!("url.full=text:{}{template}", gateway.sandbox.graph_url()),
    ] {
        assert!(look.contains(&attribute), "{attribute}: {look:?}");
    }
    let get = gateway.sandbox.journal().pop().unwrap();
    let sent = get.header("traceparent").unwrap().to_owned();
    assert!(sent.contains(&clients[1].span_context.span_id().to_string()));
    let results: Vec<_> = points(&gateway.metrics())
        .into_iter()
        .filter(|point| point.starts_with("incidentgate.reconciliations"))
        .collect();
    assert_eq!(
        results,
        ["incidentgate.reconciliations {read} {incidentgate.reconciliation.result=started} 1"]
    );
}
