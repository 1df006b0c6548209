//! A task as the proto has it.

use std::time::SystemTime;

use prost_types::Timestamp;

use crate::{
    pb,
    task::{
        ActionStatus, ActionType, IsolationType, Member as _, Open, ResponseAction, Source, Task,
        TaskStatus,
    },
};

/// An enumeration here, and its enum in the proto.
trait Wire: Sized {
    type Pb: Into<i32>;
    const UNSPECIFIED: Self::Pb;
    const UNKNOWN: Self::Pb;

    fn wire(self) -> Self::Pb;

    fn unwire(pb: Self::Pb) -> Option<Self>;
}

macro_rules! wire {
    ($Enum:ident, $Pb:ident { $($Variant:ident),+ $(,)? }) => {
        impl Wire for $Enum {
            type Pb = pb::$Pb;
            const UNSPECIFIED: pb::$Pb = pb::$Pb::Unspecified;
            const UNKNOWN: pb::$Pb = pb::$Pb::UnknownFutureValue;

            fn wire(self) -> pb::$Pb {
                match self {
                    $(Self::$Variant => pb::$Pb::$Variant,)+
                }
            }

            fn unwire(pb: pb::$Pb) -> Option<Self> {
                match pb {
                    $(pb::$Pb::$Variant => Some(Self::$Variant),)+
                    pb::$Pb::Unspecified | pb::$Pb::UnknownFutureValue => None,
                }
            }
        }
    };
}

wire!(
    ActionStatus,
    ActionStatus {
        NotStarted,
        InProgress,
        PartiallyCompleted,
        Completed,
        Failed,
    }
);
wire!(
    TaskStatus,
    IncidentTaskStatus {
        Open,
        InProgress,
        Completed,
        Failed,
        NotRelevant,
    }
);
wire!(
    Source,
    IncidentTaskSource {
        DefenderExpertsGuidedResponse,
        DefenderExpertsManagedResponse,
    }
);
wire!(IsolationType, IsolationType { Full, Selective });
wire!(
    ActionType,
    ActionType {
        Text,
        IsolateDevice,
        StopAndQuarantineFile,
        RunAntiVirusScan,
        CollectInvestigationPackage,
        RestrictAppExecution,
        SubmitIocRule,
        ForceUserPasswordReset,
        DisableUser,
        MarkUserAsCompromised,
        RequireSignIn,
        HardDeleteEmail,
        SoftDeleteEmail,
        UnIsolateDevice,
        UnRestrictAppExecution,
        EnableUser,
    }
);

/// The number on the wire, and the word beside it where it is not known.
fn open<E: Wire>(value: Option<Open<E>>) -> (i32, String) {
    match value {
        None => (E::UNSPECIFIED.into(), String::new()),
        Some(Open::Known(member)) => (member.wire().into(), String::new()),
        Some(Open::Unknown(word)) => (E::UNKNOWN.into(), word.into()),
    }
}

/// Where only what is known comes.
pub(super) fn action_status(status: ActionStatus) -> pb::ActionStatus {
    status.wire()
}

/// A status that a caller has asked for; nothing if there is no such one.
pub(super) fn status_of(number: i32) -> Option<TaskStatus> {
    TaskStatus::unwire(number.try_into().ok()?)
}

/// The same for an action's type.
pub(super) fn action_type_of(number: i32) -> Option<ActionType> {
    ActionType::unwire(number.try_into().ok()?)
}

/// The statuses that can be asked for, by name.
pub(super) fn status_names() -> String {
    let name = |status: &TaskStatus| status.wire().as_str_name();
    names(TaskStatus::ALL.iter().map(name), "INCIDENT_TASK_STATUS_")
}

/// The same for types of actions.
pub(super) fn action_type_names() -> String {
    let name = |action_type: &ActionType| action_type.wire().as_str_name();
    names(ActionType::ALL.iter().map(name), "ACTION_TYPE_")
}

fn names<'a>(all: impl Iterator<Item = &'a str>, prefix: &str) -> String {
    let names: Vec<_> = all.filter_map(|name| name.strip_prefix(prefix)).collect();
    names.join(", ")
}

/// The whole task.
pub(super) fn task(task: Task) -> pb::IncidentTask {
    let (status, unknown_status) = open(task.status);
    let (action_status, unknown_action_status) = open(task.action_status);
    let (action_type, unknown_action_type) = open(task.action_type);
    let (source, unknown_source) = open(task.source);
    pb::IncidentTask {
        id: task.id.unwrap_or_default(),
        incident_id: task.incident_id.unwrap_or_default(),
        status,
        action_status,
        action_type,
        source,
        display_name: task.display_name.unwrap_or_default(),
        description: task.description.unwrap_or_default(),
        create_time: task.created_at.map(timestamp),
        created_by: task.created_by.unwrap_or_default(),
        update_time: task.updated_at.map(timestamp),
        updated_by: task.updated_by.unwrap_or_default(),
        response_action: task.response_action.map(response_action),
        unknown_status,
        unknown_action_status,
        unknown_action_type,
        unknown_source,
    }
}

