//! Secrets stay secret on every path that a call can take: in log lines of every crate,
//! spans, metrics, audit records, answers and what a process prints.

mod callers;
mod echo;
mod entra;
mod graph;
mod process;
mod shown;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use opentelemetry::trace::Status;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::support::{Gateway, RawCall, points};

/// All that any crate says, those too that the gateway silences unless they are named.
const LOUD: &str = "trace,h2=trace,hyper=trace,hyper_util=trace,reqwest=trace,rustls=trace,tonic=trace,tower=trace,azure_core=trace,azure_identity=trace,typespec_client_core=trace,opentelemetry=trace";

/// Texts that must be nowhere, in any form that something might give them.
#[derive(Debug, Clone, Default)]
struct Marks(Vec<(String, Vec<String>)>);

// === impl Marks ===

impl Marks {
    fn of<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let mut marks = Self::default();
        for secret in secrets {
            marks.add(secret.as_ref());
        }
        marks
    }

    fn add(&mut self, secret: &str) {
        assert!(secret.len() >= 8, "too short to be told from other text");
        if !self.0.iter().any(|(known, _)| known == secret) {
            self.0.push((secret.to_owned(), forms(secret)));
        }
    }

    /// A signed token: its claims and its signature are secrets each.
    fn add_token(&mut self, token: &str) {
        self.add(token);
        for part in token.split('.').skip(1).filter(|part| part.len() >= 8) {
            self.add(part);
        }
    }

    /// A private key in PEM: each whole line.
    fn add_key(&mut self, pem: &str) {
        let lines = pem.lines().filter(|line| line.len() == 64);
        lines.for_each(|line| self.add(line));
    }

    #[track_caller]
    fn are_not_in(&self, what: &str, text: &str) {
        for (secret, forms) in &self.0 {
            let found = forms.iter().find(|form| text.contains(form.as_str()));
            if let Some(form) = found {
                let at = text.find(form.as_str()).unwrap_or_default();
                let around: String = text[..at].chars().rev().take(600).collect();
                let around: String = around.chars().rev().collect();
                panic!("{what}: {secret:?} as {form:?} after {around}");
            }
        }
    }
}

/// As it is, percent-encoded, quoted, and in base64 wherever in a longer text it stands.
fn forms(secret: &str) -> Vec<String> {
    let quoted = serde_json::Value::from(secret).to_string();
    let mut forms = vec![
        secret.to_owned(),
        quoted.trim_matches('"').to_owned(),
        utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
        url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
    ];
    for (before, skip) in [(0, 0), (1, 2), (2, 3)] {
        let bytes = [&vec![0; before], secret.as_bytes()].concat();
        // Whole groups only: what follows would change the last one.
        let end = bytes.len() / 3 * 4;
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            forms.push(engine.encode(&bytes)[skip..end].to_owned());
        }
    }
    forms.sort();
    forms.dedup();
    forms
}

/// All of an answer, its details decoded.
fn told(call: &RawCall) -> String {
    let status = call.grpc_status();
    let details = String::from_utf8_lossy(status.details()).into_owned();
    let body = String::from_utf8_lossy(&call.body).into_owned();
    format!("{:?} {:?} {details} {body}", call.headers, call.trailers)
}

/// What is said of the calls so far, everywhere but in answers.
#[track_caller]
fn assert_nothing_leaked(gateway: &Gateway, marks: &Marks) {
    let spans = gateway.spans();
    assert!(!spans.is_empty());
    for span in spans {
        marks.are_not_in("span", &format!("{span:?}"));
        assert!(span.events.is_empty(), "{span:?}");
        assert!(
            span.status == Status::Unset || span.status == Status::error(""),
            "{span:?}"
        );
    }
    for point in points(&gateway.metrics()) {
        marks.are_not_in("metric", &point);
    }
    marks.are_not_in("log", &gateway.log_text());
}

#[test]
fn a_mark_is_found_in_every_form() {
    let secret = "s3cret~of+a/test";
    let marks = Marks::of([secret]);
    let found = |text: String| {
        let found = std::panic::catch_unwind(|| marks.are_not_in("text", &text));
        assert!(found.is_err(), "{text}");
    };
    for before in ["", "a", "ab", "abc"] {
        let longer = format!("{before}{secret} and more");
        found(STANDARD_NO_PAD.encode(&longer));
        found(URL_SAFE_NO_PAD.encode(&longer));
        found(utf8_percent_encode(&longer, NON_ALPHANUMERIC).to_string());
        found(longer);
    }
    marks.are_not_in("text", "s3cret~of+a");
}
