//! Entra's errors by their numbers, in its own words as far as they are public: the
//! [list of codes](https://learn.microsoft.com/entra/identity-platform/reference-error-codes)
//! and what users report. A client must not depend on the words.

use std::time::SystemTime;

use axum::body::Body;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, PRAGMA};
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;
use uuid::Uuid;

use crate::sandbox::fault::{Headers, head};
use crate::sandbox::stamp;

/// One kind of error: number, status, OAuth's name for it (RFC 6749, section 5.2, and
/// Entra's own), the `suberror`, and words for when nobody has better ones.
type Row = (u32, u16, &'static str, Option<&'static str>, &'static str);

#[rustfmt::skip]
const TABLE: &[Row] = &[
    (50_000, 500, "server_error", None, "There was an error issuing a token."),
    (50_013, 400, "invalid_grant", None, "Assertion failed signature validation. [Reason - The key was not found.]"),
    (50_027, 400, "invalid_request", None, "JWT token is invalid or malformed."),
    (50_076, 400, "interaction_required", Some("basic_action"), "Due to a configuration change made by your administrator, or because you moved to a new location, you must use multi-factor authentication to access the resource."),
    (50_079, 400, "interaction_required", Some("basic_action"), "Due to a configuration change made by your administrator, or because you moved to a new location, you must enroll in multi-factor authentication to access the resource."),
    (50_173, 400, "invalid_grant", Some("bad_token"), "The provided grant has expired due to it being revoked, a fresh auth token is needed."),
    (50_196, 400, "invalid_grant", None, "The server terminated an operation because it encountered a client request loop. Please contact your app vendor."),
    (53_000, 400, "interaction_required", Some("message_only"), "Device is not in required device state. Conditional Access policy requires a compliant device, and the device is not compliant."),
    (53_003, 400, "interaction_required", Some("message_only"), "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance."),
    (65_001, 400, "invalid_grant", Some("consent_required"), "The user or administrator has not consented to use the application. Send an interactive authorization request for this user and resource."),
    (70_003, 400, "unsupported_grant_type", None, "The app requested an unsupported grant type."),
    (70_011, 400, "invalid_scope", None, "The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid."),
    (70_021, 401, "invalid_client", None, "No matching federated identity record found for presented assertion."),
    (90_002, 400, "invalid_request", None, "Tenant not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."),
    (90_023, 400, "invalid_request", None, "The authentication service request is not valid."),
    (90_033, 503, "temporarily_unavailable", None, "A transient error has occurred. Please try again."),
    (90_055, 429, "temporarily_unavailable", None, "There are too many incoming requests. Please try again later."),
    (500_011, 400, "invalid_resource", None, "The resource principal was not found in the tenant."),
    (500_131, 400, "invalid_grant", None, "Assertion audience does not match the Client app presenting the assertion."),
    (500_133, 400, "invalid_grant", None, "Assertion is not within its valid time range. Ensure that the access token is not expired before using it for user assertion, or request a new token."),
    (700_016, 400, "unauthorized_client", None, "Application was not found in the directory."),
    (700_021, 401, "invalid_client", None, "Client assertion application identifier doesn't match 'client_id' parameter."),
    (700_023, 401, "invalid_client", None, "Client assertion audience claim does not match Realm issuer."),
    (700_024, 401, "invalid_client", None, "Client assertion is not within its valid time range."),
    (700_027, 401, "invalid_client", None, "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found.]"),
    (700_211, 401, "invalid_client", None, "No matching federated identity record found for presented assertion issuer."),
    (700_212, 401, "invalid_client", None, "No matching federated identity record found for presented assertion audience."),
    (700_213, 401, "invalid_client", None, "No matching federated identity record found for presented assertion subject."),
    (900_144, 400, "invalid_request", None, "The request body must contain a parameter that is missing."),
    (900_561, 405, "invalid_request", None, "The endpoint does not accept requests of this method."),
    (1_002_012, 400, "invalid_scope", None, "The provided value for scope is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI)."),
    (7_000_112, 400, "unauthorized_client", None, "Application is disabled."),
    (7_000_114, 400, "unauthorized_client", None, "Application is not allowed to make application on-behalf-of calls."),
    (7_000_215, 401, "invalid_client", None, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID."),
    (7_000_218, 401, "invalid_client", None, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."),
    (7_000_222, 401, "invalid_client", None, "The provided client secret keys are expired."),
    (9_002_313, 400, "invalid_request", None, "Invalid request. Request is malformed or invalid."),
];

/// What a number without a row becomes.
const UNKNOWN: Row = (
    0,
    400,
    "invalid_request",
    None,
    "The sandbox has no words for this error.",
);

/// Why no token is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The number after `AADSTS`.
    pub(super) code: u32,
    status: u16,
    error: &'static str,
    suberror: Option<&'static str>,
    message: String,
    claims: Option<String>,
    headers: Headers,
}

impl Refusal {
    /// The error of that number in its usual words.
    pub(super) fn new(code: u32) -> Refusal {
        let row = TABLE.iter().find(|row| row.0 == code).unwrap_or(&UNKNOWN);
        let (_, status, error, suberror, message) = *row;
        Refusal {
            code,
            status,
            error,
            suberror,
            message: message.to_owned(),
            claims: None,
            headers: Headers::new(),
        }
    }

    /// The same in words of this case.
    pub(super) fn saying(code: u32, message: impl Into<String>) -> Refusal {
        Refusal {
            message: message.into(),
            ..Refusal::new(code)
        }
    }

    /// A parameter is not there.
    pub(super) fn missing(parameter: &str) -> Refusal {
        Refusal::saying(
            900_144,
            format!("The request body must contain the following parameter: '{parameter}'."),
        )
    }

    /// The same with what the caller's user has to be asked for.
    pub(super) fn with_claims(self, claims: Option<String>) -> Refusal {
        Refusal { claims, ..self }
    }

    pub(super) fn with_header(mut self, name: &str, value: &impl ToString) -> Refusal {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// The answer as it is sent; an error says what is wrong with scripted headers.
    pub(super) fn dress(&self, ids: &Ids) -> Result<Response<Body>, String> {
        let (trace, correlation) = (&ids.trace, &ids.correlation);
        let time = timestamp(SystemTime::now());
        let mut body = json!({
            "error": self.error,
            "error_description": format!(
                "AADSTS{}: {} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {time}",
                self.code, self.message
            ),
            "error_codes": [self.code],
            "timestamp": time,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("https://login.microsoftonline.com/error?code={}", self.code),
        });
        if let Some(suberror) = self.suberror {
            body["suberror"] = suberror.into();
        }
        if let Some(claims) = &self.claims {
            body["claims"] = claims.as_str().into();
        }
        let mut response = json_response(&body, ids);
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let scripted = head(self.status, &self.headers)?;
        response.headers_mut().extend(scripted.headers().clone());
        Ok(response)
    }
}

/// The two ids that name one request to Entra.
pub(super) struct Ids {
    trace: String,
    correlation: String,
}

impl Ids {
    /// A new trace id, and the caller's own id as the correlation id.
    pub(super) fn of(headers: &HeaderMap) -> Ids {
        let own = headers.get("client-request-id");
        let own = own.and_then(|id| Uuid::try_parse_ascii(id.as_bytes()).ok());
        Ids {
            trace: Uuid::new_v4().to_string(),
            correlation: own.unwrap_or_else(Uuid::new_v4).to_string(),
        }
    }
}

/// An answer of Entra, with status 200.
pub(super) fn json_response(body: &serde_json::Value, ids: &Ids) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    let headers = response.headers_mut();
    let constant = HeaderValue::from_static;
    headers.insert(CONTENT_TYPE, constant("application/json; charset=utf-8"));
    headers.insert(CACHE_CONTROL, constant("no-store, no-cache"));
    headers.insert(PRAGMA, constant("no-cache"));
    // A GUID is a valid header value.
    if let Ok(trace) = HeaderValue::from_str(&ids.trace) {
        headers.insert("x-ms-request-id", trace);
    }
    if let Ok(correlation) = HeaderValue::from_str(&ids.correlation) {
        headers.insert("client-request-id", correlation);
    }
    response
}

/// Entra's time stamps, such as `2016-01-09 02:02:12Z`.
pub(super) fn timestamp(at: SystemTime) -> String {
    stamp::zoneless(at).replace('T', " ") + "Z"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_one_row() {
        for pair in TABLE.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{} comes late or twice", pair[1].0);
        }
        for row in TABLE {
            assert!((400..600).contains(&row.1), "{row:?}");
            assert_eq!(Refusal::new(row.0).code, row.0);
        }
        assert_eq!(Refusal::new(1).error, "invalid_request");
    }
}
