use std::time::{Duration, UNIX_EPOCH};

use prost_types::FieldMask;

use super::*;
use crate::{
    command::Page,
    task::{ActionType, TaskStatus},
};

fn fields<W>(command: Result<Command<W>, Failure>) -> Vec<&'static str> {
    match command {
        Ok(_) => Vec::new(),
        Err(failure) => failure.violations.iter().map(|wrong| wrong.field).collect(),
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp { seconds, nanos: 0 }
}

#[test]
fn all_violations_are_reported_at_once() {
    let failure = execute(pb::ExecuteResponseActionRequest {
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
    let failure = execute(pb::ExecuteResponseActionRequest {
        incident_task_id: "..".to_owned(),
        client_request_id: id.to_owned(),
    })
    .unwrap_err();
    assert_eq!(failure.violations.len(), 1);
    // The caller's good id still marks the refusal.
    assert_eq!(failure.client_request_id.as_deref(), Some(id));
}

#[test]
fn whoever_asks_for_a_task_names_it() {
    assert_eq!(
        fields(get(pb::GetIncidentTaskRequest::default())),
        [TASK_ID]
    );
    assert_eq!(
        fields(watch(pb::WatchIncidentTaskRequest::default())),
        [TASK_ID]
    );
}

#[test]
fn a_page_has_graphs_most_tasks_at_the_most() {
    for (asked, size) in [(0, 50), (1, 1), (500, 500), (501, 500), (i32::MAX, 500)] {
        let message = pb::ListIncidentTasksRequest {
            page_size: asked,
            ..Default::default()
        };
        assert_eq!(list(message).unwrap().what.page_size, size, "{asked}");
    }
}

#[test]
fn filters_are_what_they_name() {
    let message = pb::ListIncidentTasksRequest {
        incident_id: "123".to_owned(),
        status: pb::IncidentTaskStatus::NotRelevant.into(),
        action_type: pb::ActionType::RunAntiVirusScan.into(),
        create_time: Some(pb::TimeRange {
            start: Some(at(1)),
            end: None,
        }),
        update_time: Some(pb::TimeRange {
            start: Some(at(-1)),
            end: Some(at(2)),
        }),
        order_by: pb::IncidentTaskOrder::UpdateTimeDesc.into(),
        ..Default::default()
    };
    let what = list(message.clone()).unwrap().what;
    let second = Duration::from_secs(1);
    let want = ListTasks {
        page_size: DEFAULT_PAGE_SIZE,
        page: None,
        incident_id: Some("123".to_owned()),
        status: Some(TaskStatus::NotRelevant),
        action_type: Some(ActionType::RunAntiVirusScan),
        created: TimeRange {
            start: Some(UNIX_EPOCH + second),
            end: None,
        },
        updated: TimeRange {
            start: Some(UNIX_EPOCH - second),
            end: Some(UNIX_EPOCH + 2 * second),
        },
        order: Some(Order::UpdatedDescending),
    };
    assert_eq!(what, want);

    let token = page_token::encode(&what.selection(), &Page::of_query("$skiptoken=x").unwrap());
    let mut next = pb::ListIncidentTasksRequest {
        page_token: token,
        page_size: 7,
        ..message
    };
    let page = list(next.clone()).unwrap().what.page;
    assert_eq!(page, Page::of_query("$skiptoken=x"));
    next.incident_id.clear();
    assert_eq!(fields(list(next)), ["page_token"]);
}

#[test]
fn every_wrong_filter_is_named() {
    let empty = Some(pb::TimeRange {
        start: None,
        end: None,
    });
    let message = pb::ListIncidentTasksRequest {
        page_size: -1,
        page_token: "x".to_owned(),
        incident_id: "a\nb".to_owned(),
        status: pb::IncidentTaskStatus::UnknownFutureValue.into(),
        action_type: 99,
        create_time: empty,
        update_time: Some(pb::TimeRange {
            start: Some(at(2)),
            end: Some(at(2)),
        }),
        order_by: 99,
        client_request_id: "x".to_owned(),
    };
    let want = [
        "page_size",
        "incident_id",
        "status",
        "action_type",
        "create_time",
        "update_time",
        "order_by",
        "page_token",
        "client_request_id",
    ];
    assert_eq!(fields(list(message)), want);
    let long = pb::ListIncidentTasksRequest {
        incident_id: "x".repeat(257),
        ..Default::default()
    };
    assert_eq!(fields(list(long)), ["incident_id"]);
}

#[test]
fn a_moment_is_one_of_the_years_1_to_9999() {
    let of = |seconds, nanos| {
        let start = Some(Timestamp { seconds, nanos });
        range(Some(pb::TimeRange { start, end: None })).is_ok()
    };
    assert!(of(0, 0) && of(-62_135_596_800, 0) && of(253_402_300_799, 999_999_999));
    for (seconds, nanos) in [
        (i64::MIN, 0),
        (-62_135_596_801, 0),
        (253_402_300_800, 0),
        (i64::MAX, 0),
        (0, -1),
        (0, 1_000_000_000),
    ] {
        assert!(!of(seconds, nanos), "{seconds} {nanos}");
    }
}

#[test]
fn only_the_status_of_a_task_can_be_changed() {
    let task = |change: fn(&mut pb::IncidentTask)| {
        let mut task = pb::IncidentTask {
            id: "213213".to_owned(),
            status: pb::IncidentTaskStatus::Completed.into(),
            ..Default::default()
        };
        change(&mut task);
        Some(task)
    };
    let mask = |paths: &[&str]| {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        Some(FieldMask { paths })
    };
    let same = |_: &mut pb::IncidentTask| {};
    let titled = |task: &mut pb::IncidentTask| task.display_name = "x".to_owned();
    let (status, id) = ("incident_task.status", "incident_task.id");
    for (task, mask, wrong) in [
        (task(same), None, vec![]),
        (task(same), mask(&[]), vec![]),
        (task(same), mask(&["status"]), vec![]),
        (task(titled), mask(&["status"]), vec![]),
        (task(titled), None, vec!["update_mask"]),
        (
            task(same),
            mask(&["status", "display_name"]),
            vec!["update_mask"],
        ),
        (task(same), mask(&["*"]), vec!["update_mask"]),
        (task(|task| task.id.clear()), None, vec![id]),
        (task(|task| task.status = 0), None, vec![status]),
        (task(|task| task.status = 6), None, vec![status]),
        (
            task(|task| task.status = 99),
            mask(&["x"]),
            vec![status, "update_mask"],
        ),
        (None, mask(&["status"]), vec!["incident_task"]),
    ] {
        let update = update(pb::UpdateIncidentTaskRequest {
            incident_task: task.clone(),
            update_mask: mask.clone(),
            client_request_id: String::new(),
        });
        let done = update.as_ref().ok().map(|command| command.what.status);
        assert_eq!(done, wrong.is_empty().then_some(TaskStatus::Completed));
        assert_eq!(fields(update), wrong, "{task:?} {mask:?}");
    }
}
