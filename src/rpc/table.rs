//! The status table: what each kind of failure is on the wire. The README's copy
//! is tested against it.

use tonic::Code;

use crate::failure::{Effect, Failure, Kind, Origin};

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// What happened, in the README's words.
    pub when: &'static str,
    /// The gRPC status code.
    pub code: Code,
    /// `ErrorInfo.domain`.
    pub origin: Origin,
    /// Where `ErrorInfo.reason` comes from.
    pub reason: Reason,
    /// The details beside `ErrorInfo`, `RequestInfo` and `RetryInfo`.
    pub extra: Option<Extra>,
}

/// Where `ErrorInfo.reason` comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Always the same.
    Fixed(&'static str),
    /// Graph's `error.code` in `UPPER_SNAKE_CASE`; `HTTP_<status>` without one.
    FromGraphCode,
}

/// A detail message of `google.rpc` that some rows have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extra {
    /// The wrong fields.
    BadRequest,
    /// What would have to be otherwise first.
    PreconditionFailure,
    /// Which quota was hit.
    QuotaFailure,
    /// Which task it is about.
    ResourceInfo,
    /// Where to read on.
    Help,
}

/// The row of a kind.
#[rustfmt::skip] // A table reads by its columns.
pub const fn row(kind: Kind) -> Row {
    use Origin::{Gateway, Graph};
    use Reason::{Fixed, FromGraphCode};
    let (when, code, origin, reason, extra) = match kind {
        Kind::InvalidRequest => ("malformed request", Code::InvalidArgument, Gateway, Fixed("INVALID_REQUEST"), Some(Extra::BadRequest)),
        Kind::CallerUnauthenticated => ("the caller sent no usable credential", Code::Unauthenticated, Gateway, Fixed("CALLER_UNAUTHENTICATED"), None),
        Kind::IssuerUnavailable => ("the keys of the callers' issuer cannot be had, so that nobody can tell who calls", Code::Unavailable, Gateway, Fixed("ISSUER_UNAVAILABLE"), None),
        Kind::CallerNotAllowed => ("the caller may not use this RPC", Code::PermissionDenied, Gateway, Fixed("CALLER_NOT_ALLOWED"), None),
        Kind::AppOnlyToken => ("on behalf of whom? The caller's token is an application's, with no user behind it", Code::PermissionDenied, Gateway, Fixed("APP_ONLY_TOKEN"), None),
        Kind::InteractionRequired => ("Entra wants the user to sign in again before it gives a token on the user's behalf", Code::Unauthenticated, Gateway, Fixed("INTERACTION_REQUIRED"), None),
        Kind::GatewayOverloaded => ("the gateway is at its limit of calls in flight", Code::ResourceExhausted, Gateway, Fixed("GATEWAY_OVERLOADED"), None),
        Kind::GatewayDraining => ("the gateway is shutting down", Code::Unavailable, Gateway, Fixed("GATEWAY_DRAINING"), None),
        Kind::AuditUnavailable => ("the audit log cannot be written", Code::Unavailable, Gateway, Fixed("AUDIT_UNAVAILABLE"), None),
        Kind::UnsupportedActionType => ("400 `UnsupportedActionType`, or message `Currently … is not supported`", Code::FailedPrecondition, Graph, Fixed("UNSUPPORTED_ACTION_TYPE"), Some(Extra::PreconditionFailure)),
        Kind::ActionAlreadyInProgress => ("400 `ActionAlreadyInProgress`, or message `… already in progress`", Code::AlreadyExists, Graph, Fixed("ACTION_ALREADY_IN_PROGRESS"), Some(Extra::ResourceInfo)),
        Kind::InvalidTaskId => ("400 about the task id", Code::InvalidArgument, Graph, FromGraphCode, Some(Extra::BadRequest)),
        Kind::GraphApiNotFound => ("400 `Resource not found for the segment …`", Code::Unimplemented, Graph, Fixed("GRAPH_API_NOT_FOUND"), Some(Extra::Help)),
        Kind::BadRequest => ("any other 400, and 422", Code::InvalidArgument, Graph, FromGraphCode, None),
        Kind::CallerTokenRejected => ("401 to the caller's own token", Code::Unauthenticated, Graph, FromGraphCode, None),
        Kind::GatewayCredentialRejected => ("401 to the gateway's token, after one renewal; or Entra refuses the gateway's own credential", Code::Internal, Gateway, Fixed("GATEWAY_CREDENTIAL_REJECTED"), None),
        Kind::CredentialUnavailable => ("no token for Graph can be had now: Entra is unreachable, slow, throttles, or answers with a fault", Code::Unavailable, Gateway, Fixed("CREDENTIAL_UNAVAILABLE"), None),
        Kind::Forbidden => ("403", Code::PermissionDenied, Graph, FromGraphCode, None),
        Kind::NotFound => ("404, 410", Code::NotFound, Graph, FromGraphCode, Some(Extra::ResourceInfo)),
        Kind::UnexpectedReply => ("3xx, and 4xx not named here (405, 406, 411, 413, 415, …)", Code::Internal, Gateway, Fixed("UNEXPECTED_GRAPH_RESPONSE"), None),
        Kind::UnreadableReply => ("2xx with a body that is not JSON, or is an error", Code::Unknown, Gateway, Fixed("UNEXPECTED_GRAPH_RESPONSE"), None),
        Kind::Conflict => ("409", Code::Aborted, Graph, FromGraphCode, None),
        Kind::PreconditionFailed => ("412, 423", Code::FailedPrecondition, Graph, FromGraphCode, None),
        Kind::Throttled => ("429", Code::ResourceExhausted, Graph, Fixed("GRAPH_THROTTLED"), Some(Extra::QuotaFailure)),
        Kind::Unavailable => ("503 with `Retry-After`", Code::Unavailable, Graph, Fixed("GRAPH_UNAVAILABLE"), None),
        Kind::QuotaExhausted => ("507, 509", Code::ResourceExhausted, Graph, FromGraphCode, None),
        Kind::NotImplemented => ("501", Code::Unimplemented, Graph, FromGraphCode, None),
        Kind::Unreachable => ("no connection to Graph (DNS, TCP, TLS), so nothing was sent, or HTTP/2 refused the request unprocessed (`REFUSED_STREAM`, GOAWAY)", Code::Unavailable, Gateway, Fixed("GRAPH_UNREACHABLE"), None),
        Kind::InternalError => ("500", Code::Internal, Graph, FromGraphCode, None),
        Kind::ServerFault => ("503 without `Retry-After`, 408, 502, 504, other 5xx, statuses that are not registered", Code::Unknown, Graph, FromGraphCode, None),
        Kind::ResponseLost => ("connection lost, timed out or garbled after the request left", Code::Unknown, Gateway, Fixed("GRAPH_RESPONSE_LOST"), None),
        Kind::DeadlineBeforeSend => ("deadline, before the request left", Code::DeadlineExceeded, Gateway, Fixed("DEADLINE_EXCEEDED"), None),
        Kind::DeadlineAfterSend => ("deadline, after the request left", Code::DeadlineExceeded, Gateway, Fixed("DEADLINE_EXCEEDED"), None),
        Kind::GatewayFault => ("a fault of the gateway itself", Code::Internal, Gateway, Fixed("GATEWAY_FAULT"), None),
    };
    Row { when, code, origin, reason, extra }
}

