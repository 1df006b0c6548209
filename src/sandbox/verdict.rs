//! What Graph answers, and the headers and the error envelope that every answer of Graph wears.

use std::time::SystemTime;

use axum::body::Body;
use http::header::{CONTENT_TYPE, HeaderMap, WWW_AUTHENTICATE};
use http::{HeaderValue, Response};
use serde_json::{Value, json};
use uuid::Uuid;

use super::fault::{Headers, head};
use super::stamp;

/// Where Graph says that it was served, as far as anybody outside can tell.
const DIAGNOSTIC: &str = r#"{"ServerInfo":{"DataCenter":"Sandbox","Slice":"E","Ring":"5","ScaleUnit":"000","RoleInstance":"SANDBOX0000000"}}"#;
const ENTITY_TYPE: &str = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8";
const CHALLENGE: &str = "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", \
                         client_id=\"00000003-0000-0000-c000-000000000000\"";

/// An answer before it is dressed.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    status: u16,
    headers: Headers,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Empty,
    Entity(Value),
    Error { code: String, message: String },
}

impl Verdict {
    /// The action was started.
    pub(super) fn accepted() -> Verdict {
        Verdict {
            status: 204,
            headers: Headers::new(),
            content: Content::Empty,
        }
    }

    pub(super) fn entity(entity: Value) -> Verdict {
        Verdict {
            status: 200,
            headers: Headers::new(),
            content: Content::Entity(entity),
        }
    }

    pub(super) fn error(
        status: u16,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Verdict {
        let content = Content::Error {
            code: code.into(),
            message: message.into(),
        };
        Verdict {
            status,
            headers: Headers::new(),
            content,
        }
    }

    pub(super) fn unauthenticated(message: &str) -> Verdict {
        let challenge = (WWW_AUTHENTICATE.to_string(), CHALLENGE.to_owned());
        Verdict::error(401, "InvalidAuthenticationToken", message).with([challenge])
    }

    /// The same with the claims that a new token has to be asked for with, in base64.
    pub(super) fn challenged(message: &str, claims: &str) -> Verdict {
        let challenge = format!("{CHALLENGE}, error=\"insufficient_claims\", claims=\"{claims}\"");
        Verdict::error(401, "InvalidAuthenticationToken", message)
            .with([(WWW_AUTHENTICATE.to_string(), challenge)])
    }

    pub(super) fn with(mut self, headers: impl IntoIterator<Item = (String, String)>) -> Verdict {
        self.headers.extend(headers);
        self
    }

    /// The answer as it is sent; an error says what is wrong with scripted headers or a
    /// scripted status.
    pub(super) fn dress(self, ids: &Ids) -> Result<Response<Body>, String> {
        let mut response = head(self.status, &self.headers)?.map(|()| Body::empty());
        let headers = response.headers_mut();
        headers.insert("request-id", ids.request.clone());
        headers.insert("client-request-id", ids.client.clone());
        headers.insert("x-ms-ags-diagnostic", HeaderValue::from_static(DIAGNOSTIC));
        let (content_type, json) = match self.content {
            Content::Empty => return Ok(response),
            Content::Entity(entity) => (ENTITY_TYPE, entity),
            Content::Error { code, message } => {
                ("application/json", envelope(&code, &message, ids))
            }
        };
        headers
            .entry(CONTENT_TYPE)
            .or_insert(HeaderValue::from_static(content_type));
        *response.body_mut() = Body::from(json.to_string());
        Ok(response)
    }
}

fn envelope(code: &str, message: &str, ids: &Ids) -> Value {
    json!({"error": {"code": code, "message": message, "innerError": {
        "date": stamp::zoneless(SystemTime::now()),
        "request-id": text(&ids.request),
        "client-request-id": text(&ids.client),
    }}})
}

/// The two ids that name one request to Graph.
pub(super) struct Ids {
    request: HeaderValue,
    client: HeaderValue,
}

impl Ids {
    /// A new request id, and the caller's own id, in whose absence the two are the same.
    pub(super) fn of(headers: &HeaderMap) -> Ids {
        let request = Uuid::new_v4().to_string();
        // A GUID is a valid header value, so the fallback never shows.
        let request =
            HeaderValue::from_str(&request).unwrap_or(HeaderValue::from_static("00000000"));
        let client = headers.get("client-request-id").unwrap_or(&request).clone();
        Ids { request, client }
    }
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
