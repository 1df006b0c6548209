//! An incident task: what a test sets, what time makes of it, and the resource that Graph shows.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

/// The action types that Graph executes; every other one is refused.
const EXECUTABLE: [&str; 8] = [
    "collectInvestigationPackage",
    "isolateDevice",
    "unRestrictAppExecution",
    "unIsolateDevice",
    "restrictAppExecution",
    "runAntiVirusScan",
    "stopAndQuarantineFile",
    "submitIocRule",
];

/// When each task was created, and last changed before anything happened here.
pub(super) const CREATED: &str = "2023-06-26T19:07:39.7433333Z";
const MODIFIED: &str = "2023-06-27T10:49:33.98Z";

/// A task as a test sees it. In JSON every field may be left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Task {
    /// The id, any string.
    pub id: String,
    /// Graph's `actionType`; free text, so that a type which Graph does not know can be tried.
    pub action_type: String,
    /// Whether the action was started, and how it ended. A task that is put as
    /// `inProgress` stays so.
    pub action_status: ActionStatus,
    /// The state of the task itself.
    pub status: Status,
    /// How the action will end, once it is started here.
    pub action_outcome: ActionOutcome,
    /// The id of the incident that it belongs to.
    pub incident_id: String,
    /// When it was last changed here; not in JSON.
    #[serde(skip)]
    pub modified: Option<SystemTime>,
}

/// Graph's `actionStatus`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ActionStatus {
    /// Nobody has started the action.
    #[default]
    NotStarted,
    /// It runs.
    InProgress,
    /// It ended, and worked in part.
    PartiallyCompleted,
    /// It ended, and worked.
    Completed,
    /// It ended, and did not work.
    Failed,
}

/// Graph's `status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// Nobody has worked on it.
    #[default]
    Open,
    /// Somebody works on it.
    InProgress,
    /// Done.
    Completed,
    /// Done without success; a failed action sets this too.
    Failed,
    /// Dismissed.
    NotRelevant,
}

/// What becomes of an action that was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ActionOutcome {
    /// `completed`, the task's `status` as it was.
    #[default]
    Completes,
    /// `partiallyCompleted`, the task's `status` as it was.
    PartiallyCompletes,
    /// `failed`, and so is the task's `status`.
    Fails,
}

impl Default for Task {
    fn default() -> Task {
        Task::new("")
    }
}

impl Task {
    /// An open `isolateDevice` that was not started and will complete.
    pub fn new(id: impl Into<String>) -> Task {
        Task {
            id: id.into(),
            action_type: "isolateDevice".to_owned(),
            action_status: ActionStatus::default(),
            status: Status::default(),
            action_outcome: ActionOutcome::default(),
            incident_id: "123".to_owned(),
            modified: None,
        }
    }

    /// The tasks of a new sandbox: one that is ready, one unsupported, one already in
    /// progress, one that will fail.
    pub(super) fn seeds() -> [Task; 4] {
        [
            Task::new("213213"),
            Task {
                action_type: "text".to_owned(),
                ..Task::new("213214")
            },
            Task {
                action_status: ActionStatus::InProgress,
                ..Task::new("213215")
            },
            Task {
                action_type: "runAntiVirusScan".to_owned(),
                action_outcome: ActionOutcome::Fails,
                ..Task::new("213216")
            },
        ]
    }

    pub(super) fn is_executable(&self) -> bool {
        EXECUTABLE.contains(&self.action_type.as_str())
    }

    pub(super) fn was_started(&self) -> bool {
        self.action_status != ActionStatus::NotStarted
    }

    /// The task, `since` its action was started here: time is applied when somebody
    /// looks, so no timer runs.
    pub(super) fn seen(&self, started: Option<Instant>, now: Instant, step: Duration) -> Task {
        let mut task = self.clone();
        let Some(started) = started else { return task };
        task.action_status = ActionStatus::InProgress;
        if now.saturating_duration_since(started) >= step {
            task.action_status = match task.action_outcome {
                ActionOutcome::Completes => ActionStatus::Completed,
                ActionOutcome::PartiallyCompletes => ActionStatus::PartiallyCompleted,
                ActionOutcome::Fails => ActionStatus::Failed,
            };
            if task.action_outcome == ActionOutcome::Fails {
                task.status = Status::Failed;
            }
        }
        task
    }

