//! The two wordings of Graph's refusals.

use super::verdict::Verdict;

/// Which version of the documentation the refusals follow. Nobody has seen the wire, so a
/// client must read both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// The first draft of the page: a code of its own for each refusal.
    #[default]
    Draft,
    /// The published page, which gives messages only; `BadRequest` is the code that Graph
    /// uses in such cases.
    Published,
}

impl Dialect {
    /// The answer to an action of a type that nobody can automate.
    pub(super) fn unsupported(self, action_type: &str) -> Verdict {
        match self {
            Dialect::Draft => Verdict::error(
                400,
                "UnsupportedActionType",
                format!("Action type '{action_type}' is not supported for automated execution."),
            ),
            Dialect::Published => Verdict::error(
                400,
                "BadRequest",
                format!("Currently {action_type} is not supported"),
            ),
        }
    }

    /// The answer to an action that was ever started, whether or not it has ended.
    pub(super) fn already_started(self) -> Verdict {
        let code = match self {
            Dialect::Draft => "ActionAlreadyInProgress",
            Dialect::Published => "BadRequest",
        };
        Verdict::error(400, code, "Response action is already in progress.")
    }
}
