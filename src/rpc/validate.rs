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
        (task_id, client_request_id) => Err(Failure::invalid_request(
            [
                task_id.err().map(|why| ("incident_task_id", why)),
                client_request_id
                    .err()
                    .map(|why| ("client_request_id", why)),
            ]
            .into_iter()
            .flatten()
            .map(|(field, description)| Violation { field, description })
            .collect(),
        )),
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
        let failure = command(pb::ExecuteResponseActionRequest {
            incident_task_id: "213213".to_owned(),
            client_request_id: "x".to_owned(),
        })
        .unwrap_err();
        assert_eq!(failure.violations.len(), 1);
    }
}