    /// As Graph writes it.
    pub(super) fn last_modified(&self) -> String {
        self.modified.map_or_else(
            || MODIFIED.to_owned(),
            |at| humantime::format_rfc3339_micros(at).to_string(),
        )
    }

    /// The resource as in the sample of Microsoft's page, down to its `source`, which is
    /// no member of the documented enum.
    pub(super) fn resource(&self) -> Value {
        let action_type = &self.action_type;
        let words = words(action_type);
        let mut response_action = json!({
            "@odata.type": format!("#microsoft.graph.security.{action_type}ResponseAction"),
            "identifierValue": "02851525-dc00-438b-83f5-3b2947bf4a48",
        });
        let mut effect = "";
        if action_type == "isolateDevice" {
            response_action["isolationType"] = json!("full");
            effect = " from the network";
        }
        json!({
            "@odata.type": "#microsoft.graph.security.incidentTask",
            "id": self.id,
            "incident": {"@odata.type": "#microsoft.graph.security.incident", "id": self.incident_id},
            "status": self.status,
            "source": "defenderExpertsXDR",
            "displayName": format!("{} testmachine20", capitalized(&words)),
            "description": format!("This action will {words} testmachine20{effect}."),
            "createdDateTime": CREATED,
            "createdByDisplayName": "Defender Experts",
            "lastModifiedDateTime": self.last_modified(),
            "lastModifiedByDisplayName": "bealfasi",
            "actionType": action_type,
            "actionStatus": self.action_status,
            "responseAction": if action_type == "text" { Value::Null } else { response_action },
        })
    }
}

/// `isolateDevice` as `isolate device`.
fn words(action_type: &str) -> String {
    let mut words = String::with_capacity(action_type.len() + 4);
    for letter in action_type.chars() {
        if letter.is_uppercase() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

fn capitalized(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_ends_after_its_step_as_its_outcome_says() {
        let step = Duration::from_secs(5);
        let start = Instant::now();
        for (outcome, ended, status) in [
            (
                ActionOutcome::Completes,
                ActionStatus::Completed,
                Status::Open,
            ),
            (
                ActionOutcome::PartiallyCompletes,
                ActionStatus::PartiallyCompleted,
                Status::Open,
            ),
            (ActionOutcome::Fails, ActionStatus::Failed, Status::Failed),
        ] {
            let task = Task {
                action_outcome: outcome,
                ..Task::new("1")
            };
            assert_eq!(task.seen(None, start + step, step), task);

            let running = task.seen(Some(start), start + step / 2, step);
            assert_eq!(
                (running.action_status, running.status),
                (ActionStatus::InProgress, Status::Open)
            );

            let over = task.seen(Some(start), start + step, step);
            assert_eq!((over.action_status, over.status), (ended, status));
        }
    }

    #[test]
    fn the_resource_is_the_documented_sample() {
        let want: Value = serde_json::from_str(
            r##"{"@odata.type":"#microsoft.graph.security.incidentTask","id":"213213","incident":{"@odata.type":"#microsoft.graph.security.incident","id":"123"},
            "status":"open","source":"defenderExpertsXDR","displayName":"Isolate device testmachine20",
            "description":"This action will isolate device testmachine20 from the network.","createdDateTime":"2023-06-26T19:07:39.7433333Z",
            "createdByDisplayName":"Defender Experts","lastModifiedDateTime":"2023-06-27T10:49:33.98Z","lastModifiedByDisplayName":"bealfasi",
            "actionType":"isolateDevice","actionStatus":"notStarted","responseAction":{"@odata.type":"#microsoft.graph.security.isolateDeviceResponseAction",
            "isolationType":"full","identifierValue":"02851525-dc00-438b-83f5-3b2947bf4a48"}}"##,
        )
        .unwrap();
        assert_eq!(Task::new("213213").resource(), want);
    }
}
