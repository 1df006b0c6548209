//! What can happen to a call, and what follows from it for the promise.

use std::time::Duration;

/// The answer to "was the action started?" when a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// This call did not start it.
    NotStarted,
    /// This call did not start it, since it had been started before.
    AlreadyStarted,
    /// It may have been started; nobody can tell from here.
    Unknown,
}

/// Who said it: the `domain` of `ErrorInfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Microsoft Graph answered so.
    Graph,
    /// The gateway found it.
    Gateway,
}

/// One row of the status table (README, "Errors"). A kind fixes the outcome, so
/// that no code path can claim another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request's fields or metadata are malformed.
    InvalidRequest,
    /// The caller sent no usable credential.
    CallerUnauthenticated,
    /// Who calls cannot be verified now: the issuer's keys cannot be had.
    IssuerUnavailable,
    /// The caller may not use this RPC.
    CallerNotAllowed,
    /// No user stands behind the caller's token, where one has to.
    AppOnlyToken,
    /// Entra wants something of the user before it gives a token on the user's behalf.
    InteractionRequired,
    /// The gateway is at its limit of calls in flight.
    GatewayOverloaded,
    /// The gateway is shutting down.
    GatewayDraining,
    /// The audit log cannot be written.
    AuditUnavailable,
    /// 400: this type of action cannot be started by the API.
    UnsupportedActionType,
    /// 400: the action has been started before.
    ActionAlreadyInProgress,
    /// 400: Graph refused the task id.
    InvalidTaskId,
    /// 400: Graph does not know the API itself, as when beta removed it.
    GraphApiNotFound,
    /// Any other 400, and 422.
    BadRequest,
    /// 401 to the caller's own token.
    CallerTokenRejected,
    /// 401 to the gateway's token, or Entra gives none to this gateway.
    GatewayCredentialRejected,
    /// No token for Graph can be had now.
    CredentialUnavailable,
    /// 403.
    Forbidden,
    /// 404 and 410.
    NotFound,
    /// 3xx and those 4xx that say that the gateway asked wrongly.
    UnexpectedReply,
    /// 2xx with a body that is not JSON, or is an error: not Graph's own answer.
    UnreadableReply,
    /// 409.
    Conflict,
    /// 412 and 423.
    PreconditionFailed,
    /// 429.
    Throttled,
    /// 503 with `Retry-After`: Graph itself refused.
    Unavailable,
    /// 507 and 509.
    QuotaExhausted,
    /// 501.
    NotImplemented,
    /// No connection: DNS, TCP or TLS failed, or the request never left; or HTTP/2
    /// refused it unprocessed.
    Unreachable,
    /// 500.
    InternalError,
    /// 503 without `Retry-After`, 408, 502, 504, and every status that is not
    /// registered: it may come from a proxy that had passed the request on.
    ServerFault,
    /// The connection broke, timed out or carried garbage after the request left.
    ResponseLost,
    /// The deadline passed before the request left.
    DeadlineBeforeSend,
    /// The deadline passed after the request left.
    DeadlineAfterSend,
    /// A bug of the gateway: a panic while the call was handled.
    GatewayFault,
}

// === impl Outcome ===

impl Outcome {
    /// The stable label: `actionOutcome` in `ErrorInfo.metadata`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotStarted => "NOT_STARTED",
            Self::AlreadyStarted => "ALREADY_STARTED",
            Self::Unknown => "UNKNOWN",
        }
    }
}

// === impl Origin ===

impl Origin {
    /// `ErrorInfo.domain`.
    pub const fn domain(self) -> &'static str {
        match self {
            Self::Graph => "graph.microsoft.com",
            Self::Gateway => "incidentgate",
        }
    }
}

// === impl Kind ===

