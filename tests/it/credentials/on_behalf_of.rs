//! Tokens for Graph in exchange for the callers' own.

use incidentgate::sandbox::{EntraFault, Fault, Mint, Revoke, Task};
use tonic::{Code, Request, Status};

use super::token_requests;
use crate::support::{Gateway, answer, request, within};

const ALICE: &str = "0a1b2c3d-0000-4000-8000-00000000a11c";
const BOB: &str = "0a1b2c3d-0000-4000-8000-000000000b0b";

async fn start() -> Gateway {
    Gateway::builder().with_entra("on_behalf_of").start().await
}

fn of_user(user: &str) -> Mint {
    Mint {
        user: Some(user.to_owned()),
        scopes: vec!["Incident.Execute".to_owned()],
        ..Mint::default()
    }
}

async fn token(gateway: &Gateway, mint: Mint) -> String {
    gateway.sandbox.mint(mint).await.unwrap()
}

async fn execute(gateway: &Gateway, id: &str, token: &str) -> Result<i32, Status> {
    let mut request: Request<_> = request(id);
    let value = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    let mut client = gateway.client().await;
    let done = within(client.execute_response_action(request)).await?;
    Ok(done.into_inner().attempts)
}

#[tokio::test]
async fn a_users_token_is_exchanged_once_and_each_user_has_their_own() {
    let gateway = start().await;
    let alice = token(&gateway, of_user(ALICE)).await;
    let bob = token(&gateway, of_user(BOB)).await;
    for n in 0..3 {
        for (user, token) in [("alice", &alice), ("bob", &bob)] {
            let id = format!("{user}-{n}");
            gateway.sandbox.put_task(Task::new(&id));
            assert_eq!(execute(&gateway, &id, token).await.unwrap(), 1);
        }
    }
    let requests = token_requests(&gateway.sandbox);
    let users: Vec<_> = requests.iter().map(|entry| entry.user.as_deref()).collect();
    assert_eq!(users, [Some(ALICE), Some(BOB)]);
    // Neither the caller's token nor the gateway's own went to Graph.
    for token in [&alice, &bob] {
        assert!(!gateway.log_text().contains(token.as_str()));
    }
}

