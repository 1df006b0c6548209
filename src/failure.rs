//! The vocabulary of what went wrong. Everything that can end a call without
//! success is one [`Failure`]; whoever decides something about it (a retry, a
//! gRPC status, a log line) reads the same fields.

mod effect;
mod kind;

use std::{error::Error, fmt, sync::Arc, time::Duration};

pub use self::{
    effect::Effect,
    kind::{Kind, Origin, Outcome},
};

/// The longest claims challenge that is handed on. It travels in a trailer, whose block
/// must stay under 6 KiB, and a cut challenge would be useless.
const MAX_CLAIMS_BYTES: usize = 1024;

/// A call that did not succeed, with all that is known about it.
///
/// `Display` is the message for the caller: it holds no token, no URL and no
/// raw body. The chain behind [`Error::source`] is for the log only.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What happened: the row of the status table.
    pub kind: Kind,
    /// What the call may have done by then; [`Effect::Action`] unless somebody says less.
    pub effect: Effect,
    /// One English sentence or two for the developer of the caller.
    pub message: Box<str>,
    /// The fields of the request that were wrong, for [`Kind::InvalidRequest`]
    /// and [`Kind::InvalidTaskId`].
    pub violations: Box<[Violation]>,
    /// What Graph answered, if it answered.
    pub reply: Option<Box<GraphReply>>,
    /// What Entra wants first (a claims challenge), in base64; see
    /// [`Failure::with_claims`].
    pub claims: Option<Box<str>>,
    /// The id under which the call was, or would have been, sent to Graph.
    pub client_request_id: Option<String>,
    /// How many requests have been handed to the connection for this call: POSTs where it
    /// is to start an action.
    pub attempts: u32,
    /// Whether a request has left of which nobody knows what became: for calls that can start
    /// no action, whose [`Failure::outcome`] does not tell.
    pub in_doubt: bool,
    named_delay: Option<Duration>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// One wrong field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The field's name in the proto, or the name of a metadata key.
    pub field: &'static str,
    /// What is wrong and what would be right.
    pub description: String,
}

/// What Graph said. Every text is capped and free of control characters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GraphReply {
    /// The HTTP status code.
    pub status: u16,
    /// `error.code`.
    pub code: Option<String>,
    /// The most specific code of the nested `innerError`s.
    pub inner_code: Option<String>,
    /// `error.message`, scrubbed of whatever looks like a token or a URL.
    pub message: Option<String>,
    /// The type of the task's action (`isolateDevice`), if the message names it.
    pub action_type: Option<String>,
    /// Graph's `request-id`.
    pub request_id: Option<String>,
}

// === impl Failure ===

impl Failure {
    /// A failure of the given kind. `message` is for the caller.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            effect: Effect::Action,
            message: message.into().into_boxed_str(),
            violations: Box::default(),
            reply: None,
            claims: None,
            client_request_id: None,
            attempts: 0,
            in_doubt: false,
            named_delay: None,
            source: None,
        }
    }

    /// The request's metadata or fields are malformed: all violations at once.
    pub fn invalid_request(violations: Vec<Violation>) -> Self {
        let listed: Vec<String> = violations
            .iter()
            .map(|violation| format!("{}: {}", violation.field, violation.description))
            .collect();
        let mut failure = Self::new(
            Kind::InvalidRequest,
            format!("the request is malformed: {}", listed.join("; ")),
        );
        failure.violations = violations.into();
        failure
    }

    /// Adds the cause, for the log.
    #[must_use]
    pub fn because(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Adds a claims challenge in base64, for a token request to Entra: the caller's own,
    /// or the gateway's. One that is too long is left out.
    #[must_use]
    pub fn with_claims(mut self, claims: Option<String>) -> Self {
        let is_short = |claims: &String| claims.len() <= MAX_CLAIMS_BYTES;
        self.claims = claims.filter(is_short).map(String::into_boxed_str);
        self
    }

    /// Somebody named the time to wait before the same call may be sent again.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.named_delay = Some(delay);
        self
    }

    /// That of a call which can have this effect, and no other.
    #[must_use]
    pub fn with_effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    /// Whether the very same call may be sent again after a while: the trouble passes, and
    /// nothing was started.
    pub fn may_be_sent_again(&self) -> bool {
        self.kind.may_be_sent_again()
            || (self.effect.is_idempotent() && self.kind.leaves_a_passing_doubt())
    }

    /// How long to wait before the same call may be sent again; nothing unless
    /// [`Failure::may_be_sent_again`], whoever named a time.
    pub fn retry_after(&self) -> Option<Duration> {
        let delay = || self.named_delay.unwrap_or(self.kind.usual_delay());
        self.may_be_sent_again().then(delay)
    }

    /// The wait that somebody named ([`Failure::with_retry_after`]), whatever the kind.
    pub fn named_delay(&self) -> Option<Duration> {
        self.named_delay
    }

    /// Whether the action was started, as far as this call knows.
    pub fn outcome(&self) -> Outcome {
        if self.effect.is_idempotent() {
            Outcome::NotStarted
        } else {
            self.kind.outcome()
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_starts_nothing_may_be_sent_again_where_only_the_answer_is_missing() {
        for kind in Kind::ALL {
            let action = Failure::new(kind, "");
            assert_eq!(action.outcome(), kind.outcome());
            assert_eq!(action.may_be_sent_again(), kind.may_be_sent_again());
            for effect in [Effect::Update, Effect::Nothing] {
                let failure = action.clone().with_effect(effect);
                assert_eq!(failure.outcome(), Outcome::NotStarted, "{kind:?}");
                let passes = matches!(
                    kind,
                    Kind::InternalError | Kind::ServerFault | Kind::ResponseLost
                );
                assert_eq!(
                    failure.may_be_sent_again(),
                    kind.may_be_sent_again() || passes,
                    "{kind:?}"
                );
                assert_eq!(failure.retry_after().is_some(), failure.may_be_sent_again());
            }
        }
    }

    #[test]
    fn claims_that_are_too_long_are_left_out() {
        let with = |length| {
            let claims = Some("Q".repeat(length));
            Failure::new(Kind::InteractionRequired, "").with_claims(claims)
        };
        assert!(with(MAX_CLAIMS_BYTES).claims.is_some());
        assert!(with(MAX_CLAIMS_BYTES + 1).claims.is_none());
    }
}
