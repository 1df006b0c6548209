//! The faults that are answers, and which request gets which fault.

use super::fixture::{Caller, Http, ID, error_of, json_of, sandbox, scripted, within};
use super::*;

#[tokio::test]
async fn a_reply_is_sent_bare_and_may_hold_any_bytes() {
    let bytes = [b'{', 0xff, 0xfe, 0];
    let sandbox = scripted([Fault::reply(502, bytes)
        .header("Server", "proxy")
        .header("X", "\u{e9}")])
    .await;
    let response = Caller::new(&sandbox, Http::One).execute(ID).await.unwrap();
    assert_eq!(response.status(), 502);
    assert_eq!(response.headers()["server"], "proxy");
    assert_eq!(response.headers()["x"].as_bytes(), "\u{e9}".as_bytes());
    assert!(response.headers().get("request-id").is_none());
    assert_eq!(within(response.bytes()).await.unwrap(), bytes.as_slice());
}

#[tokio::test]
async fn the_named_answers_are_as_documented() {
    let sandbox = scripted([
        Fault::captive_page(),
        Fault::claims_challenge(),
        Fault::error(504, "UnknownError", "").header("Retry-After", "3"),
        Fault::provider_warnings(),
    ])
    .await;
    let caller = Caller::new(&sandbox, Http::Two);

    let captive = caller.execute(ID).await.unwrap();
    assert_eq!(
        (
            captive.status().as_u16(),
            &captive.headers()["content-type"]
        ),
        (200, &"text/html; charset=utf-8".parse().unwrap())
    );

    let challenge = caller.execute(ID).await.unwrap();
    let header = challenge.headers()["www-authenticate"].to_str().unwrap();
    assert!(
        header.contains("error=\"insufficient_claims\", claims=\"eyJ"),
        "{header}"
    );
    assert_eq!(challenge.status(), 401);

    let timeout = caller.execute(ID).await.unwrap();
    assert_eq!(timeout.headers()["retry-after"], "3");
    assert_eq!(
        error_of(timeout).await,
        (504, "UnknownError".to_owned(), String::new())
    );
    assert_eq!(sandbox.commits(ID), 0);

    let warned = caller.execute(ID).await.unwrap();
    assert_eq!(warned.status(), 204);
    assert!(
        warned.headers()["warning"]
            .to_str()
            .unwrap()
            .starts_with("199 - \"{Vendor2}/{Provider 2}/504/10000\", 199 - ")
    );
    assert_eq!(sandbox.commits(ID), 1);
}

#[tokio::test]
async fn throttling_lasts_and_lengthens() {
    let sandbox = scripted([Fault::throttle(100, true)]).await;
    let caller = Caller::new(&sandbox, Http::One);
    let mut waits = Vec::new();
    for _ in 0..3 {
        let response = caller.execute(ID).await.unwrap();
        assert_eq!(response.status(), 429);
        waits.push(
            response.headers()["retry-after"]
                .to_str()
                .unwrap()
                .parse::<u32>()
                .unwrap(),
        );
    }
    assert!(
        waits[0] == 100 && (101..=200).contains(&waits[1]) && (201..=300).contains(&waits[2]),
        "{waits:?}"
    );
    assert_eq!(
        caller.execute("213216").await.unwrap().status(),
        204,
        "another task"
    );
    assert_eq!(sandbox.commits(ID), 0);
}

#[tokio::test]
async fn a_task_that_is_not_accepted_is_not_started_by_a_fault() {
    let sandbox = sandbox(Options::default()).await;
    for id in ["213214", "213215", "1"] {
        sandbox.script(id, [Fault::reply(502, "").committed()]);
        assert_eq!(
            Caller::new(&sandbox, Http::One)
                .execute(id)
                .await
                .unwrap()
                .status(),
            502
        );
        assert_eq!(sandbox.commits(id), 0);
    }
}

#[tokio::test]
async fn faults_of_any_task_and_of_reads() {
    let sandbox = scripted([Fault::error(503, "UnknownError", "").on_read()]).await;
    sandbox.script("*", [Fault::reply(502, ""), Fault::reply(504, "")]);
    let caller = Caller::new(&sandbox, Http::One);
    assert_eq!(caller.execute("1").await.unwrap().status(), 502);
    assert_eq!(caller.execute(ID).await.unwrap().status(), 504);
    assert_eq!(caller.execute(ID).await.unwrap().status(), 204);
    for status in [503, 200] {
        assert_eq!(
            caller
                .get(&format!("security/incidentTasks/{ID}"))
                .await
                .status(),
            status
        );
    }
}

