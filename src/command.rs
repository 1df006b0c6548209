//! What a caller asks for, validated.

mod list;
mod page;

use uuid::Uuid;

pub use self::{
    list::{ListTasks, MAX_PAGE_SIZE, Order, TimeRange},
    page::Page,
};
use crate::task::TaskStatus;

/// The longest task id in bytes. Graph documents none; its ids are GUIDs or
/// short numbers, so 256 is generous and still bounds the URL.
const MAX_TASK_ID_BYTES: usize = 256;

/// What is asked for, and the id that marks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command<W = ExecuteAction> {
    /// What is asked for.
    pub what: W,
    /// The id that marks the call in Graph's logs.
    pub client_request_id: ClientRequestId,
}

/// Start one task's action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecuteAction {
    /// The task.
    pub task_id: TaskId,
}

/// Read one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetTask {
    /// The task.
    pub task_id: TaskId,
}

/// Set one task's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateTask {
    /// The task.
    pub task_id: TaskId,
    /// Its new status.
    pub status: TaskStatus,
}

/// The id of an incident task: 1 to 256 bytes without control characters, and
/// neither `.` nor `..`, which URL parsers fold even when percent-encoded.
///
/// It is not checked to be a GUID: the documentation says GUID and shows `213213`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TaskId(String);

/// A GUID in the form `a2f0b4a6-7d3c-4c5e-9a52-0f6f2f6d9d11`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientRequestId(String);

// === impl TaskId ===

impl TaskId {
    /// Takes the id as it is; the error says what is wrong and what would be right.
    pub fn parse(id: String) -> Result<Self, String> {
        if id.is_empty() {
            Err("must not be empty; send the task's id as Graph shows it".to_owned())
        } else if id.len() > MAX_TASK_ID_BYTES {
            Err(format!(
                "is {} bytes long; at most {MAX_TASK_ID_BYTES} are allowed",
                id.len()
            ))
        } else if id.chars().any(char::is_control) {
            Err("must not contain control characters".to_owned())
        } else if id == "." || id == ".." {
            Err("must not be a relative path segment".to_owned())
        } else {
            Ok(Self(id))
        }
    }

    /// The id as the caller sent it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// === impl ClientRequestId ===

impl ClientRequestId {
    /// Takes the caller's GUID, or makes one where it is empty.
    pub fn parse_or_new(id: String) -> Result<Self, String> {
        if id.is_empty() {
            return Ok(Self::random());
        }
        // `Uuid` also reads the braced, the URN and the bare form; Graph takes this one.
        if id.len() == 36 && Uuid::try_parse(&id).is_ok() {
            Ok(Self(id))
        } else {
            Err("must be empty or a GUID such as a2f0b4a6-7d3c-4c5e-9a52-0f6f2f6d9d11".to_owned())
        }
    }

    /// A new one.
    pub fn random() -> Self {
        // From this thread's generator: the kernel's costs a system call.
        let random = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
        Self(random.to_string())
    }

    /// The GUID as an owned text.
    pub fn into_string(self) -> String {
        self.0
    }

    /// The GUID in the caller's spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_ids_are_taken_as_they_are() {
        for id in [
            "213213",
            " a b ",
            "a/b?c#d",
            "%2e%2e",
            "...",
            "ünï",
            &"x".repeat(256),
        ] {
            assert_eq!(
                TaskId::parse(id.to_owned()).map(|id| id.0),
                Ok(id.to_owned())
            );
        }
    }

    #[test]
    fn bad_task_ids_are_refused_with_the_reason() {
        for (id, reason) in [
            ("", "must not be empty"),
            (".", "relative path"),
            ("..", "relative path"),
            ("a\nb", "control"),
            ("a\u{7f}", "control"),
            ("a\u{85}b", "control"),
            (&"x".repeat(257), "257 bytes"),
        ] {
            let error = TaskId::parse(id.to_owned()).unwrap_err();
            assert!(error.contains(reason), "{id:?}: {error}");
        }
    }

    #[test]
    fn a_client_request_id_is_a_hyphenated_guid_or_made_here() {
        let made = ClientRequestId::parse_or_new(String::new()).unwrap();
        assert!(ClientRequestId::parse_or_new(made.0.clone()).is_ok());
        let upper = "A2F0B4A6-7D3C-4C5E-9A52-0F6F2F6D9D11";
        assert_eq!(
            ClientRequestId::parse_or_new(upper.to_owned()).unwrap().0,
            upper
        );
        for bad in [
            "x",
            "a2f0b4a67d3c4c5e9a520f6f2f6d9d11",
            "{a2f0b4a6-7d3c-4c5e-9a52-0f6f2f6d9d11}",
            "a2f0b4a6-7d3c-4c5e-9a52-0f6f2f6d9dzz",
        ] {
            assert!(
                ClientRequestId::parse_or_new(bad.to_owned()).is_err(),
                "{bad}"
            );
        }
    }
}
