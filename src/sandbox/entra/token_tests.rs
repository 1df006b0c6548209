//! The token endpoint's grants and refusals, and what the discovery endpoints say.

use serde_json::{Value, json};

use super::super::Options;
use super::super::fixture::{Http, json_of, within};
use super::fixture::*;
use super::*;

const OTHER: &str = "8d1f4b7e-0000-4000-8000-00000000000c";

#[tokio::test]
async fn an_application_gets_a_token_for_itself_over_both_versions_of_http() {
    for http in [Http::One, Http::Two] {
        let asker = Asker::with(Options::default(), http).await;
        let answer = asker.ask(&[]).await;
        let token = token_in(&answer);
        let mut body = answer.1;
        body["access_token"].take();
        assert_eq!(
            body,
            json!({"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": null})
        );
        let claims = asker.verified(&token, GRAPH).await;
        for (claim, want) in [
            ("azp", json!(CLIENT_ID)),
            ("appid", json!(CLIENT_ID)),
            ("tid", json!(TENANT)),
            ("ver", json!("2.0")),
            ("idtyp", json!("app")),
            ("roles", json!([PERMISSION])),
            ("scp", Value::Null),
            ("xms_cc", Value::Null),
        ] {
            assert_eq!(claims[claim], want, "{claim}");
        }
        let lifetime = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
        assert_eq!(lifetime, 3599);
        assert_eq!(asker.graph(&token).await.0, 200);
    }
}

#[tokio::test]
async fn the_secret_may_come_by_basic_authentication() {
    let asker = Asker::start().await;
    let nameless = asker.request(&[("client_id", ""), ("client_secret", "")]);
    let request = nameless.basic_auth(CLIENT_ID, Some(CLIENT_SECRET));
    assert_eq!(within(request.send()).await.unwrap().status(), 200);
    let entry = asker.sandbox.entra_journal().remove(0);
    assert_eq!(entry.client_id.as_deref(), Some(CLIENT_ID));
    assert_eq!(entry.proof, Some(Proof::Secret));
}

#[tokio::test]
async fn every_refusal_has_its_number() {
    let asker = Asker::start().await;
    let bad = |fields: Fields<'static>, status, error, code| (fields, (status, error, code));
    for (fields, (status, error, code)) in [
        bad(&[("grant_type", "")], 400, "invalid_request", 900_144),
        bad(
            &[("grant_type", "password")],
            400,
            "unsupported_grant_type",
            70_003,
        ),
        bad(&[("client_id", "")], 400, "invalid_request", 900_144),
        bad(
            &[("client_id", "nobody")],
            400,
            "unauthorized_client",
            700_016,
        ),
        bad(&[("client_secret", "")], 401, "invalid_client", 7_000_218),
        bad(
            &[("client_secret", "wrong")],
            401,
            "invalid_client",
            7_000_215,
        ),
        bad(
            &[("client_assertion", "x")],
            400,
            "invalid_request",
            900_144,
        ),
        bad(
            &[("client_assertion", "x"), ("client_assertion_type", "saml")],
            400,
            "invalid_request",
            90_023,
        ),
        bad(
            &[
                ("client_assertion", "x"),
                ("client_assertion_type", JWT_BEARER),
            ],
            400,
            "invalid_request",
            50_027,
        ),
        bad(&[("scope", "")], 400, "invalid_request", 900_144),
        bad(
            &[("scope", "https://graph.microsoft.com/X")],
            400,
            "invalid_scope",
            1_002_012,
        ),
        bad(
            &[("scope", "https://graph.microsoft.com/.default openid")],
            400,
            "invalid_scope",
            70_011,
        ),
        bad(
            &[("scope", "https://elsewhere/.default")],
            400,
            "invalid_resource",
            500_011,
        ),
        bad(&[("claims", "{")], 400, "invalid_request", 9_002_313),
    ] {
        let answer = asker.ask(fields).await;
        assert_eq!(
            refusal(&answer),
            (status, error.to_owned(), code),
            "{fields:?}"
        );
        let entry = asker.sandbox.entra_journal().pop().unwrap();
        assert_eq!(entry.aadsts.map(u64::from), Some(code));
    }
}

