//! The gateway's own token.

use std::time::Duration;

use incidentgate::sandbox::{EntraAct, EntraFault, Fault, Revoke, Task};
use tonic::Code;

use super::{of_metric, token_requests};
use crate::support::{Gateway, GatewayBuilder, answer, request, within};

fn builder() -> GatewayBuilder {
    Gateway::builder().with_entra("application")
}

async fn start() -> Gateway {
    let gateway = builder().start().await;
    // The one that is fetched before anybody calls.
    within(gateway.sandbox.wait_for_token_requests(1)).await;
    gateway
}

#[tokio::test]
async fn many_calls_use_one_token_that_came_before_them() {
    let gateway = start().await;
    for id in ["213213", "213216"] {
        assert!(gateway.execute(id).await.is_ok());
    }
    let requests = token_requests(&gateway.sandbox);
    let [request] = &requests[..] else {
        panic!("{requests:?}")
    };
    assert_eq!(request.grant_type.as_deref(), Some("client_credentials"));
    assert_eq!(
        request.scope.as_deref(),
        Some("https://graph.microsoft.com/.default")
    );
    let claims = request.claims.as_deref().unwrap();
    assert!(claims.contains("cp1"), "{claims}");
    let points = of_metric(&gateway, "incidentgate.fetch.duration");
    assert!(points[0].contains("application_token"), "{points:?}");
}

#[tokio::test]
async fn a_caller_without_any_token_is_served_and_one_that_is_sent_goes_nowhere() {
    let gateway = start().await;
    let mut bare = request("213213");
    bare.metadata_mut().remove("authorization");
    let mut client = gateway.client().await;
    assert!(within(client.execute_response_action(bare)).await.is_ok());
    assert!(gateway.execute("213216").await.is_ok());
    for entry in gateway.sandbox.journal() {
        assert!(!format!("{entry:?}").contains(crate::support::TOKEN));
    }
}

#[tokio::test]
async fn a_revoked_token_is_renewed_once_within_the_call() {
    for challenge in [false, true] {
        let gateway = start().await;
        gateway.sandbox.revoke_tokens(Revoke {
            challenge,
            ..Revoke::default()
        });
        let done = gateway.execute("213213").await.unwrap();
        assert_eq!(done.attempts, 2);
        assert_eq!(gateway.sandbox.commits("213213"), 1);
        assert!(gateway.execute("213216").await.is_ok());
        let requests = token_requests(&gateway.sandbox);
        assert_eq!(requests.len(), 2, "{requests:?}");
        let claims = requests[1].claims.as_deref().unwrap();
        assert_eq!(claims.contains("nbf"), challenge, "{claims}");
        assert!(claims.contains("cp1"), "{claims}");
        let resends = of_metric(&gateway, "incidentgate.attempt.resends");
        assert!(resends[0].contains("renewed"), "{resends:?}");
    }
}

#[tokio::test]
async fn where_graph_refuses_every_token_entra_is_not_asked_by_every_call() {
    let gateway = start().await;
    let refused = || Fault::error(401, "InvalidAuthenticationToken", "no");
    let faults = std::iter::repeat_with(refused).take(20);
    gateway.sandbox.script("213213", faults);
    for expected in [2, 1, 1, 1] {
        let status = gateway.execute("213213").await.unwrap_err();
        let answer = answer(&status);
        assert_eq!(answer.code, Code::Internal);
        assert_eq!(answer.reason, "GATEWAY_CREDENTIAL_REJECTED");
        assert_eq!(answer.outcome, "NOT_STARTED");
        assert_eq!(answer.metadata["attempts"], expected.to_string());
    }
    assert_eq!(token_requests(&gateway.sandbox).len(), 2);
}

#[tokio::test]
async fn a_doubt_is_looked_into_with_a_new_token_where_the_old_one_is_refused() {
    let gateway = start().await;
    // The answer is lost after the start, and the look comes with a token revoked since.
    gateway
        .sandbox
        .script("213213", [Fault::reset().committed().held()]);
    let call = {
        let mut client = gateway.client().await;
        tokio::spawn(async move { client.execute_response_action(request("213213")).await })
    };
    within(gateway.sandbox.wait_for_commits("213213", 1)).await;
    gateway.sandbox.revoke_tokens(Revoke::default());
    gateway.sandbox.release("213213");
    let done = within(call).await.unwrap().unwrap().into_inner();
    assert_eq!(done.attempts, 1);
    assert_eq!(gateway.sandbox.posts("213213"), 1);
    assert_eq!(token_requests(&gateway.sandbox).len(), 2);
}

#[tokio::test]
async fn a_post_after_a_look_comes_with_the_token_that_the_look_has_brought() {
    let gateway = start().await;
    // The answer is lost before the start, and the look comes with a token revoked since.
    gateway.sandbox.script("213213", [Fault::reset().held()]);
    let call = {
        let mut client = gateway.client().await;
        tokio::spawn(async move { client.execute_response_action(request("213213")).await })
    };
    within(gateway.sandbox.wait_for_posts("213213", 1)).await;
    gateway.sandbox.revoke_tokens(Revoke::default());
    gateway.sandbox.release("213213");
    let done = within(call).await.unwrap().unwrap().into_inner();
    assert_eq!(done.attempts, 2);
    assert_eq!(gateway.sandbox.posts("213213"), 2);
    assert_eq!(gateway.sandbox.commits("213213"), 1);
    assert_eq!(token_requests(&gateway.sandbox).len(), 2);
}