impl Kind {
    /// Every kind, in the order of the status table.
    pub const ALL: [Self; 34] = [
        Self::InvalidRequest,
        Self::CallerUnauthenticated,
        Self::IssuerUnavailable,
        Self::CallerNotAllowed,
        Self::AppOnlyToken,
        Self::InteractionRequired,
        Self::GatewayOverloaded,
        Self::GatewayDraining,
        Self::AuditUnavailable,
        Self::UnsupportedActionType,
        Self::ActionAlreadyInProgress,
        Self::InvalidTaskId,
        Self::GraphApiNotFound,
        Self::BadRequest,
        Self::CallerTokenRejected,
        Self::GatewayCredentialRejected,
        Self::CredentialUnavailable,
        Self::Forbidden,
        Self::NotFound,
        Self::UnexpectedReply,
        Self::UnreadableReply,
        Self::Conflict,
        Self::PreconditionFailed,
        Self::Throttled,
        Self::Unavailable,
        Self::QuotaExhausted,
        Self::NotImplemented,
        Self::Unreachable,
        Self::InternalError,
        Self::ServerFault,
        Self::ResponseLost,
        Self::DeadlineBeforeSend,
        Self::DeadlineAfterSend,
        Self::GatewayFault,
    ];

    /// Whether the action was started.
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::InvalidRequest
            | Self::CallerUnauthenticated
            | Self::IssuerUnavailable
            | Self::CallerNotAllowed
            | Self::AppOnlyToken
            | Self::InteractionRequired
            | Self::GatewayOverloaded
            | Self::GatewayDraining
            | Self::AuditUnavailable
            | Self::UnsupportedActionType
            | Self::InvalidTaskId
            | Self::GraphApiNotFound
            | Self::BadRequest
            | Self::CallerTokenRejected
            | Self::GatewayCredentialRejected
            | Self::CredentialUnavailable
            | Self::Forbidden
            | Self::NotFound
            | Self::UnexpectedReply
            | Self::Conflict
            | Self::PreconditionFailed
            | Self::Throttled
            | Self::Unavailable
            | Self::QuotaExhausted
            | Self::NotImplemented
            | Self::Unreachable
            | Self::DeadlineBeforeSend => Outcome::NotStarted,
            Self::ActionAlreadyInProgress => Outcome::AlreadyStarted,
            Self::UnreadableReply
            | Self::InternalError
            | Self::ServerFault
            | Self::ResponseLost
            | Self::DeadlineAfterSend
            | Self::GatewayFault => Outcome::Unknown,
        }
    }

    /// Whether the very same call may be sent again after a while: the trouble
    /// passes, and nothing was started.
    pub const fn may_be_sent_again(self) -> bool {
        matches!(
            self,
            Self::IssuerUnavailable
                | Self::GatewayOverloaded
                | Self::GatewayDraining
                | Self::AuditUnavailable
                | Self::CredentialUnavailable
                | Self::Throttled
                | Self::Unavailable
                | Self::Unreachable
        )
    }

    /// Whether nobody knows what became of the request, and the same one may well succeed.
    pub const fn leaves_a_passing_doubt(self) -> bool {
        matches!(
            self,
            Self::InternalError | Self::ServerFault | Self::ResponseLost
        )
    }

    /// Whether Graph has refused the token that it was shown.
    pub const fn refuses_token(self) -> bool {
        matches!(
            self,
            Self::CallerTokenRejected | Self::GatewayCredentialRejected
        )
    }

    /// How long to wait where nobody named a time. Graph's guidance without
    /// `Retry-After` is to back off (10 s is the figure of its own sample for
    /// 429); another replica or a new connection may be tried after a second.
    pub const fn usual_delay(self) -> Duration {
        Duration::from_secs(if matches!(self, Self::Throttled | Self::Unavailable) {
            10
        } else {
            1
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn all_lists_every_kind_once() {
        let distinct: HashSet<Kind> = Kind::ALL.into_iter().collect();
        assert_eq!(distinct.len(), Kind::ALL.len());
        // The last variant's discriminant counts the variants.
        assert_eq!(Kind::GatewayFault as usize + 1, Kind::ALL.len());
    }

    #[test]
    fn only_what_was_not_started_may_be_sent_again() {
        for kind in Kind::ALL {
            if kind.may_be_sent_again() {
                assert_eq!(kind.outcome(), Outcome::NotStarted, "{kind:?}");
            }
        }
    }
}
