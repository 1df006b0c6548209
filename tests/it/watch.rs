//! `WatchIncidentTask`: a task is followed to its end.

mod ending;
mod sharing;

use std::time::Duration;

use incidentgate::{
    pb::{ActionStatus, WatchIncidentTaskRequest, WatchIncidentTaskResponse},
    sandbox::{ActionStatus as Put, Options, Task},
};
use tonic::{Status, Streaming};

use crate::support::{Gateway, GatewayBuilder, points, with_token, within};

const ID: &str = "213213";
/// One whose action fails.
const FAILS: &str = "213216";

/// Reads often, and as often as it likes.
fn eager() -> GatewayBuilder {
    Gateway::builder()
        .with("watch.min_interval", "5ms")
        .with("watch.max_interval", "20ms")
        .with("watch.max_polls_per_minute", "1000000")
        .with("retry.initial_backoff", "1ms")
        .with_sandbox(Options {
            step: Duration::from_millis(200),
            ..Options::default()
        })
}

/// One follower.
struct Watch(Streaming<WatchIncidentTaskResponse>);

impl Watch {
    async fn of(gateway: &Gateway, id: &str) -> Result<Self, Status> {
        let mut client = gateway.client().await;
        let message = WatchIncidentTaskRequest {
            incident_task_id: id.to_owned(),
            client_request_id: String::new(),
        };
        let answer = within(client.watch_incident_task(with_token(message))).await;
        answer.map(|response| Self(response.into_inner()))
    }

    /// The next message; nothing at the end.
    async fn next(&mut self) -> Result<Option<WatchIncidentTaskResponse>, Status> {
        within(self.0.message()).await
    }

    /// The state of the action in the next message.
    async fn state(&mut self) -> ActionStatus {
        let message = self.next().await.unwrap().expect("a message");
        assert!(message.read_time.is_some() && !message.graph_request_id.is_empty());
        message.incident_task.unwrap().action_status()
    }

    /// All states to the end, which is a good one.
    async fn states(&mut self) -> Vec<ActionStatus> {
        let mut states = Vec::new();
        let mut was_final = false;
        while let Some(message) = self.next().await.unwrap() {
            assert!(!was_final, "nothing follows");
            was_final = message.is_final;
            states.push(message.incident_task.unwrap().action_status());
        }
        assert!(was_final);
        states
    }
}

/// A task in this state from now on.
fn put(gateway: &Gateway, id: &str, action_status: Put) {
    gateway.sandbox.put_task(Task {
        action_status,
        ..Task::new(id)
    });
}

/// How many tasks are read now.
fn watched(gateway: &Gateway) -> i64 {
    let points = points(&gateway.metrics());
    let level = |point: &String| {
        let level = point.strip_prefix("incidentgate.watch.tasks {task} {} ")?;
        level.parse().ok()
    };
    points.iter().find_map(level).unwrap_or_default()
}

#[tokio::test]
async fn the_state_is_there_at_once_and_then_each_change_to_the_end() {
    use ActionStatus::{Completed, Failed, InProgress, NotStarted};
    for (id, end) in [(ID, Completed), (FAILS, Failed)] {
        let mut gateway = eager().start().await;
        let mut watch = Watch::of(&gateway, id).await.unwrap();
        assert_eq!(watch.state().await, NotStarted);
        gateway.execute(id).await.unwrap();
        assert_eq!(watch.states().await, [InProgress, end]);
        // Nothing is left that would read it.
        let reads = gateway.sandbox.reads(id);
        gateway.stop().await;
        assert_eq!(gateway.sandbox.reads(id), reads);
    }
}

#[tokio::test]
async fn a_change_of_the_tasks_own_status_is_one_too() {
    let gateway = eager().start().await;
    let mut watch = Watch::of(&gateway, "213214").await.unwrap();
    assert_eq!(watch.state().await, ActionStatus::NotStarted);
    gateway.sandbox.put_task(Task {
        action_type: "text".to_owned(),
        status: incidentgate::sandbox::Status::InProgress,
        ..Task::new("213214")
    });
    let changed = watch.next().await.unwrap().unwrap();
    assert!(!changed.is_final);
    // Somebody has decided that nobody does it.
    gateway.sandbox.put_task(Task {
        action_type: "text".to_owned(),
        status: incidentgate::sandbox::Status::NotRelevant,
        ..Task::new("213214")
    });
    assert_eq!(watch.states().await, [ActionStatus::NotStarted]);
}

#[tokio::test]
async fn what_is_at_its_end_is_shown_once_and_read_once() {
    let gateway = eager().start().await;
    put(&gateway, "done", Put::Completed);
    let mut watch = Watch::of(&gateway, "done").await.unwrap();
    assert_eq!(watch.states().await, [ActionStatus::Completed]);
    assert_eq!(gateway.sandbox.reads("done"), 1);
}

#[tokio::test]
async fn a_part_is_no_end() {
    let gateway = eager().start().await;
    put(&gateway, "part", Put::PartiallyCompleted);
    let mut watch = Watch::of(&gateway, "part").await.unwrap();
    assert_eq!(watch.state().await, ActionStatus::PartiallyCompleted);
    put(&gateway, "part", Put::Completed);
    assert_eq!(watch.states().await, [ActionStatus::Completed]);
}