#[tokio::test]
async fn calls_of_one_user_that_come_together_share_one_exchange() {
    let gateway = start().await;
    gateway.sandbox.script_entra([EntraFault::hold()]);
    let alice = token(&gateway, of_user(ALICE)).await;
    let mut calls = Vec::new();
    let client = gateway.client().await;
    for n in 0..20 {
        let id = format!("task-{n}");
        gateway.sandbox.put_task(Task::new(&id));
        let mut request = request(&id);
        let value = format!("Bearer {alice}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
        let mut client = client.clone();
        calls.push(tokio::spawn(async move {
            client.execute_response_action(request).await
        }));
    }
    within(gateway.sandbox.wait_for_token_requests(1)).await;
    gateway.sandbox.release_entra();
    for call in calls {
        assert!(within(call).await.unwrap().is_ok());
    }
    assert_eq!(token_requests(&gateway.sandbox).len(), 1);
}

#[tokio::test]
async fn who_is_no_user_is_told_so_and_entra_is_not_asked() {
    let gateway = start().await;
    let app_only = Mint {
        roles: vec!["Incident.Execute".to_owned()],
        ..Mint::default()
    };
    let app_only = token(&gateway, app_only).await;
    let answer = answer(&execute(&gateway, "213213", &app_only).await.unwrap_err());
    assert_eq!(answer.code, Code::PermissionDenied);
    assert_eq!(answer.reason, "APP_ONLY_TOKEN");
    assert_eq!(answer.outcome, "NOT_STARTED");
    assert!(
        answer.message.contains("no user stands behind it"),
        "{}",
        answer.message
    );
    assert_eq!(gateway.sandbox.token_requests(), 0);
    assert_eq!(gateway.sandbox.posts("213213"), 0);
}

#[tokio::test]
async fn a_token_for_somebody_else_is_not_exchanged() {
    let gateway = start().await;
    let for_graph = Mint {
        audience: Mint::for_graph().audience,
        ..of_user(ALICE)
    };
    let for_graph = token(&gateway, for_graph).await;
    let answer = answer(&execute(&gateway, "213213", &for_graph).await.unwrap_err());
    assert_eq!(answer.code, Code::Unauthenticated);
    assert_eq!(answer.reason, "CALLER_UNAUTHENTICATED");
    assert_eq!(gateway.sandbox.token_requests(), 0);
}

#[tokio::test]
async fn what_entra_says_to_an_exchange_is_told_to_whom_it_concerns() {
    let claims = r#"{"access_token":{"polids":{"essential":true,"values":["9ab03e19"]}}}"#;
    for (fault, code, reason, has_claims) in [
        (
            EntraFault::interaction_required(claims),
            Code::Unauthenticated,
            "INTERACTION_REQUIRED",
            true,
        ),
        (
            EntraFault::aadsts(65001),
            Code::Unauthenticated,
            "INTERACTION_REQUIRED",
            false,
        ),
        (
            EntraFault::aadsts(500_133),
            Code::Unauthenticated,
            "CALLER_UNAUTHENTICATED",
            false,
        ),
        (
            EntraFault::aadsts(7_000_114),
            Code::PermissionDenied,
            "APP_ONLY_TOKEN",
            false,
        ),
        (
            EntraFault::aadsts(7_000_215),
            Code::Internal,
            "GATEWAY_CREDENTIAL_REJECTED",
            false,
        ),
        (
            EntraFault::throttle(5),
            Code::Unavailable,
            "CREDENTIAL_UNAVAILABLE",
            false,
        ),
        (
            EntraFault::lifetime(0),
            Code::Unavailable,
            "CREDENTIAL_UNAVAILABLE",
            false,
        ),
    ] {
        let gateway = Gateway::builder()
            .with("retry.max_attempts", "1")
            .with_entra("on_behalf_of")
            .start()
            .await;
        gateway.sandbox.script_entra([fault.clone()]);
        let alice = token(&gateway, of_user(ALICE)).await;
        let status = execute(&gateway, "213213", &alice).await.unwrap_err();
        let got = answer(&status);
        assert_eq!((got.code, &*got.reason), (code, reason), "{fault:?}");
        assert_eq!(got.outcome, "NOT_STARTED");
        let told = status.metadata().get("claims");
        assert_eq!(told.is_some(), has_claims, "{fault:?}");
        if let Some(told) = told {
            use base64::Engine as _;
            let engine = base64::engine::general_purpose::STANDARD;
            assert_eq!(engine.decode(told.as_bytes()).unwrap(), claims.as_bytes());
        }
        assert_eq!(gateway.sandbox.posts("213213"), 0);
        // It is this user's trouble, and no other's.
        let bob = token(&gateway, of_user(BOB)).await;
        assert!(execute(&gateway, "213213", &bob).await.is_ok(), "{fault:?}");
    }
}

#[tokio::test]
async fn a_revoked_exchange_is_renewed_and_a_challenge_is_the_callers() {
    let gateway = start().await;
    let alice = token(&gateway, of_user(ALICE)).await;
    assert!(execute(&gateway, "213213", &alice).await.is_ok());
    gateway.sandbox.revoke_tokens(Revoke::default());
    gateway.sandbox.put_task(Task::new("again"));
    assert_eq!(execute(&gateway, "again", &alice).await.unwrap(), 2);

    let challenge = "eyJhY2Nlc3NfdG9rZW4iOnt9fQ==";
    let refused = Fault::error(401, "InvalidAuthenticationToken", "no").header(
        "WWW-Authenticate",
        &format!("Bearer error=\"insufficient_claims\", claims=\"{challenge}\""),
    );
    gateway.sandbox.script("213216", [refused]);
    let status = execute(&gateway, "213216", &alice).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(status.metadata().get("claims").unwrap(), challenge);
    assert_eq!(gateway.sandbox.posts("213216"), 1);
    assert_eq!(token_requests(&gateway.sandbox).len(), 2);
}
