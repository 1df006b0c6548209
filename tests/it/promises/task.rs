//! Graph's answer about a task, or a page of them.

use incidentgate::{
    graph::{read_page, read_task},
    task::{Open, Task},
};
use serde_json::Value;

/// The input is the body.
pub(crate) fn task(data: &[u8]) {
    if let Some(task) = read_task(data) {
        says_no_more_than(&task, &serde_json::from_slice(data).unwrap());
    }
    if let Some((page, link)) = read_page(data) {
        let body: Value = serde_json::from_slice(data).unwrap();
        let tasks = body["value"].as_array().unwrap();
        assert_eq!(page.tasks.len(), tasks.len());
        for (task, json) in page.tasks.iter().zip(tasks) {
            says_no_more_than(task, json);
        }
        assert!(page.next.is_none(), "the link is not followed unseen");
        assert!(link.is_none_or(|link| !link.is_empty()));
    }
}

/// What is told stands in the body. What is named twice there, where the last one counts
/// here, may be told as nothing.
fn says_no_more_than(task: &Task, json: &Value) {
    assert!(task.id.is_some() || task.action_status.is_some());
    assert!(
        json["error"].is_null()
            || json
                .as_object()
                .is_some_and(|json| !json.contains_key("error"))
    );
    let words = [
        ("status", task.status.as_ref().map(Open::as_str)),
        (
            "actionStatus",
            task.action_status.as_ref().map(Open::as_str),
        ),
        ("actionType", task.action_type.as_ref().map(Open::as_str)),
        ("source", task.source.as_ref().map(Open::as_str)),
        ("displayName", task.display_name.as_deref()),
        ("description", task.description.as_deref()),
    ];
    for (name, told) in words {
        if let (Some(told), Some(text)) = (told, json[name].as_str()) {
            assert_eq!(told, text, "{name}");
        }
        assert!(told.is_none_or(|told| !told.is_empty()), "{name}");
        assert!(told.is_none() || !json[name].is_null(), "{name}");
    }
    // An action is at its end only where a word says so.
    if task.is_final() {
        let word = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        let ended = ["completed", "failed"].contains(&&*word("actionStatus"));
        let closed = ["completed", "failed", "notRelevant"].contains(&&*word("status"));
        assert!(ended || closed, "{json}");
    }
}
