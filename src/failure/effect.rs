//! What a call can do.

/// What a call may have done by the time it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Started a task's action.
    Action,
    /// Set a task's status. To set it again changes nothing.
    Update,
    /// Nothing: it reads.
    Nothing,
}

impl Effect {
    /// Whether the call may be made again whatever became of it (RFC 9110, section 9.2.2).
    pub const fn is_idempotent(self) -> bool {
        matches!(self, Self::Update | Self::Nothing)
    }

    /// What may have happened where the answer is missing, as a part of a sentence.
    pub const fn doubt(self) -> Option<&'static str> {
        match self {
            Self::Action => Some("the action may have been started"),
            Self::Update => Some("the status may have been set"),
            Self::Nothing => None,
        }
    }
}
