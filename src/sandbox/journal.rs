//! The record of what was received and what became of it. Tests count in it, so it never guesses.

use std::collections::VecDeque;

use http::header::{AUTHORIZATION, COOKIE, HeaderMap, PROXY_AUTHORIZATION};
use http::{HeaderName, HeaderValue, Method, request};
use percent_encoding::percent_decode_str;
use serde::Serialize;

/// Enough for any test, and a bound for a sandbox that runs for weeks.
const MAX_ENTRIES: usize = 100_000;
/// What one entry may keep of its request's headers, names and values together.
const MAX_HEADER_BYTES: usize = 4 * 1024;
/// What one entry keeps of a header's value; a `traceparent` or a `baggage` fits.
const MAX_VALUE_BYTES: usize = 1024;
/// What one entry keeps of the request's target; an id of 256 bytes fits, each of them
/// percent-encoded.
const MAX_TARGET_BYTES: usize = 2 * 1024;

/// One request to the Graph half.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Counts up from 1 in order of arrival, over [`super::Sandbox::reset`] too.
    pub seq: u64,
    /// Which connection it came over, counting up from 1.
    pub connection: u64,
    /// The method.
    pub method: String,
    /// The path, percent-decoded.
    pub path: String,
    /// Path and query as they were received.
    pub target: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// Names in lower case, repeated ones too; bounded. Of credentials only their presence is kept.
    pub headers: Vec<(String, String)>,
    /// How long the body was; 0 as long as it was not read.
    pub body_length: usize,
    /// The decoded id of the task that the request is about.
    pub task: Option<String>,
    /// Whether this request really started the action.
    pub committed: bool,
    /// What it was answered, from the moment that this is decided.
    pub answer: Option<Answer>,
    /// Whether the sandbox has nothing more to do for it. A slow body is not finished
    /// before its last byte.
    pub finished: bool,
}

/// How a request was answered. In JSON `{"status": 204}` or the bare name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// With this status; a body may still break off.
    Status(u16),
    /// The connection was reset.
    Reset,
    /// The connection was closed without an answer.
    Close,
    /// Over HTTP/2, with a reset of its stream that says that it was not processed.
    Refused,
    /// Over HTTP/2, with a GOAWAY and the end of the connection.
    GoAway,
    /// Never, while the connection lives.
    Hang,
    /// With bytes that are not HTTP.
    Garbage,
    /// Not at all: the caller left before.
    Abandoned,
}

impl Entry {
    pub(super) fn new(request: &request::Parts, connection: u64, task: Option<&str>) -> Entry {
        let target = request
            .uri
            .path_and_query()
            .map_or("", |target| target.as_str());
        Entry {
            seq: 0,
            connection,
            method: request.method.to_string(),
            path: cut(
                percent_decode_str(request.uri.path()).collect(),
                MAX_TARGET_BYTES,
            ),
            target: cut(target.as_bytes().to_vec(), MAX_TARGET_BYTES),
            version: format!("{:?}", request.version),
            headers: kept(&request.headers),
            body_length: 0,
            task: task.map(str::to_owned),
            committed: false,
            answer: None,
            finished: false,
        }
    }

    /// Whether it asked to execute a task's action.
    pub fn is_post(&self) -> bool {
        self.task.is_some() && self.method == Method::POST.as_str()
    }

    /// Whether it asked to see a task.
    pub fn is_read(&self) -> bool {
        self.task.is_some() && self.method == Method::GET.as_str()
    }

    /// The first value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(kept, _)| kept == name)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn is_about(&self, id: &str) -> bool {
        self.task
            .as_deref()
            .is_some_and(|task| id == "*" || task == id)
    }
}

fn kept(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut budget = MAX_HEADER_BYTES;
    let mut kept = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        let value = shown(name, value);
        let Some(rest) = budget.checked_sub(name.as_str().len() + value.len()) else {
            break;
        };
        budget = rest;
        kept.push((name.to_string(), value));
    }
    kept
}

/// A header's value, without a credential. Only `Bearer` is named: what else stands first
/// may itself be the secret.
fn shown(name: &HeaderName, value: &HeaderValue) -> String {
    if name == AUTHORIZATION {
        return match bearer(value) {
            Some([]) => "Bearer (empty)".to_owned(),
            Some(_) => "Bearer (present)".to_owned(),
            None => "(present)".to_owned(),
        };
    }
    if name == COOKIE || name == PROXY_AUTHORIZATION {
        return "(present)".to_owned();
    }
    cut(value.as_bytes().to_vec(), MAX_VALUE_BYTES)
}