#[tokio::test]
async fn a_refusal_is_worded_as_entras() {
    let asker = Asker::start().await;
    let correlation = "c0b0a0d0-1111-4222-8333-444444444444";
    let request = asker.request(&[("client_secret", "s3cret-and-wrong")]);
    let response = within(request.header("client-request-id", correlation).send())
        .await
        .unwrap();
    assert_eq!(response.headers()["client-request-id"], correlation);
    let trace = response.headers()["x-ms-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(response.headers()["cache-control"], "no-store, no-cache");
    let body = json_of(response).await;
    let said = body["error_description"].as_str().unwrap();
    assert!(
        said.starts_with("AADSTS7000215: Invalid client secret provided. "),
        "{said}"
    );
    let time = body["timestamp"].as_str().unwrap();
    let end = format!(" Trace ID: {trace} Correlation ID: {correlation} Timestamp: {time}");
    assert!(said.ends_with(&end), "{said}");
    assert_eq!(body["error_codes"], json!([7_000_215]));
    assert_eq!(
        (&body["trace_id"], &body["correlation_id"]),
        (&json!(trace), &json!(correlation))
    );
    assert!(!body.to_string().contains("s3cret"));
}

#[tokio::test]
async fn a_token_is_for_what_the_scope_names() {
    let asker = Asker::start().await;
    asker
        .sandbox
        .put_client(OTHER, Registration::default())
        .unwrap();
    for (scope, audience) in [
        (DEFAULT_SCOPE, GRAPH),
        ("00000003-0000-0000-c000-000000000000/.default", GRAPH_ID),
        ("https://graph.microsoft.com//.default", GRAPH),
        ("api://8d1f4b7e-0000-4000-8000-00000000000c/.default", OTHER),
        ("8D1F4B7E-0000-4000-8000-00000000000C/.default", OTHER),
    ] {
        let token = asker.token(&[("scope", scope)]).await;
        asker.verified(&token, audience).await;
    }
}

#[tokio::test]
async fn a_users_token_is_exchanged_for_one_of_the_same_user() {
    let asker = Asker::start().await;
    for audience in [CLIENT_ID.to_owned(), format!("api://{CLIENT_ID}")] {
        let assertion = asker
            .mint(Mint {
                audience,
                ..of_user()
            })
            .await;
        let answer = asker.exchange(&assertion, &[]).await;
        assert_eq!(answer.1["scope"], json!(format!("{GRAPH}/{PERMISSION}")));
        let claims = asker.verified(&token_in(&answer), GRAPH).await;
        assert_eq!(claims["oid"], json!(USER));
        assert_eq!(claims["scp"], json!(PERMISSION));
        assert_eq!(claims["idtyp"], json!("user"));
        assert_eq!(claims["azp"], json!(CLIENT_ID));
        assert!(claims["roles"].is_null());
    }
    let journal = asker.sandbox.entra_journal();
    assert_eq!(journal[0].endpoint, Endpoint::Token);
    assert_eq!(journal[0].user.as_deref(), Some(USER));

    let assertion = asker.mint(of_user()).await;
    for scope in [
        "https://graph.microsoft.com/SecurityIncident.ReadWrite.All offline_access",
        "openid SecurityIncident.ReadWrite.All",
    ] {
        let answer = asker.exchange(&assertion, &[("scope", scope)]).await;
        asker.verified(&token_in(&answer), GRAPH).await;
    }
}

#[tokio::test]
async fn an_exchange_is_refused_with_its_number() {
    let asker = Asker::start().await;
    let user = asker.mint(of_user()).await;
    let with = |claims: Value| Mint {
        claims: claims.as_object().unwrap().clone(),
        ..of_user()
    };
    let forged = user.rsplit_once('.').unwrap().0.to_owned() + "." + &jwt::encode([7; 256]);
    let identity = &*IDENTITY;
    let stranger = identity.sign(
        &identity.header(jsonwebtoken::Algorithm::RS256),
        &json!({"aud": CLIENT_ID, "oid": USER, "scp": "x", "exp": now() + 60}),
    );
    let for_graph = Mint {
        audience: GRAPH.to_owned(),
        ..of_user()
    };
    let app_only = Mint {
        roles: vec!["R".to_owned()],
        ..Mint::default()
    };
    for (assertion, fields, status, error, code) in [
        (String::new(), &[][..], 400, "invalid_request", 900_144),
        (
            user.clone(),
            &[("requested_token_use", "")][..],
            400,
            "invalid_request",
            900_144,
        ),
        (
            user.clone(),
            &[("requested_token_use", "x")][..],
            400,
            "invalid_request",
            90_023,
        ),
        ("x".to_owned(), &[][..], 400, "invalid_request", 50_027),
        (forged, &[][..], 400, "invalid_grant", 50_013),
        (stranger, &[][..], 400, "invalid_grant", 50_013),
        (
            asker.mint(for_graph).await,
            &[][..],
            400,
            "invalid_grant",
            500_131,
        ),
        (
            asker
                .mint(Mint {
                    expires_in: 0,
                    ..of_user()
                })
                .await,
            &[][..],
            400,
            "invalid_grant",
            500_133,
        ),
        (
            asker
                .mint(Mint {
                    not_before: 60,
                    ..of_user()
                })
                .await,
            &[][..],
            400,
            "invalid_grant",
            500_133,
        ),
        (
            asker.mint(with(json!({"exp": null}))).await,
            &[][..],
            400,
            "invalid_grant",
            500_133,
        ),
        (
            asker.mint(app_only).await,
            &[][..],
            400,
            "unauthorized_client",
            7_000_114,
        ),
        (
            asker.mint(with(json!({"oid": null}))).await,
            &[][..],
            400,
            "unauthorized_client",
            7_000_114,
        ),
        (
            user.clone(),
            &[("client_secret", "wrong")][..],
            401,
            "invalid_client",
            7_000_215,
        ),
        (
            user.clone(),
            &[("scope", "openid")][..],
            400,
            "invalid_scope",
            70_011,
        ),
        (
            user.clone(),
            &[("scope", "a/x b/y")][..],
            400,
            "invalid_scope",
            70_011,
        ),
        (
            user.clone(),
            &[("scope", "Mail.Read")][..],
            400,
            "invalid_grant",
            65_001,
        ),
    ] {
        let answer = asker.exchange(&assertion, fields).await;
        assert_eq!(
            refusal(&answer),
            (status, error.to_owned(), code),
            "{assertion} {fields:?}"
        );
        assert!(code != 65_001 || answer.1["suberror"] == "consent_required");
    }
}

#[tokio::test]
async fn capabilities_are_declared_and_kept_in_the_journal() {
    let asker = Asker::start().await;
    let claims = r#"{"access_token":{"xms_cc":{"values":["cp1"]}}}"#;
    let token = asker.token(&[("claims", claims)]).await;
    assert_eq!(
        asker.verified(&token, GRAPH).await["xms_cc"],
        json!(["cp1"])
    );
    let entry = asker.sandbox.entra_journal().remove(0);
    assert_eq!(entry.claims.as_deref(), Some(claims));
}

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
