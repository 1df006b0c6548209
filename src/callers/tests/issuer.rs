//! An issuer on a port of the test's own.

use std::sync::{Arc, Mutex, MutexGuard};

use axum::{Router, extract::State, http::Uri, response::IntoResponse};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

const PATH: &str = "/tenant/v2.0";
const DISCOVERY_PATH: &str = "/tenant/v2.0/.well-known/openid-configuration";

pub(super) struct TestIssuer {
    root: String,
    answers: Arc<Mutex<Answers>>,
}

/// What it answers, and how often it was asked.
pub(super) struct Answers {
    /// Instead of its discovery document.
    pub(super) discovery: Option<String>,
    /// Its key set.
    pub(super) keys: String,
    /// The status of its key set.
    pub(super) status: StatusCode,
    /// Its `Retry-After`.
    pub(super) retry_after: &'static str,
    /// Whether it never answers.
    pub(super) hangs: bool,
    /// Requests for keys so far.
    pub(super) asked: usize,
    /// Requests for anything so far.
    pub(super) requests: usize,
}

impl TestIssuer {
    /// Publishes these keys.
    pub(super) async fn new(keys: &[Value]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let root = format!("http://{}", listener.local_addr().unwrap());
        let answers = Arc::new(Mutex::new(Answers {
            discovery: None,
            keys: json!({ "keys": keys }).to_string(),
            status: StatusCode::OK,
            retry_after: "7",
            hangs: false,
            asked: 0,
            requests: 0,
        }));
        let state = (root.clone(), Arc::clone(&answers));
        let router = Router::new().fallback(answer).with_state(state);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { root, answers }
    }

    pub(super) fn name(&self) -> String {
        format!("{}{PATH}", self.root)
    }

    pub(super) fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap()
    }

    pub(super) fn publish(&self, keys: &[Value]) {
        self.answers().keys = json!({ "keys": keys }).to_string();
    }

    pub(super) fn discovery(&self, issuer: &str, keys: &str) {
        let document = json!({"issuer": issuer, "jwks_uri": keys});
        self.answers().discovery = Some(document.to_string());
    }
}

async fn answer(
    State((root, answers)): State<(String, Arc<Mutex<Answers>>)>,
    uri: Uri,
) -> impl IntoResponse {
    let (hangs, retry_after, status, body) = {
        let mut answers = answers.lock().unwrap();
        answers.requests += 1;
        let usual = json!({"issuer": format!("{root}{PATH}"), "jwks_uri": format!("{root}/keys")});
        let (status, body) = match uri.path() {
            DISCOVERY_PATH => {
                let discovery = answers.discovery.clone();
                (StatusCode::OK, discovery.unwrap_or(usual.to_string()))
            }
            "/keys" => {
                answers.asked += 1;
                (answers.status, answers.keys.clone())
            }
            _ => (StatusCode::NOT_FOUND, String::new()),
        };
        (answers.hangs, answers.retry_after, status, body)
    };
    if hangs {
        std::future::pending::<()>().await;
    }
    (status, [("retry-after", retry_after)], body)
}