/// The token of a bearer credential; the scheme is read in any case, as HTTP wants it.
pub(super) fn bearer(credential: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = credential.as_bytes().split_at_checked("Bearer".len())?;
    let is_bearer =
        scheme.eq_ignore_ascii_case(b"Bearer") && token.first().is_none_or(|next| *next == b' ');
    is_bearer.then(|| token.trim_ascii())
}

/// The text of the first `max` bytes.
pub(super) fn cut(mut bytes: Vec<u8>, max: usize) -> String {
    bytes.truncate(max);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a journal numbers.
pub(super) trait Numbered {
    fn seq(&self) -> u64;
    fn number(&mut self, seq: u64);
}

impl Numbered for Entry {
    fn seq(&self) -> u64 {
        self.seq
    }

    fn number(&mut self, seq: u64) {
        self.seq = seq;
    }
}

/// The entries, oldest first, with sequence numbers that leave no gap.
#[derive(Debug)]
pub(super) struct Journal<E> {
    entries: VecDeque<E>,
    recorded: u64,
}

impl<E> Default for Journal<E> {
    fn default() -> Journal<E> {
        Journal {
            entries: VecDeque::new(),
            recorded: 0,
        }
    }
}

impl<E: Numbered> Journal<E> {
    /// Takes an entry in and numbers it.
    pub(super) fn record(&mut self, mut entry: E) -> u64 {
        if self.entries.len() == MAX_ENTRIES {
            self.entries.pop_front();
        }
        self.recorded += 1;
        entry.number(self.recorded);
        self.entries.push_back(entry);
        self.recorded
    }

    /// The entry of that number, if it was not dropped meanwhile.
    pub(super) fn entry(&mut self, seq: u64) -> Option<&mut E> {
        let first = self.entries.front()?.seq();
        let index = usize::try_from(seq.checked_sub(first)?).ok()?;
        self.entries.get_mut(index)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &E> {
        self.entries.iter()
    }

    /// Numbers go on, so that a request that is still under way cannot be taken for a later one.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn entry(headers: &[(&str, &str)]) -> Entry {
        let mut request =
            Request::post("/beta/security/incidentTasks/a%2Fb/executeResponseAction?x=%20");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Entry::new(&request.body(()).unwrap().into_parts().0, 1, Some("a/b"))
    }

    #[test]
    fn keeps_the_target_as_received_beside_the_decoded_path() {
        let entry = entry(&[]);
        assert_eq!(
            entry.target,
            "/beta/security/incidentTasks/a%2Fb/executeResponseAction?x=%20"
        );
        assert_eq!(
            entry.path,
            "/beta/security/incidentTasks/a/b/executeResponseAction"
        );
    }

    #[test]
    fn never_keeps_a_credential() {
        for (credential, want) in [
            ("Bearer s3cret", "Bearer (present)"),
            ("bearer  s3cret", "Bearer (present)"),
            ("Bearer ", "Bearer (empty)"),
            ("Bearer", "Bearer (empty)"),
            ("Bearers3cret", "(present)"),
            ("s3cret", "(present)"),
            ("s3cret x", "(present)"),
            ("Basic s3cret", "(present)"),
        ] {
            let entry = entry(&[
                ("Authorization", credential),
                ("Cookie", "s3cret"),
                ("X-Other", "kept"),
            ]);
            assert_eq!(entry.header("authorization"), Some(want), "{credential}");
            assert_eq!(entry.header("x-other"), Some("kept"));
            assert!(
                !serde_json::to_string(&entry).unwrap().contains("s3cret"),
                "{credential}"
            );
        }
    }

    #[test]
    fn bounds_what_it_keeps_of_headers() {
        let long = "v".repeat(3 * MAX_VALUE_BYTES);
        let entry = entry(&[
            ("a", &long),
            ("b", &long),
            ("c", &long),
            ("d", &long),
            ("e", &long),
        ]);
        assert_eq!(entry.header("a").map(str::len), Some(MAX_VALUE_BYTES));
        assert!(
            entry
                .headers
                .iter()
                .map(|(name, value)| name.len() + value.len())
                .sum::<usize>()
                <= MAX_HEADER_BYTES
        );
    }

    #[test]
    fn drops_the_oldest_entry_and_finds_the_others_by_number() {
        let mut journal = Journal::default();
        for _ in 0..=MAX_ENTRIES {
            journal.record(entry(&[]));
        }
        assert_eq!(journal.entries().count(), MAX_ENTRIES);
        assert!(journal.entry(1).is_none());
        assert_eq!(journal.entry(2).map(|entry| entry.seq), Some(2));

        journal.clear();
        assert!(journal.entry(2).is_none());
        assert_eq!(journal.record(entry(&[])), MAX_ENTRIES as u64 + 2);
    }
}
