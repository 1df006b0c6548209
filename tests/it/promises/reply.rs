//! Whatever comes back as Graph's answer is a success, or one error that keeps every
//! promise.

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use incidentgate::{
    authorization::TokenOwner,
    failure::{Effect, Failure, GraphReply, Kind, Outcome},
    graph::{
        Accepted,
        classify::{BodyEnd, Reply, classify},
        parse_retry_after, remove_token_from_body, remove_token_from_headers,
    },
};
use serde_json::Value;

use super::{keeps_every_promise, retry_after::NOW, status::CLIENT_REQUEST_ID, warning};

/// The token that Graph was shown: with every kind of character that a token may have,
/// those among them that JSON may or must escape.
const SHOWN_TOKEN: &str = r#"0paque/t+k~_"n\-.=="#;

/// A reply that owns its parts.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// The input is a reply as HTTP/1.1 has it, whose status line is the code alone.
pub(crate) fn error_body(data: &[u8]) {
    if let Some(given) = Given::read(data) {
        given.keeps_every_promise();
    }
}

impl Given {
    fn read(data: &[u8]) -> Option<Self> {
        let mut rest = data;
        let mut line = || {
            let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
            rest = rest.get(line.len() + 1..).unwrap_or_default();
            line.strip_suffix(b"\r").unwrap_or(line)
        };
        let status = StatusCode::from_bytes(line()).ok()?;
        let mut headers = HeaderMap::new();
        while let field = line()
            && let Some(colon) = field.iter().position(|byte| *byte == b':')
        {
            let name = HeaderName::from_bytes(&field[..colon]);
            let value = HeaderValue::from_bytes(field[colon + 1..].trim_ascii());
            if let (Ok(name), Ok(value)) = (name, value) {
                headers.append(name, value);
            }
        }
        let body = rest.to_owned();
        Some(Self {
            status,
            headers,
            body,
        })
    }

    /// Checks it for every end of the body and every owner of the token.
    pub(crate) fn keeps_every_promise(&self) {
        let mut headers = self.headers.clone();
        remove_token_from_headers(&mut headers, SHOWN_TOKEN.as_bytes());
        let scrubbed = remove_token_from_body(&self.body, SHOWN_TOKEN.as_bytes());
        let body = scrubbed.as_deref().unwrap_or(&self.body);
        for body_end in [BodyEnd::Complete, BodyEnd::TooLong, BodyEnd::Lost] {
            for token_owner in [TokenOwner::Caller, TokenOwner::Gateway] {
                let reply = Reply {
                    status: self.status,
                    headers: &headers,
                    body,
                    body_end,
                    token_owner,
                    effect: Effect::Action,
                    now: SystemTime::UNIX_EPOCH + NOW,
                };
                let result = classify(&reply);
                let everything = format!("{result:?}");
                let shown = SHOWN_TOKEN.escape_debug().to_string();
                assert!(!everything.contains(&shown), "{everything}");
                match result {
                    Ok(accepted) => is_a_success(&accepted, &reply),
                    Err(failure) => is_a_failure(failure, &reply),
                }
            }
        }
    }
}

fn is_a_success(accepted: &Accepted, reply: &Reply<'_>) {
    assert!(reply.status.is_success());
    assert_eq!(accepted.status, reply.status.as_u16());
    assert_eq!(reply.body_end, BodyEnd::Complete);
    assert!(accepted.graph_request_id.as_deref().is_none_or(is_id));
    accepted
        .provider_warnings
        .iter()
        .for_each(warning::is_bounded);
    let is_blank = reply.body.iter().all(u8::is_ascii_whitespace);
    assert!(is_blank || serde_json::from_slice::<Value>(reply.body).is_ok());
    assert_eq!(said(reply.body, "code"), None, "an error is no success");
}

fn is_a_failure(mut failure: Failure, reply: &Reply<'_>) {
    let wait = reply
        .headers
        .get(header::RETRY_AFTER)
        .and_then(|value| parse_retry_after(value.as_bytes(), reply.now));
    let outcome = failure.outcome();
    match (outcome, by_status(reply.status.as_u16(), wait.is_some())) {
        (Outcome::AlreadyStarted, Outcome::NotStarted) => assert!(says_in_progress(reply)),
        (Outcome::Unknown, Outcome::NotStarted) => assert!(may_have_said_in_progress(reply)),
        (outcome, expected) => {
            assert_eq!(outcome, expected);
            assert!(outcome != Outcome::NotStarted || !may_have_said_in_progress(reply));
        }
    }
    if failure.kind.may_be_sent_again() {
        let usual = failure.kind.usual_delay();
        assert_eq!(failure.retry_after(), Some(wait.unwrap_or(usual)));
    }
    if failure.kind == Kind::GatewayCredentialRejected {
        assert_eq!(reply.token_owner, TokenOwner::Gateway);
    }
    let said = failure.reply.as_deref().expect("Graph's words");
    assert_eq!(said.status, reply.status.as_u16());
    texts_are_bounded(said);
    claims_are_bounded(&failure);
    failure.client_request_id = Some(CLIENT_REQUEST_ID.to_owned());
    failure.attempts = 1;
    keeps_every_promise(&failure);
}

/// The status table's first column. The registered 4xx are IANA's.
fn by_status(status: u16, has_retry_after: bool) -> Outcome {
    match status {
        503 if has_retry_after => Outcome::NotStarted,
        300..=407 | 409..=418 | 421..=426 | 428 | 429 | 431 | 451 | 501 | 507 | 509 => {
            Outcome::NotStarted
        }
        _ => Outcome::Unknown,
    }
}

/// Whether Graph has named this row itself, in either dialect.
fn says_in_progress(reply: &Reply<'_>) -> bool {
    let [code, message] = ["code", "message"].map(|field| said(reply.body, field));
    matches!(reply.status.as_u16(), 400 | 422)
        && (code.is_some_and(|code| code == "actionalreadyinprogress")
            || message.is_some_and(|message| message.contains("already in progress")))
}

/// Whether it may have named that row in what was lost of it.
fn may_have_said_in_progress(reply: &Reply<'_>) -> bool {
    matches!(reply.status.as_u16(), 400 | 422)
        && reply.body_end == BodyEnd::Lost
        && serde_json::from_slice::<Value>(reply.body).is_err()
}

/// A text of `error`, in lower case, with single spaces.
fn said(body: &[u8], field: &str) -> Option<String> {
    let document: Value = serde_json::from_slice(body).ok()?;
    let text = document.get("error")?.get(field)?.as_str()?;
    let spaced = text.to_lowercase().replace(char::is_control, " ");
    Some(spaced.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn texts_are_bounded(said: &GraphReply) {
    for (text, max) in [
        (&said.code, 64),
        (&said.inner_code, 64),
        (&said.message, 320),
        (&said.action_type, 64),
        (&said.request_id, 64),
    ] {
        let text = text.as_deref().unwrap_or("-");
        assert!((1..=max).contains(&text.len()), "{text:?}");
        assert!(!text.contains(char::is_control), "{text:?}");
        assert!(!super::holds_a_token_or_url(text), "{text:?}");
    }
    assert!(said.request_id.as_deref().is_none_or(is_id));
    assert!(said.action_type.as_deref().is_none_or(is_id));
}

fn claims_are_bounded(failure: &Failure) {
    let claims = failure.claims.as_deref().unwrap_or("-");
    assert!((1..=1024).contains(&claims.len()), "{claims:?}");
    assert!(
        claims
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte))
    );
}

fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
