//! Replies that users of Microsoft Graph and of Defender's own API have reported.

use super::{Fixture, json};

const PLAIN_CHALLENGE: &str = r#"Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", client_id="00000003-0000-0000-c000-000000000000""#;
const CLAIMS_CHALLENGE: &str =
    r#"Bearer realm="", error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ==""#;
const EXPIRED: &str = r#"{"error":{"code":"InvalidAuthenticationToken","message":"Access token has expired or is not yet valid.","innerError":{"date":"2023-09-04T05:47:56","request-id":"a","client-request-id":"a"}}}"#;
const EMPTY_504: &str = r#"{"error":{"code":"UnknownError","message":"","innerError":{"request-id":"a","date":"2019-01-01T00:00:00"}}}"#;

#[expect(clippy::too_many_lines, reason = "a table is as long as its rows")]
pub(super) fn fixtures() -> Vec<Fixture> {
    vec![
        json("the caller's token has expired", 401, EXPIRED)
            .with("WWW-Authenticate", PLAIN_CHALLENGE)
            .is("UNAUTHENTICATED | INVALID_AUTHENTICATION_TOKEN (graph.microsoft.com) | NOT_STARTED | ")
            .says("Access token has expired"),
        json("the caller's token lacks claims", 401, EXPIRED)
            .with("WWW-Authenticate", PLAIN_CHALLENGE)
            .with("WWW-Authenticate", CLAIMS_CHALLENGE)
            .is("UNAUTHENTICATED | INVALID_AUTHENTICATION_TOKEN (graph.microsoft.com) | NOT_STARTED | claims"),
        json("the gateway's token has expired", 401, EXPIRED)
            .with("WWW-Authenticate", PLAIN_CHALLENGE)
            .for_the_own_token()
            .is("INTERNAL | GATEWAY_CREDENTIAL_REJECTED (incidentgate) | NOT_STARTED | "),
        json("the gateway's token lacks claims", 401, EXPIRED)
            .with("WWW-Authenticate", CLAIMS_CHALLENGE)
            .for_the_own_token()
            .is("INTERNAL | GATEWAY_CREDENTIAL_REJECTED (incidentgate) | NOT_STARTED | ")
            .hides("eyJhY2Nlc3NfdG9rZW4iOnt9fQ=="),
        json(
            "the token is of another kind",
            401,
            r#"{"error":{"code":"InvalidAuthenticationToken","message":"CompactToken validation failed with reason code: 80049228."}}"#,
        )
        .is("UNAUTHENTICATED | INVALID_AUTHENTICATION_TOKEN (graph.microsoft.com) | NOT_STARTED | ")
        .says("80049228"),
        json(
            "application roles are missing",
            403,
            r#"{"error":{"code":"Forbidden","message":"Missing application roles. API required roles: SecurityIncident.Read.All,SecurityIncident.ReadWrite.All, application roles: ."}}"#,
        )
        .is("PERMISSION_DENIED | FORBIDDEN (graph.microsoft.com) | NOT_STARTED | ")
        .says("SecurityIncident.ReadWrite.All"),
        json(
            "a directory workload refuses",
            403,
            r#"{"error":{"code":"Authorization_RequestDenied","message":"Insufficient privileges to complete the operation."}}"#,
        )
        .is("PERMISSION_DENIED | AUTHORIZATION_REQUEST_DENIED (graph.microsoft.com) | NOT_STARTED | "),
        json(
            "beta has removed the API",
            400,
            r#"{"error":{"code":"BadRequest","message":"Resource not found for the segment 'incidentTasks'."}}"#,
        )
        .is("UNIMPLEMENTED | GRAPH_API_NOT_FOUND (graph.microsoft.com) | NOT_STARTED | Help"),
        json(
            "a resource that cannot be discovered",
            404,
            r#"{"error":{"code":"ResourceNotFound","message":"Resource could not be discovered."}}"#,
        )
        .is("NOT_FOUND | RESOURCE_NOT_FOUND (graph.microsoft.com) | NOT_STARTED | ResourceInfo"),
        json("a page that exists in the documentation only", 404, "")
            .is("NOT_FOUND | HTTP_404 (graph.microsoft.com) | NOT_STARTED | ResourceInfo"),
        json(
            "throttled without a time",
            429,
            r#"{"error":{"code":"TooManyRequests","message":"Too many requests."}}"#,
        )
        .is("RESOURCE_EXHAUSTED | GRAPH_THROTTLED (graph.microsoft.com) | NOT_STARTED | QuotaFailure, RetryInfo 10s"),
        json(
            "throttled by category",
            429,
            r#"{"error":{"code":"TooManyRequests","message":"Too many requests from Identifier:00000000 under category:throttle.aad.ags.excel.app. Please try again later."}}"#,
        )
        .with("Retry-After", "150")
        .with("x-ms-throttle-scope", "Tenant_Application/ReadWrite/a/b")
        .is("RESOURCE_EXHAUSTED | GRAPH_THROTTLED (graph.microsoft.com) | NOT_STARTED | QuotaFailure, RetryInfo 150s"),
        json("throttled, and that is all", 429, r#"{"error":{"code":"UnknownError","message":""}}"#)
            .with("Retry-After", "soon")
            .is("RESOURCE_EXHAUSTED | GRAPH_THROTTLED (graph.microsoft.com) | NOT_STARTED | QuotaFailure, RetryInfo 10s")
            .holds("graphCode", "UnknownError"),
        json("a 504 after which the action may have run", 504, EMPTY_504)
            .is("UNKNOWN | UNKNOWN_ERROR (graph.microsoft.com) | UNKNOWN | ")
            .holds("graphRequestId", "a"),
        json(
            "a 504 with JSON in its message",
            504,
            r#"{"error":{"code":"UnknownError","message":"{\"Message\":\"{\\r\\n  \\\"_version\\\": 3, \\\"url\\\": \\\"https://graph.example/tasks/213213\\\"}\"}"}}"#,
        )
        .is("UNKNOWN | UNKNOWN_ERROR (graph.microsoft.com) | UNKNOWN | ")
        .hides("graph.example"),
        json(
            "a generic error",
            500,
            r#"{"error":{"code":"generalException","message":"An unspecified error has occurred.","innerError":{"request-id":"a"}}}"#,
        )
        .is("INTERNAL | GENERAL_EXCEPTION (graph.microsoft.com) | UNKNOWN | "),
        json(
            "Defender: in progress",
            400,
            r#"{"error":{"code":"BadRequest","message":"Action is already in progress","target":"5da7ee2c-4bd2-4a5b-a5f4-7b3b0b2b0b2b"}}"#,
        )
        .is("ALREADY_EXISTS | ACTION_ALREADY_IN_PROGRESS (graph.microsoft.com) | ALREADY_STARTED | ResourceInfo"),
        json(
            "Defender: a client that is too old",
            400,
            r#"{"error":{"code":"ClientVersionNotSupported","message":"m","target":"5da7ee2c"}}"#,
        )
        .is("INVALID_ARGUMENT | CLIENT_VERSION_NOT_SUPPORTED (graph.microsoft.com) | NOT_STARTED | "),
        json("Defender: disabled", 403, r#"{"error":{"code":"DisabledFeature","message":"m"}}"#)
            .is("PERMISSION_DENIED | DISABLED_FEATURE (graph.microsoft.com) | NOT_STARTED | "),
        json(
            "Defender: its own failure",
            500,
            r#"{"error":{"code":"InternalServerError","message":"m","target":"5da7ee2c"}}"#,
        )
        .is("INTERNAL | INTERNAL_SERVER_ERROR (graph.microsoft.com) | UNKNOWN | "),
        json(
            "SharePoint: a code with a number and a comma",
            400,
            r#"{"error":{"code":"-1, Microsoft.SharePoint.Client.InvalidClientQueryException","message":"m"}}"#,
        )
        .is("INVALID_ARGUMENT | HTTP_400 (graph.microsoft.com) | NOT_STARTED | "),
    ]
}