#[tokio::test]
async fn the_same_seed_is_the_same_run() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let sandbox = sandbox(Options {
            seed: 42,
            ..Options::default()
        })
        .await;
        let choice = Fault::one_of([
            Fault::default(),
            Fault::reply(502, ""),
            Fault::error(503, "", ""),
        ]);
        sandbox.script("*", std::iter::repeat_n(choice, 12));
        let caller = Caller::new(&sandbox, Http::One);
        let mut run = Vec::new();
        for _ in 0..12 {
            run.push(caller.execute(ID).await.unwrap().status().as_u16());
        }
        runs.push(run);
    }
    assert_eq!(runs[0], runs[1]);
    assert!(runs[0].contains(&502) && runs[0].contains(&503), "{runs:?}");
}

#[tokio::test]
async fn a_fault_that_cannot_be_sent_is_loud() {
    let sandbox = scripted([Fault::reply(101, ""), Fault::default().header("a", "b\n")]).await;
    let caller = Caller::new(&sandbox, Http::One);
    for _ in 0..2 {
        let response = caller.execute(ID).await.unwrap();
        assert_eq!(response.status(), 500);
        let body = within(response.text()).await.unwrap();
        assert!(
            body.starts_with("the sandbox cannot send this fault: "),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_read_shows_every_status_of_the_action() {
    for http in [Http::One, Http::Two] {
        let sandbox = sandbox(Options::default()).await;
        let caller = Caller::new(&sandbox, http);
        for (action_status, name) in [
            (ActionStatus::NotStarted, "notStarted"),
            (ActionStatus::InProgress, "inProgress"),
            (ActionStatus::PartiallyCompleted, "partiallyCompleted"),
            (ActionStatus::Completed, "completed"),
            (ActionStatus::Failed, "failed"),
        ] {
            sandbox.put_task(Task {
                action_status,
                ..Task::new("7")
            });
            let response = caller.get("security/incidentTasks/7").await;
            assert_eq!(response.status(), 200);
            let task = json_of(response).await;
            assert_eq!(task["actionStatus"], name, "{http:?} {task}");
        }
    }
}

#[tokio::test]
async fn a_stale_read_has_not_heard_of_the_start() {
    for http in [Http::One, Http::Two] {
        let sandbox = scripted([Fault::stale_read(), Fault::stale_read()]).await;
        let caller = Caller::new(&sandbox, http);
        let path = format!("security/incidentTasks/{ID}");
        let seen = async || {
            let task = json_of(caller.get(&path).await).await;
            task["actionStatus"].as_str().unwrap().to_owned()
        };
        assert_eq!(seen().await, "notStarted");
        assert_eq!(caller.execute(ID).await.unwrap().status(), 204);
        assert_eq!(seen().await, "notStarted");
        assert_eq!(seen().await, "inProgress");
        assert_eq!(sandbox.commits(ID), 1);

        sandbox.script("*", [Fault::stale_read(), Fault::stale_read()]);
        assert_eq!(caller.get("security/incidentTasks/1").await.status(), 404);
        let refused = caller.client.get(format!("{}/{path}", sandbox.graph_url()));
        assert_eq!(within(refused.send()).await.unwrap().status(), 401);
    }
}

#[tokio::test]
async fn a_read_breaks_as_an_action_does() {
    for http in [Http::One, Http::Two] {
        for fault in [
            Fault::reset(),
            Fault::close(),
            Fault::garbage("?"),
            Fault::refuse_stream(),
            Fault::go_away(LastStream::This),
        ] {
            let sandbox = scripted([fault.clone().on_read()]).await;
            let caller = Caller::new(&sandbox, http);
            assert_eq!(caller.execute(ID).await.unwrap().status(), 204);
            let url = format!("{}/security/incidentTasks/{ID}", sandbox.graph_url());
            let read = caller.client.get(url).bearer_auth(sandbox.token());
            assert!(within(read.send()).await.is_err(), "{http:?} {fault:?}");
        }
    }
}
