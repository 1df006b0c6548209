//! The control API of Entra over HTTP, as `curl` uses it. That every example of the
//! documentation is accepted is tested with those of Graph.

use serde_json::{Value, json};

use super::super::fixture::within;
use super::fixture::*;
use super::*;

async fn control(asker: &Asker, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let url = format!("{}/sandbox/entra/{path}", asker.sandbox.authority());
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let request = asker
        .caller
        .client
        .request(method.parse().unwrap(), url)
        .body(body);
    let response = within(request.send()).await.unwrap();
    let status = response.status().as_u16();
    let body = within(response.bytes()).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn mints_tokens() {
    let asker = Asker::start().await;
    let user = json!({
        "audience": "a", "app": "b", "user": "u", "roles": ["R"], "scopes": ["S", "T"], "expiresIn": 60,
        "notBefore": -60, "capabilities": ["cp1"], "claims": {"extra": 1}, "header": {"typ": "at+jwt"},
    });
    let answer = control(&asker, "POST", "tokens", &user).await;
    let token = token_in(&answer);
    let claims = asker.verified(&token, "a").await;
    for (claim, want) in [
        ("azp", json!("b")),
        ("oid", json!("u")),
        ("roles", json!(["R"])),
        ("scp", json!("S T")),
        ("xms_cc", json!(["cp1"])),
        ("extra", json!(1)),
    ] {
        assert_eq!(claims[claim], want, "{claim}");
    }
    assert_eq!(
        jsonwebtoken::decode_header(&token).unwrap().typ.as_deref(),
        Some("at+jwt")
    );

    let answer = control(&asker, "POST", "tokens", &Value::Null).await;
    let claims = asker.verified(&token_in(&answer), CLIENT_ID).await;
    assert_eq!(claims["idtyp"], json!("app"));
    assert!(
        asker
            .sandbox
            .entra_journal()
            .iter()
            .all(|entry| entry.endpoint == Endpoint::Keys)
    );
}

#[tokio::test]
async fn registers_scripts_and_shows_the_journal() {
    let asker = Asker::start().await;
    let client = json!({"secret": "s", "certificates": [IDENTITY.pem], "federated": [{"issuer": "i", "subject": "s"}]});
    assert_eq!(control(&asker, "PUT", "clients/app", &client).await.0, 204);
    let faults = json!([{"hold": true, "do": {"aadsts": {"code": 50_196}}}]);
    assert_eq!(control(&asker, "POST", "faults", &faults).await.0, 204);
    let own = [("client_id", "app"), ("client_secret", "s")];
    let (answer, ()) = tokio::join!(asker.ask(&own), async {
        within(asker.sandbox.wait_for_token_requests(1)).await;
        assert_eq!(
            control(&asker, "POST", "release", &Value::Null).await.0,
            204
        );
    });
    assert_eq!(refusal(&answer).2, 50_196);
    let token = asker.token(&own).await;

    let (status, journal) = control(&asker, "GET", "journal", &Value::Null).await;
    assert_eq!((status, journal.as_array().map(Vec::len)), (200, Some(2)));
    assert_eq!(journal[0]["aadsts"], json!(50_196));
    assert_eq!(journal[1]["clientId"], json!("app"));
    assert_eq!(
        control(&asker, "DELETE", "journal", &Value::Null).await.0,
        204
    );
    assert!(asker.sandbox.entra_journal().is_empty());

    assert_eq!(asker.graph(&token).await.0, 200);
    let whose = json!({"app": "app"});
    assert_eq!(control(&asker, "POST", "revoke", &whose).await.0, 204);
    assert_eq!(asker.graph(&token).await.0, 401);
    assert_eq!(control(&asker, "POST", "rotate", &Value::Null).await.0, 204);
    assert_eq!(asker.keys().await.len(), 1);
    assert_eq!(
        control(&asker, "POST", "rotate", &json!({"keep": true}))
            .await
            .0,
        204
    );
    assert_eq!(asker.keys().await.len(), 2);
}

#[tokio::test]
async fn names_the_mistake() {
    let asker = Asker::start().await;
    for (method, path, body, status, mistake) in [
        (
            "POST",
            "tokens",
            json!({"expires": 1}),
            422,
            "unknown field `expires`",
        ),
        (
            "POST",
            "tokens",
            json!({"claims": []}),
            422,
            "invalid type: sequence",
        ),
        (
            "PUT",
            "clients/a",
            json!({"password": "s3cret"}),
            422,
            "unknown field `password`",
        ),
        (
            "PUT",
            "clients/a",
            json!({"certificates": ["x"]}),
            422,
            "certificate 0: expected",
        ),
        (
            "POST",
            "faults",
            json!([{"do": "explode"}]),
            422,
            "unknown variant `explode`",
        ),
        (
            "POST",
            "faults",
            json!([{"on": "graph"}]),
            422,
            "unknown variant `graph`",
        ),
        (
            "POST",
            "faults",
            json!([{}, {"on": "keys", "do": {"lifetime": {"expiresIn": 1}}}]),
            422,
            "fault 1: lifetime: only for",
        ),
        ("POST", "faults", Value::Null, 400, "not JSON"),
        (
            "POST",
            "revoke",
            json!({"who": "u"}),
            422,
            "unknown field `who`",
        ),
        (
            "POST",
            "rotate",
            json!({"keep": 1}),
            422,
            "invalid type: integer",
        ),
        ("POST", "token", Value::Null, 404, "no such path"),
    ] {
        let (got, answer) = control(&asker, method, path, &body).await;
        let said = answer["error"].as_str().unwrap_or_default();
        assert!(
            got == status && said.contains(mistake),
            "{body}: {got} {said}"
        );
        assert!(!said.contains("s3cret"));
    }
}
