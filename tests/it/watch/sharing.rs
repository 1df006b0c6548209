//! Who follows the same task shares its readings, and nobody holds another up.

use futures_util::future::join_all;
use incidentgate::{
    pb::{
        ActionStatus, WatchIncidentTaskRequest,
        incident_task_service_client::IncidentTaskServiceClient,
    },
    sandbox::{ActionStatus as Put, Fault, Task},
};
use tonic::{Code, Request, transport::Channel};

use super::{Watch, eager, put, watched};
use crate::support::{Gateway, answer, points, with_token, within};

async fn watch(mut client: IncidentTaskServiceClient<Channel>, id: &str) -> Watch {
    let message = WatchIncidentTaskRequest {
        incident_task_id: id.to_owned(),
        ..Default::default()
    };
    let response = within(client.watch_incident_task(with_token(message))).await;
    Watch(response.unwrap().into_inner())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_watchers_of_ten_tasks_are_ten_readers() {
    const TASKS: usize = 10;
    const WATCHERS: usize = 1000;
    let gateway = eager().with("watch.min_interval", "100ms").start().await;
    let ids: Vec<String> = (0..TASKS).map(|n| format!("task-{n}")).collect();
    for id in &ids {
        put(&gateway, id, Put::InProgress);
        gateway.sandbox.script(id, [Fault::hold().on_read()]);
    }
    let reads = || -> Vec<usize> { ids.iter().map(|id| gateway.sandbox.reads(id)).collect() };
    let clients = join_all((0..TASKS).map(|_| gateway.client())).await;
    let watches = (0..WATCHERS).map(|n| watch(clients[n % TASKS].clone(), &ids[n / 100]));
    let all_are_there = async {
        within(async {
            while in_flight(&gateway) < WATCHERS {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(
            reads(),
            [1; TASKS],
            "one reading of each task for all its watchers"
        );
        gateway.sandbox.release("*");
    };
    let (mut watches, ()) = tokio::join!(join_all(watches), all_are_there);
    let states = join_all(watches.iter_mut().map(Watch::state)).await;
    assert!(
        states
            .iter()
            .all(|state| *state == ActionStatus::InProgress)
    );

    for id in &ids {
        put(&gateway, id, Put::Completed);
    }
    let states = join_all(watches.iter_mut().map(Watch::states)).await;
    assert!(
        states
            .iter()
            .all(|states| states == &[ActionStatus::Completed])
    );
    // However long that took, it is nothing beside one reading for each watcher.
    let all: usize = reads().iter().sum();
    assert!(all < WATCHERS / 2, "{all}");
    assert_eq!(
        gateway.sandbox.journal().len(),
        all,
        "nothing else was asked for"
    );
}

/// How many watches have come.
fn in_flight(gateway: &Gateway) -> usize {
    let level = "incidentgate.calls.in_flight {call} {rpc.method=incidentgate.v1.IncidentTaskService/WatchIncidentTask} ";
    let points = points(&gateway.metrics());
    let watches = points.iter().find_map(|point| point.strip_prefix(level));
    watches.map_or(0, |watches| watches.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_and_goes_at_any_moment_sees_the_task() {
    const WATCHERS: usize = 8;
    const ROUNDS: usize = 60;
    let mut gateway = eager().start().await;
    put(&gateway, "runs", Put::InProgress);
    let clients = join_all((0..WATCHERS).map(|_| gateway.client())).await;
    let rounds = clients.into_iter().enumerate().map(async |(n, client)| {
        for round in 0..ROUNDS {
            let mut watch = watch(client.clone(), "runs").await;
            assert_eq!(watch.state().await, ActionStatus::InProgress);
            // Some leave at once, some after a reading or two.
            if (n + round) % 3 == 0 {
                let reads = gateway.sandbox.reads("runs");
                within(gateway.sandbox.wait_for_reads("runs", reads + 1)).await;
            }
        }
    });
    join_all(rounds).await;
    within(async {
        while watched(&gateway) > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    gateway.stop().await;
}

#[tokio::test]
async fn what_one_may_read_another_may_not() {
    let gateway = eager()
        .with("watch.min_interval", "10s")
        .with("watch.max_interval", "10s");
    let gateway = gateway.start().await;
    put(&gateway, "runs", Put::InProgress);
    let of = async |token: &str| {
        let mut request = Request::new(WatchIncidentTaskRequest {
            incident_task_id: "runs".to_owned(),
            ..Default::default()
        });
        let token = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", token);
        let mut client = gateway.client().await;
        let answer = within(client.watch_incident_task(request)).await;
        let mut watch = Watch(answer.unwrap().into_inner());
        assert_eq!(watch.state().await, ActionStatus::InProgress);
        watch
    };
    let _alice = of("alice").await;
    let _again = of("alice").await;
    assert_eq!(gateway.sandbox.reads("runs"), 1);
    let _bob = of("bob").await;
    assert_eq!(gateway.sandbox.reads("runs"), 2);
    let shown = gateway.sandbox.journal();
    assert!(
        shown
            .iter()
            .all(|entry| entry.header("authorization").is_some())
    );
}

#[tokio::test]
async fn who_comes_later_sees_the_task_as_it_is_then() {
    // The next reading would be in an hour.
    let gateway = eager()
        .with("watch.min_interval", "1ms")
        .with("watch.max_interval", "1h");
    let gateway = gateway.start().await;
    put(&gateway, "runs", Put::NotStarted);
    let mut first = Watch::of(&gateway, "runs").await.unwrap();
    assert_eq!(first.state().await, ActionStatus::NotStarted);
    put(&gateway, "runs", Put::InProgress);
    let mut second = Watch::of(&gateway, "runs").await.unwrap();
    assert_eq!(second.state().await, ActionStatus::InProgress);
    assert_eq!(first.state().await, ActionStatus::InProgress);
}

#[tokio::test]
async fn too_many_who_come_at_once_are_sent_away_and_hold_up_nobody_who_is_there() {
    // Six tasks a minute, and two at once.
    let gateway = eager()
        .with("watch.max_polls_per_minute", "1")
        .with("watch.min_interval", "2s")
        .with("watch.max_interval", "2s");
    let gateway = gateway.start().await;
    for id in ["one", "two", "three"] {
        put(&gateway, id, Put::InProgress);
    }
    let mut one = Watch::of(&gateway, "one").await.unwrap();
    let _two = Watch::of(&gateway, "two").await.unwrap();
    let refused = answer(&Watch::of(&gateway, "three").await.err().unwrap());
    assert_eq!(
        (refused.code, &*refused.reason),
        (Code::ResourceExhausted, "GATEWAY_OVERLOADED")
    );
    assert!(refused.details.retry_info().is_some());
    assert_eq!(gateway.sandbox.reads("three"), 0);
    // Who comes to a task whose turn it is anyway needs none of their own.
    let mut again = Watch::of(&gateway, "one").await.unwrap();
    assert_eq!(again.state().await, ActionStatus::InProgress);
    put(&gateway, "one", Put::Completed);
    assert_eq!(one.states().await.last(), Some(&ActionStatus::Completed));
}

#[tokio::test]
async fn who_does_not_read_holds_nobody_up_and_gets_the_last_state() {
    let gateway = eager().start().await;
    put(&gateway, "runs", Put::InProgress);
    // What it does not read stays on the gateway's side after two messages.
    let channel = Channel::from_shared(format!("http://{}", gateway.addr)).unwrap();
    let channel = channel.initial_stream_window_size(32 * 1024);
    let client = Gateway::client_of(channel.connect().await.unwrap());
    let mut slow = watch(client, "runs").await;
    let mut quick = Watch::of(&gateway, "runs").await.unwrap();
    assert_eq!(quick.state().await, ActionStatus::InProgress);
    for round in 0..30 {
        let (put_as, state) = if round % 2 == 0 {
            (Put::PartiallyCompleted, ActionStatus::PartiallyCompleted)
        } else {
            (Put::InProgress, ActionStatus::InProgress)
        };
        gateway.sandbox.put_task(Task {
            action_type: "x".repeat(6 * 1024),
            action_status: put_as,
            ..Task::new("runs")
        });
        assert_eq!(quick.state().await, state);
    }
    put(&gateway, "runs", Put::Completed);
    assert_eq!(quick.states().await, [ActionStatus::Completed]);
    let states = within(slow.states()).await;
    assert_eq!(states.last(), Some(&ActionStatus::Completed));
    assert!(states.len() < 32, "some were left out: {}", states.len());
}