/// The code of a failure of this kind. Where only the answer to an idempotent call was
/// lost, the call is to be sent again, and UNAVAILABLE is what client libraries, proxies
/// and people do that for.
pub const fn code(kind: Kind, effect: Effect) -> Code {
    let is_lost = matches!(kind, Kind::ServerFault | Kind::ResponseLost);
    if is_lost && effect.is_idempotent() {
        Code::Unavailable
    } else {
        row(kind).code
    }
}

/// The table in Markdown, as the README shows it.
pub fn reference() -> String {
    let mut text = "| what happened | code | reason (domain) | actionOutcome | further details |\n|---|---|---|---|---|\n".to_owned();
    for kind in Kind::ALL {
        let row = row(kind);
        let reason = match row.reason {
            Reason::Fixed(reason) => format!("`{reason}`"),
            Reason::FromGraphCode => "from Graph's code".to_owned(),
        };
        let retry = kind.may_be_sent_again().then(|| "RetryInfo".to_owned());
        let extra = row.extra.map(|extra| format!("{extra:?}"));
        let details: Vec<String> = retry.into_iter().chain(extra).collect();
        let cells = [
            row.when.to_owned(),
            super::status::code_name(row.code).to_owned(),
            format!("{reason} ({})", row.origin.domain()),
            kind.outcome().as_str().to_owned(),
            details.join(", "),
        ];
        text.push_str("| ");
        text.push_str(&cells.join(" | "));
        text.push_str(" |\n");
    }
    text
}

/// What is different for calls that can start nothing, in Markdown, as the README shows it.
pub fn idempotent_reference() -> String {
    let mut text = "| what happened | code | further details |\n|---|---|---|\n".to_owned();
    for kind in Kind::ALL {
        let failure = Failure::new(kind, "").with_effect(Effect::Nothing);
        if failure.may_be_sent_again() == kind.may_be_sent_again() {
            continue;
        }
        let (when, code) = (row(kind).when, code(kind, Effect::Nothing));
        let name = super::status::code_name(code);
        text.extend(["| ", when, " | ", name, " | RetryInfo |\n"]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Outcome;

    #[test]
    fn an_unknown_outcome_is_never_a_code_that_meshes_replay() {
        for kind in Kind::ALL {
            let code = row(kind).code;
            assert_ne!(code, Code::Cancelled, "{kind:?}");
            assert_ne!(code, Code::Ok, "{kind:?}");
            if kind.outcome() == Outcome::Unknown {
                assert_ne!(code, Code::Unavailable, "{kind:?}");
            }
        }
    }

    #[test]
    fn only_what_may_be_sent_again_has_another_code_where_nothing_can_be_started() {
        for kind in Kind::ALL {
            for effect in [Effect::Update, Effect::Nothing] {
                let failure = Failure::new(kind, "").with_effect(effect);
                let (usual, code) = (row(kind).code, code(kind, effect));
                assert_eq!(code, super::code(kind, Effect::Nothing), "{kind:?}");
                if code != usual {
                    assert_eq!(code, Code::Unavailable, "{kind:?}");
                    assert!(failure.may_be_sent_again(), "{kind:?}");
                }
            }
            assert_eq!(code(kind, Effect::Action), row(kind).code, "{kind:?}");
        }
    }

    #[test]
    fn fixed_reasons_have_the_form_that_aip_193_asks_for() {
        for kind in Kind::ALL {
            if let Reason::Fixed(reason) = row(kind).reason {
                assert!(reason.len() <= 63 && reason.len() >= 3);
                assert!(reason.starts_with(|c: char| c.is_ascii_uppercase()));
                assert!(
                    reason
                        .bytes()
                        .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
                );
            }
        }
    }
}
