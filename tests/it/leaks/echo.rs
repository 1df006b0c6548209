//! Entra and Graph in one server that repeats whatever it is sent, in every place that an
//! answer has.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

/// The statuses that it answers with, one after the other.
const STATUSES: [u16; 12] = [400, 401, 403, 404, 409, 429, 500, 503, 200, 422, 408, 504];
/// The shapes of its bodies.
const SHAPES: usize = 4;
/// So many answers are all that it has.
pub(super) const ANSWERS: usize = STATUSES.len() * SHAPES;

/// The server.
pub(super) struct Echo {
    pub(super) url: String,
    seen: Arc<Seen>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    /// Every secret that was received or given out.
    secrets: Mutex<Vec<String>>,
    answers: Mutex<usize>,
    tokens: bool,
}

impl Echo {
    /// With `tokens` the token endpoint gives tokens; without it repeats.
    pub(super) async fn start(tokens: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Seen {
            tokens,
            ..Seen::default()
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&seen));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, seen, serving }
    }

    /// The next answer is the n-th.
    pub(super) fn set(&self, n: usize) {
        *self.seen.answers.lock().unwrap() = n;
    }

    /// How many answers it has given since it was set, and before that.
    pub(super) fn answered(&self) -> usize {
        *self.seen.answers.lock().unwrap()
    }

    pub(super) fn forget(&self) {
        self.seen.secrets.lock().unwrap().clear();
    }

    /// What was received or given out.
    pub(super) fn secrets(&self) -> Vec<String> {
        self.seen.secrets.lock().unwrap().clone()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(
    State(seen): State<Arc<Seen>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<String> {
    let mut received: Vec<String> = url::form_urlencoded::parse(&body)
        .filter(|(name, _)| name.contains("assertion") || name == "client_secret")
        .map(|(_, value)| value.into_owned())
        .filter(|value| !value.starts_with("urn:"))
        .collect();
    let bearer = headers.get(header::AUTHORIZATION);
    let bearer = bearer.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    received.extend(bearer.map(str::to_owned));
    let mut secrets = seen.secrets.lock().unwrap();
    secrets.extend(received.iter().cloned());
    let n = {
        let mut answers = seen.answers.lock().unwrap();
        *answers += 1;
        *answers - 1
    };
    if seen.tokens && method == Method::POST && uri.path().ends_with("/token") {
        let token = format!("issued-token-{n}-marked-as-secret");
        secrets.push(token.clone());
        return Response::new(
            json!({"access_token": token, "expires_in": 3600, "token_type": "Bearer"}).to_string(),
        );
    }
    repeated(n, &received)
}

fn repeated(n: usize, received: &[String]) -> Response<String> {
    let status = StatusCode::from_u16(STATUSES[n % STATUSES.len()]).unwrap();
    let all = received.join(" ");
    // The longest one is the token or the proof; each alone is what a field may be as a whole.
    let one = received
        .get(n % received.len().max(1))
        .cloned()
        .unwrap_or_default();
    let claims = json!({"access_token": {"x": {"values": received}}}).to_string();
    let whole = json!({
        "error": one, "suberror": one, "error_description": all, "error_codes": [50079],
        "claims": claims, "trace_id": one, "correlation_id": one, "error_uri": one,
    });
    let body = match n / STATUSES.len() % SHAPES {
        0 => whole.to_string(),
        1 => json!({
            "error": "interaction_required", "suberror": all, "error_codes": [50079],
            "claims": one, "error_description": one, "timestamp": one,
        })
        .to_string(),
        2 => graph(&one, &all).to_string(),
        _ => format!("<html>{all}</html>"),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for name in [
        "request-id",
        "client-request-id",
        "x-ms-request-id",
        "retry-after",
        "location",
        "warning",
        "www-authenticate",
    ] {
        let value = match name {
            "warning" => format!("199 - \"{one}/{one}/504/10\""),
            "www-authenticate" => format!("Bearer error=\"{one}\", claims=\"{one}\""),
            _ => one.clone(),
        };
        let value = HeaderValue::from_str(&value).unwrap();
        response.headers_mut().insert(name, value);
    }
    response
}

fn graph(one: &str, all: &str) -> Value {
    json!({"error": {
        "code": one, "message": all,
        "innerError": {"code": one, "request-id": one, "message": all},
    }})
}
