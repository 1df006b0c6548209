//! A request message becomes a command, or all of its faults at once.

use std::time::SystemTime;

use prost_types::Timestamp;

use super::{page_token, task};
use crate::{
    command::{
        ClientRequestId, Command, ExecuteAction, GetTask, ListTasks, MAX_PAGE_SIZE, Order, TaskId,
        TimeRange, UpdateTask,
    },
    failure::{Failure, Violation},
    pb,
};

/// What `page_size` is when it is left out.
const DEFAULT_PAGE_SIZE: u16 = 50;
/// As much as a task's id may have.
const MAX_INCIDENT_ID_BYTES: usize = 256;
const TASK_ID: &str = "incident_task_id";

/// The faults that were found so far.
#[derive(Debug, Default)]
struct Faults(Vec<Violation>);

pub(super) fn execute(
    message: pb::ExecuteResponseActionRequest,
) -> Result<Command<ExecuteAction>, Failure> {
    let mut faults = Faults::default();
    let task_id = faults.take(TASK_ID, TaskId::parse(message.incident_task_id));
    let what = task_id.map(|task_id| ExecuteAction { task_id });
    faults.command(what, message.client_request_id)
}

pub(super) fn get(message: pb::GetIncidentTaskRequest) -> Result<Command<GetTask>, Failure> {
    task(message.incident_task_id, message.client_request_id)
}

pub(super) fn watch(message: pb::WatchIncidentTaskRequest) -> Result<Command<GetTask>, Failure> {
    task(message.incident_task_id, message.client_request_id)
}

fn task(id: String, client_request_id: String) -> Result<Command<GetTask>, Failure> {
    let mut faults = Faults::default();
    let task_id = faults.take(TASK_ID, TaskId::parse(id));
    faults.command(
        task_id.map(|task_id| GetTask { task_id }),
        client_request_id,
    )
}

pub(super) fn list(message: pb::ListIncidentTasksRequest) -> Result<Command<ListTasks>, Failure> {
    let mut faults = Faults::default();
    let mut list = ListTasks {
        page_size: faults
            .take("page_size", page_size(message.page_size))
            .unwrap_or_default(),
        page: None,
        incident_id: faults
            .take("incident_id", incident_id(message.incident_id))
            .flatten(),
        status: faults
            .take(
                "status",
                filter(message.status, task::status_of, &task::status_names()),
            )
            .flatten(),
        action_type: faults
            .take(
                "action_type",
                filter(
                    message.action_type,
                    task::action_type_of,
                    &task::action_type_names(),
                ),
            )
            .flatten(),
        created: faults
            .take("create_time", range(message.create_time))
            .unwrap_or_default(),
        updated: faults
            .take("update_time", range(message.update_time))
            .unwrap_or_default(),
        order: faults.take("order_by", order(message.order_by)).flatten(),
    };
    if !message.page_token.is_empty() {
        let page = page_token::decode(&message.page_token, &list.selection());
        list.page = faults.take("page_token", page.map_err(str::to_owned));
    }
    faults.command(Some(list), message.client_request_id)
}

pub(super) fn update(
    message: pb::UpdateIncidentTaskRequest,
) -> Result<Command<UpdateTask>, Failure> {
    let mut faults = Faults::default();
    let mask = message.update_mask.unwrap_or_default();
    let Some(task) = message.incident_task else {
        faults.add(
            "incident_task",
            "must be set: the task's `id`, and its new `status`",
        );
        return faults.command(None, message.client_request_id);
    };
    let task_id = faults.take("incident_task.id", TaskId::parse(task.id.clone()));
    let status = task::status_of(task.status)
        .ok_or_else(|| "must be OPEN, IN_PROGRESS, COMPLETED, FAILED or NOT_RELEVANT".to_owned());
    let status = faults.take("incident_task.status", status);
    if mask.paths.is_empty() {
        let only = pb::IncidentTask {
            id: task.id.clone(),
            status: task.status,
            ..pb::IncidentTask::default()
        };
        if task != only {
            faults.add(
                "update_mask",
                "must be `status` where other fields of the task are set: no other field can be changed",
            );
        }
    } else if mask.paths.iter().any(|path| path != "status") {
        faults.add(
            "update_mask",
            "must be `status`: no other field can be changed",
        );
    }
    let what = task_id
        .zip(status)
        .map(|(task_id, status)| UpdateTask { task_id, status });
    faults.command(what, message.client_request_id)
}