/// A moment.
pub(super) fn timestamp(moment: SystemTime) -> Timestamp {
    moment.into()
}

fn response_action(action: ResponseAction) -> pb::ResponseAction {
    let (isolation_type, unknown_isolation_type) = open(action.isolation_type);
    pb::ResponseAction {
        odata_type: action.odata_type.unwrap_or_default(),
        identifier_value: action.identifier_value.unwrap_or_default(),
        isolation_type,
        unknown_isolation_type,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Member;

    /// Graph's word in the proto's spelling: `stopAndQuarantineFile` as
    /// `STOP_AND_QUARANTINE_FILE`.
    fn name(word: &str) -> String {
        word.chars()
            .flat_map(|c| {
                let gap = c.is_uppercase().then_some('_');
                gap.into_iter().chain(c.to_uppercase())
            })
            .collect()
    }

    fn each_has_its_name<E: Wire + Member>(
        prefix: &str,
        as_str_name: impl Fn(E::Pb) -> &'static str,
    ) {
        for member in E::ALL {
            let want = format!("{prefix}_{}", name(member.as_str()));
            assert_eq!(as_str_name(member.wire()), want);
            let again = E::unwire(member.wire()).unwrap();
            assert_eq!(again.as_str(), member.as_str());
        }
        assert!(E::unwire(E::UNSPECIFIED).is_none() && E::unwire(E::UNKNOWN).is_none());
        let unknown = as_str_name(E::UNKNOWN);
        assert_eq!(unknown, format!("{prefix}_UNKNOWN_FUTURE_VALUE"));
        assert_eq!(as_str_name(E::UNSPECIFIED), format!("{prefix}_UNSPECIFIED"));
    }

    #[test]
    fn every_word_of_graphs_has_its_name_in_the_proto() {
        each_has_its_name::<ActionStatus>("ACTION_STATUS", |pb| pb.as_str_name());
        each_has_its_name::<TaskStatus>("INCIDENT_TASK_STATUS", |pb| pb.as_str_name());
        each_has_its_name::<ActionType>("ACTION_TYPE", |pb| pb.as_str_name());
        each_has_its_name::<Source>("INCIDENT_TASK_SOURCE", |pb| pb.as_str_name());
        each_has_its_name::<IsolationType>("ISOLATION_TYPE", |pb| pb.as_str_name());
    }

    #[test]
    fn a_word_that_is_not_known_is_kept() {
        let unknown = |word: &str| Some(Open::Unknown(word.into()));
        let shown = task(Task {
            status: Some(Open::of("paused")),
            action_status: Some(Open::of("queued")),
            action_type: Some(Open::of("wipeDevice")),
            source: Some(Open::of("defenderExpertsXDR")),
            response_action: Some(ResponseAction {
                isolation_type: Some(Open::of("unManagedDevice")),
                ..ResponseAction::default()
            }),
            ..Task::default()
        });
        assert_eq!(shown.status(), pb::IncidentTaskStatus::UnknownFutureValue);
        assert_eq!(shown.action_status(), pb::ActionStatus::UnknownFutureValue);
        assert_eq!(shown.action_type(), pb::ActionType::UnknownFutureValue);
        assert_eq!(shown.source(), pb::IncidentTaskSource::UnknownFutureValue);
        let words = [
            &shown.unknown_status,
            &shown.unknown_action_status,
            &shown.unknown_action_type,
            &shown.unknown_source,
        ];
        assert_eq!(
            words,
            ["paused", "queued", "wipeDevice", "defenderExpertsXDR"]
        );
        let action = shown.response_action.unwrap();
        assert_eq!(
            action.isolation_type(),
            pb::IsolationType::UnknownFutureValue
        );
        assert_eq!(action.unknown_isolation_type, "unManagedDevice");
        assert_eq!(open::<Source>(unknown("x")).1, "x");
    }

    #[test]
    fn a_task_that_shows_nothing_is_an_empty_message() {
        assert_eq!(task(Task::default()), pb::IncidentTask::default());
    }

    #[test]
    fn numbers_that_nobody_can_ask_for_are_none() {
        for number in [-1, 0, 6, 7, 99] {
            assert_eq!(status_of(number), None, "{number}");
        }
        assert_eq!(
            status_names(),
            "OPEN, IN_PROGRESS, COMPLETED, FAILED, NOT_RELEVANT"
        );
        assert!(action_type_names().ends_with("UN_RESTRICT_APP_EXECUTION, ENABLE_USER"));
        assert_eq!(status_of(5), Some(TaskStatus::NotRelevant));
        assert_eq!(action_type_of(17), None);
        assert_eq!(action_type_of(16), Some(ActionType::EnableUser));
    }
}
