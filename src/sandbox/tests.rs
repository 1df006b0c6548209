//! The simulated Graph over sockets.

use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpStream;

use super::fixture::{Caller, Http, error_of, json_of, sandbox, within};
use super::*;

fn refused(status: u16, code: &str, message: &str) -> (u16, String, String) {
    (status, code.to_owned(), message.to_owned())
}

#[tokio::test]
async fn an_action_is_started_once() {
    for http in [Http::One, Http::Two] {
        let sandbox = sandbox(Options::default()).await;
        let caller = Caller::new(&sandbox, http);

        let first = within(
            caller
                .post("213213")
                .header("client-request-id", "mine")
                .send(),
        )
        .await
        .unwrap();
        assert_eq!(first.status(), 204);
        let header = |name: &str| {
            first
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        assert!(uuid::Uuid::parse_str(header("request-id").unwrap()).is_ok());
        assert_eq!(header("client-request-id"), Some("mine"));
        assert!(httpdate::parse_http_date(header("date").unwrap()).is_ok());
        assert!(serde_json::from_str::<Value>(header("x-ms-ags-diagnostic").unwrap()).is_ok());
        assert_eq!(header("content-length"), None, "204 has none");
        assert!(within(first.bytes()).await.unwrap().is_empty());
        assert_eq!(
            sandbox.task("213213").unwrap().action_status,
            ActionStatus::InProgress
        );

        let second = error_of(caller.execute("213213").await.unwrap()).await;
        assert_eq!(
            second,
            refused(
                400,
                "ActionAlreadyInProgress",
                "Response action is already in progress."
            )
        );
        assert_eq!((sandbox.posts("213213"), sandbox.commits("213213")), (2, 1));
        assert_eq!((sandbox.posts("*"), sandbox.commits("213214")), (2, 0));
    }
}

#[tokio::test]
async fn an_error_wears_graphs_dress() {
    let sandbox = sandbox(Options::default()).await;
    let response = Caller::new(&sandbox, Http::One).execute("1").await.unwrap();
    let id = response.headers()["request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        response.headers()["client-request-id"],
        id.as_str(),
        "the caller sent none"
    );
    assert_eq!(response.headers()["content-type"], "application/json");

    let body = json_of(response).await;
    let inner = &body["error"]["innerError"];
    assert_eq!(
        (&inner["request-id"], &inner["client-request-id"]),
        (&id.clone().into(), &id.into())
    );
    assert_eq!(
        inner["date"].as_str().map(str::len),
        Some("2023-09-04T05:47:56".len())
    );
}

#[tokio::test]
async fn refuses_as_the_documentation_says() {
    for (dialect, id, want) in [
        (
            Dialect::Draft,
            "213214",
            refused(
                400,
                "UnsupportedActionType",
                "Action type 'text' is not supported for automated execution.",
            ),
        ),
        (
            Dialect::Published,
            "213214",
            refused(400, "BadRequest", "Currently text is not supported"),
        ),
        (
            Dialect::Draft,
            "213215",
            refused(
                400,
                "ActionAlreadyInProgress",
                "Response action is already in progress.",
            ),
        ),
        (
            Dialect::Published,
            "213215",
            refused(400, "BadRequest", "Response action is already in progress."),
        ),
        (
            Dialect::Draft,
            "404",
            refused(404, "NotFound", "taskId 404 not found"),
        ),
        (
            Dialect::Draft,
            "bad-id",
            refused(400, "BadRequest", "Invalid incidentTask id bad-id"),
        ),
        (
            Dialect::Draft,
            "",
            refused(400, "BadRequest", "Invalid incidentTask id "),
        ),
        (
            Dialect::Draft,
            "a/b",
            refused(400, "BadRequest", "Resource not found for the segment 'b'."),
        ),
    ] {
        let sandbox = sandbox(Options {
            dialect,
            ..Options::default()
        })
        .await;
        let response = Caller::new(&sandbox, Http::One).execute(id).await.unwrap();
        assert_eq!(error_of(response).await, want);
        assert_eq!(sandbox.commits("*"), 0);
    }
}

#[tokio::test]
async fn lets_nobody_in_without_a_token() {
    let open = sandbox(Options::default()).await;
    let strict = sandbox(Options {
        tokens: Tokens::Only(vec!["right".to_owned()]),
        ..Options::default()
    })
    .await;
    assert_eq!((open.token(), strict.token()), ("sandbox-token", "right"));

    for (sandbox, credential, status) in [
        (&open, None, 401),
        (&open, Some("Bearer "), 401),
        (&open, Some("Basic x"), 401),
        (&open, Some("bearer anything"), 204),
        (&strict, Some("Bearer wrong"), 401),
        (&strict, Some("Bearer right"), 204),
    ] {
        let client = Caller::new(sandbox, Http::One).client;
        let url = format!(
            "{}/security/incidentTasks/213213/executeResponseAction",
            sandbox.graph_url()
        );
        let mut request = client.post(url);
        if let Some(credential) = credential {
            request = request.header("Authorization", credential);
        }
        let response = within(request.send()).await.unwrap();
        assert_eq!(response.status(), status, "{credential:?}");
        if status == 401 {
            assert!(
                response.headers()["www-authenticate"]
                    .to_str()
                    .unwrap()
                    .starts_with("Bearer realm=\"\"")
            );
            assert_eq!(error_of(response).await.1, "InvalidAuthenticationToken");
        }
    }
    assert_eq!((open.commits("*"), strict.commits("*")), (1, 1));
}

#[tokio::test]
async fn an_id_stays_one_segment() {
    let sandbox = sandbox(Options::default()).await;
    sandbox.put_task(Task::new("a/b? %"));
    let response = Caller::new(&sandbox, Http::Two)
        .execute("a%2Fb%3F%20%25")
        .await
        .unwrap();
    assert_eq!(response.status(), 204);

    let [entry] = sandbox.journal().try_into().unwrap();
    assert_eq!(entry.task.as_deref(), Some("a/b? %"));
    assert_eq!(
        entry.target,
        "/beta/security/incidentTasks/a%2Fb%3F%20%25/executeResponseAction"
    );
    assert_eq!(
        (entry.version.as_str(), entry.header("authorization")),
        ("HTTP/2.0", Some("Bearer (present)"))
    );
    assert_eq!(
        (entry.committed, entry.answer, entry.finished),
        (true, Some(Answer::Status(204)), true)
    );
}

#[tokio::test]
async fn a_started_action_ends() {
    let sandbox = sandbox(Options {
        step: Duration::ZERO,
        ..Options::default()
    })
    .await;
    let caller = Caller::new(&sandbox, Http::One);
    for (id, action_status, status) in [
        ("213213", "completed", "open"),
        ("213216", "failed", "failed"),
    ] {
        assert_eq!(caller.execute(id).await.unwrap().status(), 204);
        let response = caller.get(&format!("security/incidentTasks/{id}")).await;
        assert_eq!(response.status(), 200);
        let task = json_of(response).await;
        assert_eq!(
            (&task["actionStatus"], &task["status"]),
            (&action_status.into(), &status.into())
        );
        assert_eq!(
            error_of(caller.execute(id).await.unwrap()).await.1,
            "ActionAlreadyInProgress"
        );
    }
    let list = json_of(caller.get("security/incidentTasks").await).await;
    let ids: Vec<_> = list["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["213213", "213214", "213215", "213216"]);
    assert_eq!(caller.get("security/incidentTasks/1").await.status(), 404);
}

#[tokio::test]
async fn other_methods_are_not_allowed() {
    let sandbox = sandbox(Options::default()).await;
    let caller = Caller::new(&sandbox, Http::One);
    let response = caller
        .get("security/incidentTasks/213213/executeResponseAction")
        .await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["allow"]),
        (405, &"POST".parse().unwrap())
    );
    assert_eq!((sandbox.posts("*"), sandbox.journal().len()), (0, 1));
}