fn page_size(size: i32) -> Result<u16, String> {
    match u16::try_from(size) {
        Ok(0) => Ok(DEFAULT_PAGE_SIZE),
        Ok(size) => Ok(size.min(MAX_PAGE_SIZE)),
        Err(_) if size > 0 => Ok(MAX_PAGE_SIZE),
        Err(_) => Err(format!("is negative; must be 0 to {MAX_PAGE_SIZE}")),
    }
}

fn incident_id(id: String) -> Result<Option<String>, String> {
    if id.len() > MAX_INCIDENT_ID_BYTES {
        Err(format!(
            "is {} bytes long; at most {MAX_INCIDENT_ID_BYTES} are allowed",
            id.len()
        ))
    } else if id.chars().any(char::is_control) {
        Err("must not contain control characters".to_owned())
    } else {
        Ok((!id.is_empty()).then_some(id))
    }
}

/// `0` is unspecified, and means any.
fn filter<E>(number: i32, of: impl Fn(i32) -> Option<E>, names: &str) -> Result<Option<E>, String> {
    match (number, of(number)) {
        (0, _) => Ok(None),
        (_, Some(member)) => Ok(Some(member)),
        (_, None) => Err(format!("must be UNSPECIFIED or one of {names}")),
    }
}

fn order(number: i32) -> Result<Option<Order>, String> {
    match pb::IncidentTaskOrder::try_from(number) {
        Ok(pb::IncidentTaskOrder::Unspecified) => Ok(None),
        Ok(pb::IncidentTaskOrder::UpdateTime) => Ok(Some(Order::Updated)),
        Ok(pb::IncidentTaskOrder::UpdateTimeDesc) => Ok(Some(Order::UpdatedDescending)),
        Err(_) => Err("must be UNSPECIFIED, UPDATE_TIME or UPDATE_TIME_DESC".to_owned()),
    }
}

fn range(range: Option<pb::TimeRange>) -> Result<TimeRange, String> {
    let Some(range) = range else {
        return Ok(TimeRange::default());
    };
    let moment = |timestamp: Option<Timestamp>| timestamp.map(moment).transpose();
    let (start, end) = (moment(range.start)?, moment(range.end)?);
    match (start, end) {
        (None, None) => Err("must have a `start` or an `end`".to_owned()),
        (Some(start), Some(end)) if start >= end => {
            Err("has no moment in it: `start` must be before `end`".to_owned())
        }
        _ => Ok(TimeRange { start, end }),
    }
}

/// The years 1 to 9999 are what a `Timestamp` can be.
fn moment(timestamp: Timestamp) -> Result<SystemTime, String> {
    const LEAST: i64 = -62_135_596_800;
    const MOST: i64 = 253_402_300_799;
    let is_valid = (LEAST..=MOST).contains(&timestamp.seconds)
        && (0..1_000_000_000).contains(&timestamp.nanos);
    let moment = is_valid
        .then(|| SystemTime::try_from(timestamp).ok())
        .flatten();
    moment.ok_or_else(|| {
        "has a moment that is none: the years 1 to 9999, and 0 to 999999999 nanoseconds".to_owned()
    })
}

// === impl Faults ===

impl Faults {
    fn add(&mut self, field: &'static str, description: impl Into<String>) {
        let description = description.into();
        self.0.push(Violation { field, description });
    }

    /// What is right; what is wrong with it is noted.
    fn take<T>(&mut self, field: &'static str, parsed: Result<T, String>) -> Option<T> {
        parsed
            .map_err(|description| self.add(field, description))
            .ok()
    }

    /// The command, if nothing is wrong with it.
    fn command<W>(
        mut self,
        what: Option<W>,
        client_request_id: String,
    ) -> Result<Command<W>, Failure> {
        let client_request_id = self.take(
            "client_request_id",
            ClientRequestId::parse_or_new(client_request_id),
        );
        match (what, client_request_id) {
            (Some(what), Some(client_request_id)) if self.0.is_empty() => Ok(Command {
                what,
                client_request_id,
            }),
            (_, client_request_id) => {
                let mut failure = Failure::invalid_request(self.0);
                failure.client_request_id = client_request_id.map(ClientRequestId::into_string);
                Err(failure)
            }
        }
    }
}

#[cfg(test)]
mod tests;
