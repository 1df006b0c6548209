//! Any failure becomes a status within its budgets that keeps every promise.

use std::{io, time::Duration};

use incidentgate::{
    failure::{Failure, GraphReply, Kind, Outcome, Violation},
    graph::MAX_RETRY_AFTER,
    rpc::status,
};

use super::{Contract, TOKEN, block_bytes, lines};

pub(super) const CLIENT_REQUEST_ID: &str = "a2f0b4a6-7d3c-4c5e-9a52-0f6f2f6d9d11";

/// What went wrong inside, for the log alone.
const CAUSE: &str = "tcp connect to 10.1.2.3";

/// The lines of the input are: the kind's number, the delay in nanoseconds, how many
/// attempts, then the message and whatever Graph has said, each cut to its cap.
pub(crate) fn status_budget(data: &[u8]) {
    let mut lines = lines(data);
    let mut number = || -> u64 {
        let line = lines.next().and_then(|line| str::from_utf8(line).ok());
        line.and_then(|line| line.parse().ok()).unwrap_or_default()
    };
    let kind = Kind::ALL[usize::try_from(number()).unwrap() % Kind::ALL.len()];
    let delay = Duration::from_nanos(number()).min(MAX_RETRY_AFTER);
    let attempts = u32::try_from(number()).unwrap_or(u32::MAX);
    let mut text = |max| plain(lines.next().unwrap_or_default(), max);
    let mut failure = Failure::new(kind, text(usize::MAX)).with_retry_after(delay);
    let mut said = |max| Some(text(max)).filter(|text| !text.is_empty());
    failure.attempts = attempts;
    failure.reply = Some(Box::new(GraphReply {
        status: 400,
        code: said(64),
        inner_code: said(64),
        message: said(320),
        action_type: said(64),
        request_id: said(64),
    }));
    let claims = said(1024);
    failure = failure.with_claims(claims);
    let description = format!("is wrong: {}", text(120));
    failure.violations = ["incident_task_id", "client_request_id"]
        .map(|field| Violation {
            field,
            description: description.clone(),
        })
        .into();
    keeps_every_promise(&failure);
    // Nobody answered, and nobody has named the call.
    failure.reply = None;
    keeps_every_promise(&failure);
}

/// Checks the failure's status; [`Contract::of`] checks what holds for all.
#[track_caller]
pub(crate) fn keeps_every_promise(failure: &Failure) {
    let failure = failure.clone().because(io::Error::other(CAUSE));
    let status = status::from_failure(failure.clone());
    let contract = Contract::of(&status);
    let response = status.clone().into_http::<()>();
    block_bytes(response.headers());
    assert_eq!(contract.outcome, failure.outcome().as_str());
    assert_eq!(contract.retry.is_some(), failure.kind.may_be_sent_again());
    assert_eq!(contract.retry, failure.retry_after());
    let pushback = status.metadata().get("grpc-retry-pushback-ms");
    let says_never = pushback.is_some_and(|value| value == "-1");
    assert_eq!(says_never, failure.outcome() == Outcome::Unknown);
    // The claims are base64 of JSON, too, but no token.
    let mut headers = response.into_parts().0.headers;
    headers.remove("claims");
    let details = String::from_utf8_lossy(status.details());
    let everything = format!("{headers:?} {contract:?} {contract} {details}");
    for secret in TOKEN.split('.').take(2).chain([CAUSE]) {
        assert!(!everything.contains(secret), "{everything}");
    }
}

/// Every text as long as it can come out of the classification.
pub(crate) fn at_full_length(kind: Kind, text: &str, delay: Duration, attempts: u32) -> Failure {
    let mut failure = Failure::new(kind, cut(text, 450)).with_retry_after(delay);
    failure.violations = ["incident_task_id", "client_request_id"]
        .map(|field| Violation {
            field,
            description: "d".repeat(100),
        })
        .into();
    failure.reply = Some(Box::new(GraphReply {
        status: 999,
        code: Some(cut(text, 64)),
        inner_code: Some(cut(text, 64)),
        message: Some(cut(text, 320)),
        action_type: Some("t".repeat(64)),
        request_id: Some("r".repeat(64)),
    }));
    failure = failure.with_claims(Some("Q".repeat(1024)));
    failure.client_request_id = Some(CLIENT_REQUEST_ID.to_owned());
    failure.attempts = attempts;
    failure
}

/// What the classification leaves of such a text: no control characters, no token.
fn plain(line: &[u8], max: usize) -> String {
    let text = String::from_utf8_lossy(line).replace(char::is_control, " ");
    cut(&text.replace("eyJ", "e-J"), max)
}

/// At most so many bytes, to a character's end.
fn cut(text: &str, max: usize) -> String {
    let end = (0..=max.min(text.len())).rev();
    let end = end.into_iter().find(|&end| text.is_char_boundary(end));
    text[..end.unwrap()].to_owned()
}
