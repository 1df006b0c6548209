//! What Entra is scripted to do wrong, as its client sees it.

use std::time::Duration;

use serde_json::json;

use super::super::Answer;
use super::super::fixture::{json_of, raw, within};
use super::fixture::*;
use super::*;

async fn scripted(faults: impl IntoIterator<Item = EntraFault>) -> Asker {
    let asker = Asker::start().await;
    asker.sandbox.script_entra(faults);
    asker
}

fn last(asker: &Asker) -> EntraEntry {
    asker.sandbox.entra_journal().pop().unwrap()
}

#[tokio::test]
async fn an_error_of_entra_is_one_request_long() {
    let claims = r#"{"access_token":{"polids":{"essential":true,"values":["x"]}}}"#;
    let asker = scripted([
        EntraFault::interaction_required(claims),
        EntraFault::aadsts(90_033).header("Retry-After", "7"),
        EntraFault::aadsts(4_711),
    ])
    .await;
    let answer = asker.ask(&[]).await;
    assert_eq!(
        refusal(&answer),
        (400, "interaction_required".to_owned(), 50_079)
    );
    assert_eq!(answer.1["claims"], json!(claims));
    assert_eq!(last(&asker).aadsts, Some(50_079));

    let response = within(asker.request(&[]).send()).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "7");
    assert_eq!(
        json_of(response).await["error"],
        json!("temporarily_unavailable")
    );

    assert_eq!(
        refusal(&asker.ask(&[]).await),
        (400, "invalid_request".to_owned(), 4_711)
    );
    assert_eq!(asker.ask(&[]).await.0, 200);
}

#[tokio::test]
async fn throttling_says_when_to_come_again() {
    let asker = scripted([EntraFault::throttle(9)]).await;
    let response = within(asker.request(&[]).send()).await.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "9");
    assert_eq!(json_of(response).await["error_codes"], json!([90_055]));
}

#[tokio::test]
async fn answers_that_are_none_of_entras() {
    let asker = scripted([
        EntraFault::reply(502, "<html>").header("X-Proxy", "1"),
        EntraFault::of(EntraAct::NotJson),
        EntraFault::of(EntraAct::NoToken),
        EntraFault::default().header("X-More", "2"),
    ])
    .await;
    for (status, header, body) in [
        (502, "x-proxy", "<html>"),
        (200, "content-type", "<!DOCTYPE html>"),
        (200, "content-type", r#"{"token_type":"Bearer"}"#),
        (200, "x-more", "access_token"),
    ] {
        let response = within(asker.request(&[]).send()).await.unwrap();
        assert_eq!(response.status(), status);
        assert!(response.headers().contains_key(header), "{header}");
        let text = within(response.text()).await.unwrap();
        assert!(text.contains(body), "{text}");
        assert_eq!(last(&asker).answer, Some(Answer::Status(status)));
    }
}

#[tokio::test]
async fn a_token_lives_as_long_as_is_scripted() {
    for expires_in in [0, -5, 60] {
        let asker = scripted([EntraFault::lifetime(expires_in)]).await;
        let answer = asker.ask(&[]).await;
        assert_eq!(answer.1["expires_in"], json!(expires_in));
        let (status, message, _) = asker.graph(&token_in(&answer)).await;
        let expired = (401, "Lifetime validation failed, the token is expired.");
        let want = if expires_in > 0 { (200, "") } else { expired };
        assert_eq!((status, message.as_str()), want, "{expires_in}");
    }
}

#[tokio::test]
async fn connections_break_as_scripted() {
    let of = EntraFault::of;
    let asker = scripted([
        of(EntraAct::Reset),
        of(EntraAct::Close),
        of(EntraAct::Garbage(b"\x15\x03".to_vec())),
    ])
    .await;
    for (answer, received, in_order) in [
        (Answer::Reset, &b""[..], false),
        (Answer::Close, b"", true),
        (Answer::Garbage, b"\x15\x03", true),
    ] {
        let request = format!(
            "POST /{TENANT}/oauth2/v2.0/token HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        );
        let (got, end) = raw(&asker.sandbox, &request).await;
        assert_eq!((got.as_slice(), end.is_ok()), (received, in_order));
        let entry = last(&asker);
        assert_eq!((entry.answer, entry.finished), (Some(answer), true));
    }
}

#[tokio::test]
async fn a_request_is_held_until_it_is_released_or_waits_for_ever() {
    let hang = EntraFault::of(EntraAct::Hang);
    let asker = scripted([EntraFault::hold(), hang]).await;
    let (answer, ()) = tokio::join!(asker.ask(&[]), async {
        within(asker.sandbox.wait_for_token_requests(1)).await;
        assert_eq!(last(&asker).answer, None);
        asker.sandbox.release_entra();
    });
    assert_eq!(answer.0, 200);

    let (response, ()) = tokio::join!(asker.request(&[]).send(), async {
        within(asker.sandbox.wait_for_token_requests(2)).await;
        within(asker.sandbox.shutdown()).await;
    });
    assert!(response.is_err());
    assert_eq!(last(&asker).answer, Some(Answer::Hang));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_as_late_as_is_scripted() {
    let asker = scripted([EntraFault::delay(Duration::from_secs(5))]).await;
    let start = tokio::time::Instant::now();
    assert_eq!(asker.ask(&[]).await.0, 200);
    assert!(start.elapsed() >= Duration::from_secs(5));
}

#[tokio::test]
async fn each_endpoint_has_faults_of_its_own() {
    let asker = scripted([
        EntraFault::reply(500, "{}").on(Endpoint::Keys),
        EntraFault::aadsts(50_196),
        EntraFault::reply(501, "{}").on(Endpoint::Discovery),
    ])
    .await;
    let base = format!("{}/{TENANT}", asker.sandbox.authority());
    let discovery = format!("{base}/v2.0/.well-known/openid-configuration");
    assert_eq!(asker.get(&discovery).await.0, 501);
    assert_eq!(asker.get(&discovery).await.0, 200);
    assert_eq!(
        asker.get(&format!("{base}/discovery/v2.0/keys")).await.0,
        500
    );
    assert_eq!(asker.keys().await.len(), 1);
    assert_eq!(refusal(&asker.ask(&[]).await).2, 50_196);
    assert_eq!(asker.ask(&[]).await.0, 200);
    assert_eq!(asker.sandbox.token_requests(), 2);
}

#[tokio::test]
async fn a_script_that_cannot_be_sent_is_loud() {
    for fault in [
        EntraFault::reply(99, ""),
        EntraFault::aadsts(1).header("a b", ""),
    ] {
        let asker = scripted([fault]).await;
        let response = within(asker.request(&[]).send()).await.unwrap();
        assert_eq!(response.status(), 500);
        let text = within(response.text()).await.unwrap();
        assert!(
            text.starts_with("the sandbox cannot send this fault"),
            "{text}"
        );
    }
}