#[tokio::test]
async fn reads_a_body_up_to_its_limit() {
    let sandbox = sandbox(Options::default()).await;
    let caller = Caller::new(&sandbox, Http::Two);
    let small = within(caller.post("213213").body("{}").send())
        .await
        .unwrap();
    let large = within(
        caller
            .post("213216")
            .body(vec![b' '; 1024 * 1024 + 1])
            .send(),
    )
    .await
    .unwrap();
    assert_eq!(
        (small.status().as_u16(), large.status().as_u16()),
        (204, 413)
    );
    assert_eq!(sandbox.journal()[0].body_length, 2);
    assert_eq!(sandbox.commits("213216"), 0);
}

#[tokio::test]
async fn tells_connections_apart() {
    let sandbox = sandbox(Options::default()).await;
    let (first, second) = (
        Caller::new(&sandbox, Http::One),
        Caller::new(&sandbox, Http::Two),
    );
    for caller in [&first, &first, &second] {
        let response = caller.execute("1").await.unwrap();
        within(response.bytes()).await.unwrap();
    }
    let connections: Vec<_> = sandbox
        .journal()
        .iter()
        .map(|entry| entry.connection)
        .collect();
    assert_eq!(connections, [1, 1, 2]);
}

#[tokio::test]
async fn reset_brings_the_seeds_back() {
    let sandbox = sandbox(Options::default()).await;
    let caller = Caller::new(&sandbox, Http::One);
    sandbox.put_task(Task::new("7"));
    sandbox.script("213213", [Fault::default(), Fault::reset()]);
    caller.execute("213213").await.unwrap();

    sandbox.reset();
    assert!(sandbox.journal().is_empty());
    assert_eq!(sandbox.task("7"), None);
    assert_eq!(sandbox.tasks(), Task::seeds());
    assert_eq!(caller.execute("213213").await.unwrap().status(), 204);
}

#[tokio::test]
async fn shutdown_closes_the_listener_and_every_connection() {
    let sandbox = sandbox(Options::default()).await;
    sandbox.script("213213", [Fault::hang()]);
    let caller = Caller::new(&sandbox, Http::Two);
    let (call, ()) = tokio::join!(caller.execute("213213"), async {
        within(sandbox.wait_for_posts("213213", 1)).await;
        within(sandbox.shutdown()).await;
    });
    assert!(call.is_err());
    assert!(within(TcpStream::connect(sandbox.addr())).await.is_err());
}
