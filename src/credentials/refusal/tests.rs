use std::time::Duration;

use http::{HeaderValue, header::RETRY_AFTER};
use serde_json::{Value, json};

use super::*;

fn of(whose: For, status: u16, body: &Value) -> Failure {
    let status = StatusCode::from_u16(status).unwrap();
    failure(
        whose,
        status,
        &HeaderMap::new(),
        body.to_string().as_bytes(),
        &[],
    )
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table is as long as its rows")]
fn each_answer_says_who_has_to_act() {
    use For::{Caller, Gateway, Platform};
    for (whose, status, body, want) in [
        (
            Gateway,
            401,
            json!({"error": "invalid_client", "error_codes": [7_000_215]}),
            Kind::GatewayCredentialRejected,
        ),
        (
            Gateway,
            400,
            json!({"error": "unauthorized_client"}),
            Kind::GatewayCredentialRejected,
        ),
        (
            Gateway,
            400,
            json!({"error": "invalid_grant"}),
            Kind::GatewayCredentialRejected,
        ),
        (
            Gateway,
            404,
            json!("nothing here"),
            Kind::GatewayCredentialRejected,
        ),
        (Gateway, 410, json!({}), Kind::GatewayCredentialRejected),
        (Gateway, 429, json!({}), Kind::CredentialUnavailable),
        (Platform, 404, json!({}), Kind::CredentialUnavailable),
        (Platform, 410, json!({}), Kind::CredentialUnavailable),
        (Platform, 429, json!({}), Kind::CredentialUnavailable),
        (Platform, 500, json!({}), Kind::CredentialUnavailable),
        (
            Platform,
            400,
            json!({"error": "invalid_request", "error_description": "Identity not found"}),
            Kind::GatewayCredentialRejected,
        ),
        (
            Gateway,
            500,
            json!({"error": "server_error"}),
            Kind::CredentialUnavailable,
        ),
        (Gateway, 503, json!({}), Kind::CredentialUnavailable),
        (
            Gateway,
            400,
            json!({"error": "temporarily_unavailable"}),
            Kind::CredentialUnavailable,
        ),
        (
            Gateway,
            200,
            json!("captive portal"),
            Kind::CredentialUnavailable,
        ),
        (
            Caller,
            400,
            json!({"error": "interaction_required"}),
            Kind::InteractionRequired,
        ),
        (
            Caller,
            400,
            json!({"error": "invalid_grant", "error_codes": [65001]}),
            Kind::InteractionRequired,
        ),
        (
            Caller,
            400,
            json!({"error": "invalid_grant", "claims": "{}"}),
            Kind::InteractionRequired,
        ),
        (
            Caller,
            400,
            json!({"error": "invalid_grant", "error_codes": [500_133]}),
            Kind::CallerUnauthenticated,
        ),
        (
            Caller,
            400,
            json!({"error": "invalid_request", "error_codes": [7_000_114]}),
            Kind::AppOnlyToken,
        ),
        (
            Caller,
            401,
            json!({"error": "invalid_client"}),
            Kind::GatewayCredentialRejected,
        ),
        (Caller, 429, json!({}), Kind::CredentialUnavailable),
    ] {
        assert_eq!(
            of(whose, status, &body).kind,
            want,
            "{whose:?} {status} {body}"
        );
    }
}

#[test]
fn claims_are_handed_on_and_words_that_are_no_codes_are_not() {
    let body = json!({
        "error": "interaction_required",
        "suberror": "basic_action\r\nx: y",
        "error_description": "AADSTS50079: secret-that-was-sent",
        "error_codes": [50079],
        "claims": "{\"access_token\":{}}",
        "trace_id": "4bf92f35-77b3-4da6-a3ce-929d0e0e4736",
        "correlation_id": "not an id",
    });
    let failure = of(For::Caller, 400, &body);
    assert_eq!(
        failure.claims.as_deref(),
        Some("eyJhY2Nlc3NfdG9rZW4iOnt9fQ==")
    );
    assert!(
        failure
            .message
            .contains("HTTP 400, interaction_required, AADSTS50079, trace 4bf9")
    );
    for leak in ["secret-that-was-sent", "x: y"] {
        assert!(!format!("{failure:?}{failure}").contains(leak));
    }
    let long = json!({"error": "interaction_required", "claims": "x".repeat(2000)});
    assert_eq!(of(For::Caller, 400, &long).claims, None);
}

#[test]
fn a_named_wait_is_heeded() {
    let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("7"))]);
    let failure = failure(
        For::Gateway,
        StatusCode::TOO_MANY_REQUESTS,
        &headers,
        b"",
        &[],
    );
    assert_eq!(failure.named_delay(), Some(Duration::from_secs(7)));
}

#[test]
fn what_repeats_a_secret_is_dropped_wherever_it_stands() {
    // Words of Entra's own form, too.
    let id = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736";
    for (secret, shown) in [
        ("marked_as_secret", "marked_as_secret"),
        (id, id),
        ("a+b/c~\"d\\", "a+b/c~\"d\\"),
        ("a+b/c", "a%2Bb%2Fc"),
    ] {
        let claims = json!({"access_token": {"x": {"value": shown}}}).to_string();
        let escaped = claims.replace('a', "\\u0061");
        for claims in [claims, escaped] {
            let body = json!({
                "error": shown,
                "suberror": format!("x{shown}"),
                "error_description": shown,
                "error_codes": [50079],
                "claims": claims,
                "trace_id": shown,
                "correlation_id": shown,
            });
            let body = body.to_string();
            let headers = HeaderMap::new();
            let failure = failure(
                For::Caller,
                StatusCode::BAD_REQUEST,
                &headers,
                body.as_bytes(),
                &["another", secret],
            );
            assert_eq!(failure.kind, Kind::InteractionRequired);
            assert_eq!(failure.claims, None, "{shown}");
            let text = format!("{failure:?}");
            assert!(text.contains("AADSTS50079"), "{text}");
            assert!(!text.contains(shown), "{text}");
        }
    }
}

#[test]
fn only_claims_that_a_user_is_asked_for_are_handed_on() {
    for (whose, status, claims, want) in [
        (For::Caller, 400, r#"{"access_token":{}}"#, true),
        (For::Caller, 503, r#"{"access_token":{}}"#, false),
        (For::Gateway, 400, r#"{"access_token":{}}"#, false),
        (For::Caller, 400, "no JSON", false),
        (For::Caller, 400, "[]", false),
        (For::Caller, 400, "", false),
    ] {
        let body = json!({"error": "interaction_required", "claims": claims});
        let failure = of(whose, status, &body);
        assert_eq!(
            failure.claims.is_some(),
            want,
            "{whose:?} {status} {claims}"
        );
    }
}

#[test]
fn a_body_of_another_shape_is_read_as_none() {
    for body in [
        "",
        "null",
        "[]",
        "7",
        r#"{"error": 7}"#,
        r#"{"error_codes": [-1]}"#,
    ] {
        let status = StatusCode::BAD_REQUEST;
        let failure = failure(For::Caller, status, &HeaderMap::new(), body.as_bytes(), &[]);
        assert_eq!(failure.kind, Kind::GatewayCredentialRejected, "{body}");
        assert!(failure.message.ends_with("(HTTP 400)"), "{failure}");
    }
}
