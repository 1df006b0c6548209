//! The incident task as Graph shows it (Graph page "incidentTask resource type"), and the
//! words of its enumerations.

use std::time::SystemTime;

/// A task. What Graph left out, or showed in another form than its page says, is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Task {
    /// Graph's id of it.
    pub id: Option<String>,
    /// The incident that it belongs to.
    pub incident_id: Option<String>,
    /// Its own state, which people set as well.
    pub status: Option<Open<TaskStatus>>,
    /// How far its action is.
    pub action_status: Option<Open<ActionStatus>>,
    /// What its action does.
    pub action_type: Option<Open<ActionType>>,
    /// Where it comes from.
    pub source: Option<Open<Source>>,
    /// Its title.
    pub display_name: Option<String>,
    /// What its action is about.
    pub description: Option<String>,
    /// When it was created.
    pub created_at: Option<SystemTime>,
    /// Who created it.
    pub created_by: Option<String>,
    /// When it was last changed.
    pub updated_at: Option<SystemTime>,
    /// Who changed it last.
    pub updated_by: Option<String>,
    /// What its action is to be done to.
    pub response_action: Option<ResponseAction>,
}

/// What an action is to be done to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResponseAction {
    /// Graph's type of it, as in `#microsoft.graph.security.isolateDeviceResponseAction`.
    pub odata_type: Option<String>,
    /// Which device, file, user or email.
    pub identifier_value: Option<String>,
    /// How far a device is cut off.
    pub isolation_type: Option<Open<IsolationType>>,
}

/// A value of an evolvable enumeration (Graph page "Best practices for working with
/// Microsoft Graph"): Graph may add members at any time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Open<E> {
    /// A member.
    Known(E),
    /// A word that is not known here, as Graph sent it.
    Unknown(Box<str>),
}

/// The members of an enumeration, and Graph's words for them.
pub trait Member: Copy + 'static {
    /// All of them, in the order of Graph's page.
    const ALL: &'static [Self];

    /// Graph's own word.
    fn as_str(self) -> &'static str;
}

