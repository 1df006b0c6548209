//! Who may use which RPC.

use crate::{
    caller::{Caller, Pattern},
    failure::{Failure, Kind},
};

/// Who may do what. Health is open to everybody and has no row here.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Who may start actions.
    pub execute_response_action: Vec<Pattern>,
    /// Who may use reflection.
    pub reflection: Vec<Pattern>,
}

/// What a caller wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rpc {
    /// Start an action.
    ExecuteResponseAction,
    /// Read the service's description.
    Reflection,
}

impl Policy {
    pub(super) fn patterns(&self, rpc: Rpc) -> &[Pattern] {
        match rpc {
            Rpc::ExecuteResponseAction => &self.execute_response_action,
            Rpc::Reflection => &self.reflection,
        }
    }
}

impl Rpc {
    /// As the message for a caller names it.
    const fn what(self) -> &'static str {
        match self {
            Self::ExecuteResponseAction => "call ExecuteResponseAction",
            Self::Reflection => "use reflection",
        }
    }

    /// The key of the configuration that lists who may.
    const fn key(self) -> &'static str {
        match self {
            Self::ExecuteResponseAction => "policy.execute_response_action",
            Self::Reflection => "policy.reflection",
        }
    }
}

/// None of the caller's names is listed. The message tells none: they are the caller's
/// own, but whoever reads an error report may be somebody else.
pub(super) fn refuse_unnamed(caller: &Caller, rpc: Rpc) -> Failure {
    if tracing::enabled!(tracing::Level::DEBUG) {
        let names: Vec<String> = caller.names().iter().map(ToString::to_string).collect();
        tracing::debug!(
            caller = names.join(" "),
            policy = rpc.key(),
            "a caller is not named by the policy"
        );
    }
    Failure::new(
        Kind::CallerNotAllowed,
        format!(
            "you may not {}: this gateway knows who you are, and its `{}` does not name you",
            rpc.what(),
            rpc.key()
        ),
    )
}
