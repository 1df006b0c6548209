//! What every endpoint has in common, what the discovery endpoints say, and the journal.

use serde_json::{Value, json};

use super::super::fixture::{json_of, within};
use super::fixture::*;
use super::*;

#[tokio::test]
async fn the_metadata_leads_to_the_keys_and_to_the_token_endpoint() {
    let asker = Asker::start().await;
    for tenant in [TENANT, DOMAIN] {
        let url = format!(
            "{}/{tenant}/v2.0/.well-known/openid-configuration",
            asker.sandbox.authority()
        );
        let (status, metadata) = asker.get(&url).await;
        assert_eq!(status, 200);
        assert_eq!(metadata["issuer"], json!(asker.sandbox.issuer()));
        assert_eq!(metadata["token_endpoint"], json!(asker.token_url()));
        let (status, keys) = asker.get(metadata["jwks_uri"].as_str().unwrap()).await;
        assert_eq!(status, 200);
        let key = &keys["keys"][0];
        assert_eq!(
            (&key["kty"], &key["use"], &key["e"]),
            (&json!("RSA"), &json!("sig"), &json!("AQAB"))
        );
        assert!(key.get("alg").is_none());
        assert_eq!(
            jwt::decode(key["n"].as_str().unwrap()).map(|n| n.len()),
            Some(256)
        );
    }
    let endpoints = asker.sandbox.entra_journal();
    let endpoints: Vec<_> = endpoints.iter().map(|entry| entry.endpoint).collect();
    let (discovery, keys) = (Endpoint::Discovery, Endpoint::Keys);
    assert_eq!(endpoints, [discovery, keys, discovery, keys]);
    assert!(
        asker.sandbox.journal().is_empty(),
        "Graph has heard nothing"
    );
}

#[tokio::test]
async fn another_tenant_and_another_method_are_refused_everywhere() {
    let asker = Asker::start().await;
    let base = asker.sandbox.authority();
    for path in [
        "v2.0/.well-known/openid-configuration",
        "discovery/v2.0/keys",
    ] {
        let url = format!("{base}/contoso/{path}");
        assert_eq!(
            refusal(&asker.get(&url).await),
            (400, "invalid_request".to_owned(), 90_002)
        );
        let request = asker.caller.client.post(format!("{base}/{TENANT}/{path}"));
        let response = within(request.send()).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["allow"]),
            (405, &"GET".parse().unwrap())
        );
    }
    let request = asker.request(&[]).build().unwrap();
    let mut elsewhere = request.try_clone().unwrap();
    *elsewhere.url_mut() = format!("{base}/contoso/oauth2/v2.0/token").parse().unwrap();
    let body = json_of(
        within(asker.caller.client.execute(elsewhere))
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(body["error_codes"], json!([90_002]));

    let response = within(asker.caller.client.get(asker.token_url()).send())
        .await
        .unwrap();
    assert_eq!(response.headers()["allow"], "POST");
    assert_eq!(response.status(), 405);
    assert_eq!(json_of(response).await["error_codes"], json!([900_561]));
}

#[tokio::test]
async fn a_form_that_is_too_long_is_refused() {
    let asker = Asker::start().await;
    let long = "x".repeat(257 * 1024);
    assert_eq!(refusal(&asker.ask(&[("claims", &long)]).await).2, 9_002_313);
}

#[tokio::test]
async fn the_journal_keeps_who_asked_and_no_secret() {
    let asker = Asker::start().await;
    let assertion = asker.mint(of_user()).await;
    asker.exchange(&assertion, &[]).await;
    asker
        .ask(&[("client_secret", "s3cret"), ("scope", &"x".repeat(5000))])
        .await;
    let journal = asker.sandbox.entra_journal();
    let shown = serde_json::to_value(&journal).unwrap();
    let mut first = shown[0].clone();
    first["connection"].take();
    assert_eq!(
        first,
        json!({
            "seq": 1, "connection": null, "endpoint": "token", "method": "POST", "tenant": TENANT,
            "grantType": "urn:ietf:params:oauth:grant-type:jwt-bearer", "clientId": CLIENT_ID,
            "scope": DEFAULT_SCOPE, "claims": null, "proof": "secret", "user": USER,
            "answer": {"status": 200}, "aadsts": null, "finished": true,
        })
    );
    assert_eq!(shown[1]["answer"], json!({"status": 401}));
    assert_eq!(shown[1]["proof"], Value::Null);
    assert_eq!(shown[1]["scope"].as_str().map(str::len), Some(1024));
    for secret in ["s3cret", CLIENT_SECRET, assertion.as_str()] {
        assert!(!shown.to_string().contains(secret));
        assert!(!format!("{:?} {journal:?}", asker.sandbox).contains(secret));
    }
    asker.sandbox.clear_entra_journal();
    assert!(asker.sandbox.entra_journal().is_empty());
}