macro_rules! members {
    ($(#[doc = $about:literal])+ $Enum:ident { $($(#[doc = $doc:literal])+ $Variant:ident = $word:literal,)+ }) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $Enum {
            $($(#[doc = $doc])+ $Variant,)+
        }

        impl Member for $Enum {
            const ALL: &'static [Self] = &[$(Self::$Variant,)+];

            fn as_str(self) -> &'static str {
                match self {
                    $(Self::$Variant => $word,)+
                }
            }
        }
    };
}

members! {
    /// Graph's `incidentTaskActionStatus`.
    ActionStatus {
        /// Nobody has started the action.
        NotStarted = "notStarted",
        /// It runs.
        InProgress = "inProgress",
        /// A part of it is completed. Graph does not say whether the rest still runs.
        PartiallyCompleted = "partiallyCompleted",
        /// It has ended well.
        Completed = "completed",
        /// It has ended badly.
        Failed = "failed",
    }
}

members! {
    /// Graph's `incidentTaskStatus`: of the task itself, not of its action.
    TaskStatus {
        /// Nobody has worked on it.
        Open = "open",
        /// Somebody works on it.
        InProgress = "inProgress",
        /// It is done.
        Completed = "completed",
        /// It has failed. An action that fails sets this, too.
        Failed = "failed",
        /// It is of no relevance.
        NotRelevant = "notRelevant",
    }
}

members! {
    /// Graph's `incidentTaskActionType`.
    ActionType {
        /// Free text for people.
        Text = "text",
        /// Cuts a device off from the network.
        IsolateDevice = "isolateDevice",
        /// Deletes a file from a device.
        StopAndQuarantineFile = "stopAndQuarantineFile",
        /// Scans a device.
        RunAntiVirusScan = "runAntiVirusScan",
        /// Collects a device's logs.
        CollectInvestigationPackage = "collectInvestigationPackage",
        /// Lets only executables run that Microsoft has signed.
        RestrictAppExecution = "restrictAppExecution",
        /// Submits an indicator of compromise.
        SubmitIocRule = "submitIocRule",
        /// Makes a user reset the password.
        ForceUserPasswordReset = "forceUserPasswordReset",
        /// Keeps a user from logging in.
        DisableUser = "disableUser",
        /// Sets a user's risk level to high.
        MarkUserAsCompromised = "markUserAsCompromised",
        /// Makes a user sign in again.
        RequireSignIn = "requireSignIn",
        /// Deletes an email message.
        HardDeleteEmail = "hardDeleteEmail",
        /// Moves an email message to the deleted items.
        SoftDeleteEmail = "softDeleteEmail",
        /// Takes an isolation back.
        UnIsolateDevice = "unIsolateDevice",
        /// Takes a restriction of executables back.
        UnRestrictAppExecution = "unRestrictAppExecution",
        /// Lets a disabled user log in again.
        EnableUser = "enableUser",
    }
}

members! {
    /// Graph's `incidentTaskSource`.
    Source {
        /// Defender Experts advise it, and the customer is to do it.
        DefenderExpertsGuidedResponse = "defenderExpertsGuidedResponse",
        /// Defender Experts do it.
        DefenderExpertsManagedResponse = "defenderExpertsManagedResponse",
    }
}

members! {
    /// Graph's `isolationType`.
    IsolationType {
        /// From everything but Defender.
        Full = "full",
        /// From all but some applications.
        Selective = "selective",
    }
}

// === impl Task ===

impl Task {
    /// Whether nothing more becomes of its action. That a part is completed is no end by
    /// itself, and neither is what people say of the task while its action runs.
    pub fn is_final(&self) -> bool {
        use ActionStatus::{Completed, Failed, NotStarted, PartiallyCompleted};
        let is_over = matches!(
            self.status.as_ref().and_then(Open::known),
            Some(TaskStatus::Completed | TaskStatus::Failed | TaskStatus::NotRelevant)
        );
        match &self.action_status {
            Some(Open::Known(Completed | Failed)) => true,
            Some(Open::Known(NotStarted | PartiallyCompleted)) | None => is_over,
            // It runs, or nobody here knows what it does.
            Some(Open::Known(ActionStatus::InProgress) | Open::Unknown(_)) => false,
        }
    }

    /// Whether action or task are in another state than in `other`.
    pub fn differs_in_state(&self, other: &Self) -> bool {
        self.action_status != other.action_status || self.status != other.status
    }
}

// === impl ActionStatus ===

impl ActionStatus {
    /// Whether someone has started the action.
    pub fn is_started(self) -> bool {
        self != Self::NotStarted
    }
}

// === impl Open ===

impl<E: Member> Open<E> {
    /// The member with this word, in exactly this spelling.
    pub fn of(word: &str) -> Self {
        let member = E::ALL.iter().find(|member| member.as_str() == word);
        match member {
            Some(member) => Self::Known(*member),
            None => Self::Unknown(word.into()),
        }
    }

    /// The member, if it is one.
    pub fn known(&self) -> Option<E> {
        match self {
            Self::Known(member) => Some(*member),
            Self::Unknown(_) => None,
        }
    }

    /// Graph's own word.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(member) => member.as_str(),
            Self::Unknown(word) => word,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(action: &str, status: &str) -> Task {
        Task {
            action_status: Some(Open::of(action)),
            status: Some(Open::of(status)),
            ..Task::default()
        }
    }

    #[test]
    fn a_word_is_a_member_in_its_own_spelling_only() {
        assert_eq!(
            Open::of("isolateDevice"),
            Open::Known(ActionType::IsolateDevice)
        );
        for word in ["IsolateDevice", "unknownFutureValue", ""] {
            let open = Open::<ActionType>::of(word);
            assert_eq!((open.known(), open.as_str()), (None, word));
        }
    }

    #[test]
    fn an_action_is_at_its_end_when_nothing_more_becomes_of_it() {
        for (action, status, is_final) in [
            ("notStarted", "open", false),
            ("notStarted", "inProgress", false),
            ("inProgress", "open", false),
            ("partiallyCompleted", "inProgress", false),
            ("completed", "open", true),
            ("failed", "failed", true),
            ("failed", "open", true),
            // Nobody will start it.
            ("notStarted", "notRelevant", true),
            ("notStarted", "completed", true),
            ("partiallyCompleted", "completed", true),
            // People say so, and it still runs.
            ("inProgress", "completed", false),
            ("someday", "open", false),
            ("someday", "failed", false),
            ("notStarted", "someday", false),
        ] {
            assert_eq!(
                task(action, status).is_final(),
                is_final,
                "{action} {status}"
            );
        }
        assert!(!Task::default().is_final());
    }

    #[test]
    fn only_the_two_states_tell_tasks_apart() {
        let one = task("inProgress", "open");
        let mut other = one.clone();
        other.description = Some("other".to_owned());
        assert!(!one.differs_in_state(&other));
        assert!(one.differs_in_state(&task("completed", "open")));
        assert!(one.differs_in_state(&task("inProgress", "inProgress")));
        assert!(one.differs_in_state(&task("someday", "open")));
    }
}
