//! A request message becomes a command, or all of its faults at once.

use crate::{
    command::{ClientRequestId, Command, TaskId},
    failure::{Failure, Violation},
    pb,
};

/// Validates every field and reports every violation.
pub(super) fn command(message: pb::ExecuteResponseActionRequest) -> Result<Command, Failure> {
    let task_id = TaskId::parse(message.incident_task_id);
    let client_request_id = ClientRequestId::parse_or_new(message.client_request_id);
    match (task_id, client_request_id) {
        (Ok(task_id), Ok(client_request_id)) => Ok(Command {
            task_id,
            client_request_id,
        }),
        (task_id, client_request_id) => {
            let known_id = client_request_id.as_ref().ok().cloned();
            let violations = [
                ("incident_task_id", task_id.err()),
                ("client_request_id", client_request_id.err()),
            ]
            .into_iter()
            .filter_map(|(field, wrong)| wrong.map(|description| Violation { field, description }))
            .collect();
            let mut failure = Failure::invalid_request(violations);
            failure.client_request_id = known_id.map(ClientRequestId::into_string);
            Err(failure)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_violations_are_reported_at_once() {
        let failure = command(pb::ExecuteResponseActionRequest {
            incident_task_id: String::new(),
            client_request_id: "x".to_owned(),
        })
        .unwrap_err();
        assert_eq!(failure.client_request_id, None);
        let fields: Vec<_> = failure.violations.iter().map(|found| found.field).collect();
        assert_eq!(fields, ["incident_task_id", "client_request_id"]);
        assert!(
            failure
                .message
                .contains("incident_task_id: must not be empty")
        );
    }

    #[test]
    fn one_bad_field_is_enough_to_refuse() {
        let id = "a2f0b4a6-7d3c-4c5e-9a52-0f6f2f6d9d11";
        let failure = command(pb::ExecuteResponseActionRequest {
            incident_task_id: "..".to_owned(),
            client_request_id: id.to_owned(),
        })
        .unwrap_err();
        assert_eq!(failure.violations.len(), 1);
        // The caller's good id still marks the refusal.
        assert_eq!(failure.client_request_id.as_deref(), Some(id));
    }
}
