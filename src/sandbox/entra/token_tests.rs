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
async fn an_assertion_that_is_not_good_is_refused_with_its_number() {
    let asker = Asker::start().await;
    let user = asker.mint(of_user()).await;
    let without = |claim: &str| Mint {
        claims: json!({claim: null}).as_object().unwrap().clone(),
        ..of_user()
    };
    let forged = user.rsplit_once('.').unwrap().0.to_owned() + "." + &jwt::encode([7; 256]);
    let stranger = IDENTITY.sign(
        &IDENTITY.header(jsonwebtoken::Algorithm::RS256),
        &json!({"aud": CLIENT_ID, "oid": USER, "scp": "x", "exp": now() + 60}),
    );
    let minted = |mint| asker.mint(mint);
    let for_graph = Mint {
        audience: GRAPH.to_owned(),
        ..of_user()
    };
    let app_only = Mint {
        roles: vec!["R".to_owned()],
        ..Mint::default()
    };
    for (assertion, error, code) in [
        (String::new(), "invalid_request", 900_144),
        ("x".to_owned(), "invalid_request", 50_027),
        (forged, "invalid_grant", 50_013),
        (stranger, "invalid_grant", 50_013),
        (minted(for_graph).await, "invalid_grant", 500_131),
        (
            minted(Mint {
                expires_in: 0,
                ..of_user()
            })
            .await,
            "invalid_grant",
            500_133,
        ),
        (
            minted(Mint {
                not_before: 60,
                ..of_user()
            })
            .await,
            "invalid_grant",
            500_133,
        ),
        (minted(without("exp")).await, "invalid_grant", 500_133),
        (minted(app_only).await, "unauthorized_client", 7_000_114),
        (
            minted(without("oid")).await,
            "unauthorized_client",
            7_000_114,
        ),
        (
            minted(without("scp")).await,
            "unauthorized_client",
            7_000_114,
        ),
    ] {
        let answer = asker.exchange(&assertion, &[]).await;
        assert_eq!(
            refusal(&answer),
            (400, error.to_owned(), code),
            "{assertion}"
        );
    }
}

#[tokio::test]
async fn an_exchange_is_refused_with_its_number() {
    let asker = Asker::start().await;
    let user = asker.mint(of_user()).await;
    for (field, status, error, code) in [
        (("requested_token_use", ""), 400, "invalid_request", 900_144),
        (("requested_token_use", "x"), 400, "invalid_request", 90_023),
        (("client_secret", "wrong"), 401, "invalid_client", 7_000_215),
        (("scope", ""), 400, "invalid_request", 900_144),
        (("scope", "openid"), 400, "invalid_scope", 70_011),
        (("scope", "a/x b/y"), 400, "invalid_scope", 70_011),
        (
            ("scope", "https://elsewhere/x"),
            400,
            "invalid_resource",
            500_011,
        ),
        (("scope", "Mail.Read"), 400, "invalid_grant", 65_001),
    ] {
        let answer = asker.exchange(&user, &[field]).await;
        assert_eq!(
            refusal(&answer),
            (status, error.to_owned(), code),
            "{field:?}"
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