#[tokio::test]
async fn what_entra_says_instead_of_a_token_is_told_and_nothing_reaches_graph() {
    let refused = ("INTERNAL", "GATEWAY_CREDENTIAL_REJECTED");
    let for_now = ("UNAVAILABLE", "CREDENTIAL_UNAVAILABLE");
    for (fault, (code, reason), words) in [
        (EntraFault::aadsts(7_000_215), refused, "AADSTS7000215"),
        (EntraFault::aadsts(700_016), refused, "AADSTS700016"),
        (EntraFault::aadsts(90_002), refused, "AADSTS90002"),
        (EntraFault::reply(404, "<html>"), refused, "HTTP 404"),
        (EntraFault::throttle(7), for_now, "HTTP 429"),
        (EntraFault::reply(503, ""), for_now, "HTTP 503"),
        (EntraFault::of(EntraAct::NotJson), for_now, "HTTP 200"),
        (EntraFault::of(EntraAct::NoToken), for_now, ""),
        (EntraFault::lifetime(0), for_now, ""),
        (EntraFault::lifetime(-10), for_now, ""),
        (EntraFault::lifetime(i64::MAX), for_now, ""),
        (EntraFault::of(EntraAct::Reset), for_now, ""),
        (EntraFault::of(EntraAct::Close), for_now, ""),
        (EntraFault::of(EntraAct::Hang), for_now, ""),
        (
            EntraFault::of(EntraAct::Garbage(b"\x15\x03\x01".to_vec())),
            for_now,
            "",
        ),
        (EntraFault::reply(200, vec![b' '; 2 << 20]), for_now, ""),
        (EntraFault::throttle(u32::MAX), for_now, "HTTP 429"),
    ] {
        let shown = format!("{fault:.100?}");
        let gateway = builder()
            .with("retry.max_attempts", "1")
            .with("credentials.timeout", "500ms")
            .with_entra_faults(std::iter::repeat_n(fault, 3))
            .start()
            .await;
        let answer = answer(&gateway.execute("213213").await.unwrap_err());
        let got = (
            incidentgate::rpc::status::code_name(answer.code),
            &*answer.reason,
        );
        assert_eq!(got, (code, reason), "{shown}");
        assert_eq!(answer.outcome, "NOT_STARTED", "{shown}");
        assert!(
            answer.message.contains(words),
            "{shown}: {}",
            answer.message
        );
        let retry = answer
            .details
            .retry_info()
            .and_then(|info| info.retry_delay);
        assert_eq!(retry.is_some(), code == "UNAVAILABLE", "{shown}");
        if words == "HTTP 429" {
            assert!(retry > Some(Duration::from_secs(5)), "{retry:?}");
        }
        assert_eq!(gateway.sandbox.posts("213213"), 0, "{shown}");
        let points = of_metric(&gateway, "incidentgate.fetch.duration");
        assert!(
            points.iter().all(|point| point.contains("error.type")),
            "{points:?}"
        );
    }
}

#[tokio::test]
async fn a_token_that_lives_for_ever_is_one_for_now() {
    let gateway = builder()
        .with_entra_faults([EntraFault::lifetime(i64::from(u32::MAX))])
        .start()
        .await;
    within(gateway.sandbox.wait_for_token_requests(1)).await;
    assert!(gateway.execute("213213").await.is_ok());
    assert_eq!(gateway.sandbox.token_requests(), 1);
}

#[tokio::test]
async fn entra_that_is_ill_for_a_moment_costs_a_call_only_time() {
    let gateway = builder()
        .with_entra_faults([EntraFault::reply(503, "")])
        .start()
        .await;
    assert!(gateway.execute("213213").await.is_ok());
    assert_eq!(token_requests(&gateway.sandbox).len(), 2);
}

#[tokio::test]
async fn the_deadline_holds_while_entra_is_slow_and_all_who_wait_share_one_fetch() {
    let gateway = builder()
        .with("credentials.timeout", "1h")
        .with_entra_faults([EntraFault::hold()])
        .start()
        .await;
    let mut hurried = request("213213");
    hurried.set_timeout(Duration::from_millis(200));
    let mut client = gateway.client().await;
    let status = within(client.execute_response_action(hurried))
        .await
        .unwrap_err();
    let answer = answer(&status);
    assert_eq!(answer.code, Code::DeadlineExceeded);
    assert_eq!(answer.outcome, "NOT_STARTED");

    let ids: Vec<String> = (0..50).map(|n| format!("many-{n}")).collect();
    let mut calls = Vec::new();
    for id in &ids {
        gateway.sandbox.put_task(Task::new(id));
        let (mut client, request) = (client.clone(), request(id));
        calls.push(tokio::spawn(async move {
            client.execute_response_action(request).await
        }));
    }
    tokio::task::yield_now().await;
    gateway.sandbox.release_entra();
    for call in calls {
        assert!(within(call).await.unwrap().is_ok());
    }
    assert_eq!(token_requests(&gateway.sandbox).len(), 1);
    assert_eq!(gateway.sandbox.posts("213213"), 0);
}

#[tokio::test]
async fn a_stale_token_is_used_while_entra_refuses_to_renew_it() {
    let refused = || EntraFault::aadsts(7_000_215);
    let gateway = builder()
        .with_entra_faults([EntraFault::lifetime(3)])
        .with_entra_faults(std::iter::repeat_with(refused).take(20))
        .start()
        .await;
    within(gateway.sandbox.wait_for_token_requests(1)).await;
    assert!(gateway.execute("213213").await.is_ok());
    // Stale after half its life: the calls from then on ask for another one.
    let mut calls = 0;
    within(async {
        while gateway.sandbox.token_requests() < 2 {
            let id = format!("stale-{calls}");
            gateway.sandbox.put_task(Task::new(&id));
            assert!(gateway.execute(&id).await.is_ok());
            calls += 1;
        }
    })
    .await;
    gateway.sandbox.put_task(Task::new("last"));
    assert!(gateway.execute("last").await.is_ok());
    assert!(gateway.log_text().contains("a fetch failed"));
}
