//! What tells one measurement from another: closed words, and the addresses of fixed upstreams.

use std::sync::Arc;

use opentelemetry::{KeyValue, Value};

/// Whether the action was started, as the metrics and spans spell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Graph has accepted the action.
    Started,
    /// The answer was lost, but the task's own state shows that the action has started.
    Observed,
    /// Someone had started it before.
    AlreadyStarted,
    /// It was certainly not started.
    NotStarted,
    /// Nobody can tell.
    Unknown,
}

impl Outcome {
    /// The stable label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "STARTED",
            Self::Observed => "OBSERVED",
            Self::AlreadyStarted => "ALREADY_STARTED",
            Self::NotStarted => "NOT_STARTED",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl From<crate::failure::Outcome> for Outcome {
    fn from(outcome: crate::failure::Outcome) -> Self {
        match outcome {
            crate::failure::Outcome::NotStarted => Self::NotStarted,
            crate::failure::Outcome::AlreadyStarted => Self::AlreadyStarted,
            crate::failure::Outcome::Unknown => Self::Unknown,
        }
    }
}

/// What is fetched from an identity provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchOf {
    /// The gateway's own token for Graph.
    ApplicationToken,
    /// A token for Graph in exchange for a caller's.
    ExchangedToken,
    /// The keys that the callers' tokens are signed with.
    SigningKeys,
}

impl FetchOf {
    /// The stable label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApplicationToken => "application_token",
            Self::ExchangedToken => "exchanged_token",
            Self::SigningKeys => "signing_keys",
        }
    }
}

/// Why a POST is sent again for the same call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResendCause {
    /// Graph throttled the one before.
    Throttled,
    /// Graph was not available for it.
    Unavailable,
    /// It did not reach Graph.
    Unreachable,
    /// Graph refused the token, and another one was fetched.
    Renewed,
    /// Its outcome was unknown, and the task showed that nothing had been started.
    NotStarted,
}

impl ResendCause {
    /// The stable label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Unreachable => "unreachable",
            Self::Renewed => "renewed",
            Self::NotStarted => "not_started",
        }
    }
}

/// What a look at the task showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconciled {
    /// The action has been started.
    Started,
    /// It has not, as yet.
    NotStarted,
    /// Nothing: the task could not be read.
    Unseen,
}

impl Reconciled {
    /// The stable label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::NotStarted => "not_started",
            Self::Unseen => "unseen",
        }
    }
}

/// What became of an audit record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditResult {
    /// It stands in the log.
    Written,
    /// It was given up: its call was refused, or went on unrecorded.
    Failed,
}

impl AuditResult {
    /// The stable label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Failed => "failed",
        }
    }
}

/// Whose files have changed: the value of `incidentgate.reload.what`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    /// The listener's certificate, its key, and the authorities of the callers.
    Server,
    /// The certificate and the key that Graph is shown, and the authorities of Graph.
    Graph,
}

impl Reloaded {
    /// The stable label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Graph => "graph",
        }
    }
}

/// The attributes of one upstream, made once so that a measurement copies a pointer and a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    port: u16,
    address: Arc<str>,
}

impl Upstream {
    /// Names an upstream by the host and port of its URL.
    pub fn new(host: &str, port: u16) -> Self {
        Self {
            address: Arc::from(address_of_host(host)),
            port,
        }
    }

    /// The value of `server.address`, for spans too.
    pub fn address(&self) -> Value {
        Value::from(Arc::clone(&self.address))
    }

    /// The value of `server.port`, for spans too.
    pub fn port(&self) -> Value {
        Value::from(i64::from(self.port))
    }
}

/// The `server.address` of a URL's host: an IPv6 address stands there without the brackets.
pub fn address_of_host(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

/// What is known of one HTTP request when it ends.
#[derive(Debug, Clone, Copy)]
pub struct ClientRequest<'a> {
    /// Where it went.
    pub upstream: &'a Upstream,
    /// `POST` or `GET`.
    pub method: &'static str,
    /// The HTTP status; `None` when no answer came.
    pub status: Option<u16>,
    /// Why it failed when no status tells: one of the `ERROR_` names.
    pub error_type: Option<&'static str>,
    /// `1.1` or `2`, where an answer told it.
    pub protocol_version: Option<&'static str>,
}

/// A short attribute list on the stack: a measurement of every call should not allocate.
pub(super) struct Attributes {
    list: [KeyValue; Self::CAPACITY],
    length: usize,
}

impl Attributes {
    /// The most that one measurement here has.
    const CAPACITY: usize = 6;

    pub(super) fn push(&mut self, key: &'static str, value: impl Into<Value>) {
        debug_assert!(self.length < Self::CAPACITY, "raise Attributes::CAPACITY");
        if let Some(slot) = self.list.get_mut(self.length) {
            *slot = KeyValue::new(key, value);
            self.length += 1;
        }
    }

    pub(super) fn as_slice(&self) -> &[KeyValue] {
        &self.list[..self.length]
    }
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            list: std::array::from_fn(|_| KeyValue::new("", "")),
            length: 0,
        }
    }
}
