//! What every error promises, whatever it is about. Reading one checks it.

use std::{collections::BTreeMap, fmt, time::Duration};

use http::HeaderMap;
use incidentgate::rpc::status::code_name;
use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::{StatusExt as _, pb};

/// grpc-java drops a call at 8 KiB of trailers; this leaves room for proxies.
const MAX_BLOCK_BYTES: usize = 6 * 1024;
const MAX_STATUS_BYTES: usize = 4 * 1024;
const MAX_REASON_BYTES: usize = 63;
const NAMESPACE: &str = "type.googleapis.com/google.rpc.";

/// An error, reduced to what its row of the status table says. `Display` is that
/// row: `CODE | REASON (domain) | OUTCOME | further details`.
#[derive(Debug)]
pub(crate) struct Contract {
    pub(crate) code: Code,
    pub(crate) reason: String,
    pub(crate) domain: String,
    pub(crate) outcome: String,
    /// `ErrorInfo.metadata`.
    pub(crate) metadata: BTreeMap<String, String>,
    /// `RetryInfo`.
    pub(crate) retry: Option<Duration>,
    /// `RequestInfo.request_id`.
    pub(crate) request_id: String,
    /// Whether a claims challenge is handed on.
    has_claims: bool,
    /// The other details by name, in alphabetical order.
    others: Vec<String>,
}

impl Contract {
    /// Reads a status by hand, and panics where it breaks a promise.
    #[track_caller]
    pub(crate) fn of(status: &Status) -> Self {
        let bytes = status.details().len();
        assert!(
            bytes <= MAX_STATUS_BYTES,
            "{bytes} bytes of {MAX_STATUS_BYTES}"
        );
        let rich = pb::Status::decode(status.details()).unwrap();
        assert_eq!(rich.code, i32::from(status.code()));
        assert_eq!(rich.message, status.message());
        let mut details = Details::default();
        for any in &rich.details {
            let name = any.type_url.strip_prefix(NAMESPACE).unwrap();
            let again = details
                .0
                .insert(name.to_owned(), any.value.clone())
                .is_some();
            assert!(!again, "{name} twice in {status:?}");
        }
        let info: pb::ErrorInfo = details.take("ErrorInfo").expect("an ErrorInfo");
        let request: pb::RequestInfo = details.take("RequestInfo").expect("a RequestInfo");
        let retry = details.take("RetryInfo").map(|retry: pb::RetryInfo| {
            Duration::try_from(retry.retry_delay.expect("a delay")).unwrap()
        });
        let contract = Self {
            code: status.code(),
            outcome: info.metadata["actionOutcome"].clone(),
            reason: info.reason,
            domain: info.domain,
            metadata: info.metadata.into_iter().collect(),
            retry,
            request_id: request.request_id,
            has_claims: status.metadata().contains_key("claims"),
            others: details.0.into_keys().collect(),
        };
        contract.check(status);
        contract
    }

    #[track_caller]
    fn check(&self, status: &Status) {
        assert_ne!(self.code, Code::Ok);
        assert!(is_reason(&self.reason), "{:?}", self.reason);
        let ids = ["graphRequestId", "clientRequestId"];
        let known = ids.iter().find_map(|id| self.metadata.get(*id));
        assert_eq!(
            &self.request_id,
            known.map_or("", String::as_str),
            "RequestInfo names Graph's id, else the call's"
        );
        let pushback = status.metadata().get("grpc-retry-pushback-ms");
        let pushback = pushback.map(|value| value.to_str().unwrap());
        if self.outcome == "UNKNOWN" {
            assert!(
                !matches!(self.code, Code::Unavailable | Code::Cancelled),
                "meshes replay {:?}",
                self.code
            );
            assert_eq!(pushback, Some("-1"));
            assert_eq!(self.retry, None);
        } else {
            assert!(matches!(&*self.outcome, "NOT_STARTED" | "ALREADY_STARTED"));
            let millis = |delay: Duration| delay.as_nanos().div_ceil(1_000_000).to_string();
            let delay = self.retry.map(millis);
            assert_eq!(pushback, delay.as_deref());
        }
        self.check_texts(status);
    }

    /// No text of an error has control characters.
    #[track_caller]
    fn check_texts(&self, status: &Status) {
        let details = status.get_error_details();
        let mut texts = vec![
            status.message().to_owned(),
            self.domain.clone(),
            self.request_id.clone(),
        ];
        texts.extend(self.metadata.values().cloned());
        texts.extend(details.resource_info().map(|info| {
            assert!(!info.description.is_empty() || status.message().is_empty());
            info.description.clone()
        }));
        let fields = details.bad_request().map(|bad| bad.field_violations.iter());
        texts.extend(fields.into_iter().flatten().flat_map(|violation| {
            assert!(!violation.field.is_empty() && !violation.description.is_empty());
            [violation.field.clone(), violation.description.clone()]
        }));
        let preconditions = details.precondition_failure();
        texts.extend(
            preconditions
                .into_iter()
                .flat_map(|failure| &failure.violations)
                .flat_map(|violation| [violation.subject.clone(), violation.description.clone()]),
        );
        for text in texts {
            assert!(!text.contains(char::is_control), "{text:?}");
        }
    }
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let claims = self.has_claims.then(|| "claims".to_owned());
        let retry = self.retry.map(|delay| format!("RetryInfo {delay:?}"));
        let details: Vec<String> = self
            .others
            .iter()
            .cloned()
            .chain(claims)
            .chain(retry)
            .collect();
        write!(
            f,
            "{} | {} ({}) | {} | {}",
            code_name(self.code),
            self.reason,
            self.domain,
            self.outcome,
            details.join(", ")
        )
    }
}

/// The size of a header block as HTTP/2 counts it, checked against the budget.
#[track_caller]
pub(crate) fn block_bytes(block: &HeaderMap) -> usize {
    let bytes = block
        .iter()
        .map(|(name, value)| (name.as_str(), value.len()))
        // A block of headers has it, too.
        .chain([(":status", 3)])
        .map(|(name, value)| name.len() + value + 32)
        .sum();
    assert!(
        bytes <= MAX_BLOCK_BYTES,
        "{bytes} bytes of {MAX_BLOCK_BYTES}"
    );
    bytes
}

/// AIP-193: `[A-Z][A-Z0-9_]+[A-Z0-9]`, 63 characters at most.
fn is_reason(text: &str) -> bool {
    let upper_or_digit = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    (3..=MAX_REASON_BYTES).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.ends_with(upper_or_digit)
        && text.chars().all(|c| upper_or_digit(c) || c == '_')
}

/// The `Any`s of a status by the short names of their types.
#[derive(Default)]
struct Details(BTreeMap<String, Vec<u8>>);

impl Details {
    fn take<M: prost::Message + Default>(&mut self, name: &str) -> Option<M> {
        let value = self.0.remove(name)?;
        Some(M::decode(&*value).unwrap())
    }
}
