//! A task as it is printed: in Graph's words for people, in the proto's names as JSON.

use std::fmt;

use serde::Serialize;

use super::said::write_line;
use crate::{pb, scan};

/// A task as a JSON object. What Graph did not show is left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sight {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) incident_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<&'static str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    unknown_status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) action_status: Option<&'static str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    unknown_action_status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    action_type: Option<&'static str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    unknown_action_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'static str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    unknown_source: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) display_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_time: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    created_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) update_time: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    updated_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_action: Option<Target>,
}

/// What an action is to be done to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    #[serde(skip_serializing_if = "String::is_empty")]
    odata_type: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    identifier_value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    isolation_type: Option<&'static str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    unknown_isolation_type: String,
}

// === impl Sight ===

impl Sight {
    pub(super) fn of(task: pb::IncidentTask) -> Self {
        Self {
            status: known(task.status().as_str_name(), "INCIDENT_TASK_STATUS_"),
            action_status: known(task.action_status().as_str_name(), "ACTION_STATUS_"),
            action_type: known(task.action_type().as_str_name(), "ACTION_TYPE_"),
            source: known(task.source().as_str_name(), "INCIDENT_TASK_SOURCE_"),
            create_time: task.create_time.map(|time| time.to_string()),
            update_time: task.update_time.map(|time| time.to_string()),
            response_action: task.response_action.map(|action| Target {
                isolation_type: known(action.isolation_type().as_str_name(), "ISOLATION_TYPE_"),
                odata_type: action.odata_type,
                identifier_value: action.identifier_value,
                unknown_isolation_type: action.unknown_isolation_type,
            }),
            id: task.id,
            incident_id: task.incident_id,
            unknown_status: task.unknown_status,
            unknown_action_status: task.unknown_action_status,
            unknown_action_type: task.unknown_action_type,
            unknown_source: task.unknown_source,
            display_name: task.display_name,
            description: task.description,
            created_by: task.created_by,
            updated_by: task.updated_by,
        }
    }

    /// How far the action is, in Graph's own word.
    pub(super) fn action_status_word(&self) -> String {
        word(self.action_status, &self.unknown_action_status)
    }

    /// The state of the task itself, in Graph's own word.
    pub(super) fn status_word(&self) -> String {
        word(self.status, &self.unknown_status)
    }

    /// What the action does, in Graph's own word.
    pub(super) fn action_type_word(&self) -> String {
        word(self.action_type, &self.unknown_action_type)
    }

    /// Where the task comes from, in Graph's own word.
    fn source_word(&self) -> String {
        word(self.source, &self.unknown_source)
    }

    /// Whether the two show the same state.
    pub(super) fn is_in_the_state_of(&self, other: &Self) -> bool {
        self.action_status_word() == other.action_status_word()
            && self.status_word() == other.status_word()
    }
}

impl fmt::Display for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.display_name.is_empty() {
            "-"
        } else {
            &self.display_name
        };
        f.write_str(&name.replace(scan::steers, " "))?;
        let (action_status, status) = (self.action_status_word(), self.status_word());
        let (action_type, source) = (self.action_type_word(), self.source_word());
        let target = self.response_action.as_ref();
        let lines = [
            ("id", &*self.id),
            ("actionStatus", &action_status),
            ("status", &status),
            ("actionType", &action_type),
            ("incident", &self.incident_id),
            ("source", &source),
            ("description", &self.description),
            (
                "target",
                target.map_or("", |target| &target.identifier_value),
            ),
            ("created", self.create_time.as_deref().unwrap_or_default()),
            ("created by", &self.created_by),
            ("updated", self.update_time.as_deref().unwrap_or_default()),
            ("updated by", &self.updated_by),
        ];
        for (label, value) in lines.into_iter().filter(|(_, value)| !value.is_empty()) {
            write_line(f, label, value)?;
        }
        Ok(())
    }
}

/// The name without the prefix that the enum's values have in common.
fn known(name: &'static str, prefix: &str) -> Option<&'static str> {
    let name = name.strip_prefix(prefix)?;
    (name != "UNSPECIFIED").then_some(name)
}

/// Graph's word: `IN_PROGRESS` is `inProgress`; and what is not known here is as it came.
fn word(name: Option<&'static str>, unknown: &str) -> String {
    match name {
        _ if !unknown.is_empty() => unknown.to_owned(),
        Some(name) => camel(name),
        None => "-".to_owned(),
    }
}

fn camel(name: &str) -> String {
    let mut word = String::with_capacity(name.len());
    for (n, part) in name.split('_').enumerate() {
        let lower = part.to_ascii_lowercase();
        if n == 0 {
            word.push_str(&lower);
        } else {
            let (first, rest) = lower.split_at(1.min(lower.len()));
            word.push_str(&first.to_ascii_uppercase());
            word.push_str(rest);
        }
    }
    word
}

/// The proto's name of one of Graph's words: `inProgress` is `IN_PROGRESS`.
pub(super) fn name_of(word: &str) -> String {
    word.chars()
        .flat_map(|c| {
            let gap = c.is_ascii_uppercase().then_some('_');
            gap.into_iter().chain([c.to_ascii_uppercase()])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{ActionStatus, ActionType, Member, TaskStatus};

    #[test]
    fn names_are_graphs_words_and_back() {
        fn each<E: Member>() {
            for member in E::ALL {
                assert_eq!(camel(&name_of(member.as_str())), member.as_str());
            }
        }
        each::<ActionStatus>();
        each::<ActionType>();
        each::<TaskStatus>();
        assert_eq!(name_of("runAntiVirusScan"), "RUN_ANTI_VIRUS_SCAN");
    }

    #[test]
    fn a_word_that_is_not_known_is_shown_as_it_came() {
        let mut task = pb::IncidentTask::default();
        assert_eq!(Sight::of(task.clone()).action_status_word(), "-");
        task.set_action_status(pb::ActionStatus::UnknownFutureValue);
        task.unknown_action_status = "queued".to_owned();
        let sight = Sight::of(task);
        assert_eq!(sight.action_status_word(), "queued");
        let json = serde_json::to_value(&sight).unwrap();
        let want = serde_json::json!({
            "actionStatus": "UNKNOWN_FUTURE_VALUE",
            "unknownActionStatus": "queued",
        });
        assert_eq!(json, want);
    }
}
