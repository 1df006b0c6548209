//! What must hold for every input, said once. The suite checks it with inputs that it
//! generates ([`crate::properties`], [`crate::seeds`]); libFuzzer, in `fuzz/`, with
//! those that it finds. That crate includes this file, so nothing here may name
//! another module of the suite.

mod contract;
mod forwarded_certificate;
mod grpc_timeout;
mod reply;
mod retry_after;
mod status;
mod task;
mod token;
mod warning;

pub(crate) use contract::{Contract, block_bytes};
pub(crate) use forwarded_certificate::forwarded_certificate;
pub(crate) use grpc_timeout::grpc_timeout;
pub(crate) use reply::{Given, error_body};
pub(crate) use retry_after::retry_after;
pub(crate) use status::{at_full_length, keeps_every_promise, status_budget};
pub(crate) use task::task;
pub(crate) use token::token;
pub(crate) use warning::{warning, warnings_are_bounded};

/// How every JSON Web Token begins; it is put where it must not come back from.
pub(crate) const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJjYWxsZXIifQ.c2lnbmF0dXJl";

/// A check that panics where the bytes break a promise.
pub(crate) type Promise = fn(&[u8]);

/// What is fuzzed, by the name of the target; its seeds are in `fuzz/corpus/NAME`.
pub(crate) const TARGETS: [(&str, Promise); 8] = [
    ("error_body", error_body),
    ("forwarded_certificate", forwarded_certificate),
    ("grpc_timeout", grpc_timeout),
    ("retry_after", retry_after),
    ("status_budget", status_budget),
    ("task", task),
    ("token", token),
    ("warning", warning),
];

/// The lines of an input, without their ends.
fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// Whether a text of Graph's holds what looks like a secret: a JSON Web Token, a URL,
/// or any word after `Bearer`.
fn holds_a_token_or_url(text: &str) -> bool {
    let words: Vec<_> = text.split_whitespace().collect();
    let removed = |word: &str| "[removed]".starts_with(word.trim_end_matches('…'));
    text.contains("eyJ")
        || text.contains("://")
        || words
            .windows(2)
            .any(|pair| pair[0].eq_ignore_ascii_case("bearer") && !removed(pair[1]))
}
