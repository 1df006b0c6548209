//! The control API over HTTP, as `curl` uses it.

use serde_json::{Value, json};

use super::fixture::{Caller, Http, sandbox, within};
use super::*;

struct Control {
    sandbox: Sandbox,
    caller: Caller,
}

impl Control {
    async fn start() -> Control {
        let sandbox = sandbox(Options::default()).await;
        let caller = Caller::new(&sandbox, Http::One);
        Control { sandbox, caller }
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let url = format!("http://{}/sandbox/{path}", self.sandbox.addr());
        let request = self
            .caller
            .client
            .request(method.parse().unwrap(), url)
            .body(body.to_owned());
        let response = within(request.send()).await.unwrap();
        let status = response.status().as_u16();
        let body = within(response.bytes()).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }
}

#[tokio::test]
async fn puts_and_lists_tasks() {
    let control = Control::start().await;
    let task = r#"{"actionType": "runAntiVirusScan", "actionOutcome": "fails"}"#;
    assert_eq!(control.ask("PUT", "tasks/a%2Fb", task).await.0, 204);
    assert_eq!(control.ask("PUT", "tasks/7", "{}").await.0, 204);
    assert_eq!(control.sandbox.task("7"), Some(Task::new("7")));

    let (status, tasks) = control.ask("GET", "tasks", "").await;
    assert_eq!((status, tasks.as_array().map(Vec::len)), (200, Some(6)));
    let put = tasks
        .as_array()
        .unwrap()
        .iter()
        .find(|task| task["id"] == "a/b")
        .unwrap();
    assert_eq!(
        *put,
        json!({"id": "a/b", "actionType": "runAntiVirusScan", "actionStatus": "notStarted", "status": "open", "actionOutcome": "fails", "incidentId": "123"})
    );
    assert_eq!(
        control.ask("PUT", "tasks/a%2Fb", &put.to_string()).await.0,
        204,
        "what was read may be put back"
    );
}

#[tokio::test]
async fn scripts_releases_and_shows_the_journal() {
    let control = Control::start().await;
    let faults = r#"[{"commit": true, "hold": true, "do": {"error": {"status": 504, "code": "UnknownError"}}}]"#;
    assert_eq!(
        control.ask("POST", "tasks/213213/faults", faults).await.0,
        204
    );

    let (response, ()) = tokio::join!(control.caller.execute("213213"), async {
        within(control.sandbox.wait_for_commits("213213", 1)).await;
        assert_eq!(control.ask("POST", "tasks/213213/release", "").await.0, 204);
    });
    assert_eq!(response.unwrap().status(), 504);

    let (status, journal) = control.ask("GET", "journal", "").await;
    assert_eq!(
        (status, journal.as_array().map(Vec::len)),
        (200, Some(1)),
        "control requests are not in it"
    );
    let entry = &journal[0];
    assert_eq!(entry["answer"], json!({"status": 504}));
    assert_eq!(
        (&entry["committed"], &entry["finished"], &entry["task"]),
        (&true.into(), &true.into(), &"213213".into())
    );

    assert_eq!(control.ask("DELETE", "journal", "").await.0, 204);
    assert!(control.sandbox.journal().is_empty());
    assert_eq!(control.ask("POST", "reset", "").await.0, 204);
    assert_eq!(control.sandbox.tasks(), Task::seeds());
}

#[tokio::test]
async fn any_task_is_a_star() {
    let control = Control::start().await;
    assert_eq!(
        control
            .ask(
                "POST",
                "tasks/*/faults",
                r#"[{"do": {"reply": {"status": 502}}}]"#
            )
            .await
            .0,
        204
    );
    assert_eq!(control.caller.execute("1").await.unwrap().status(), 502);
}

#[tokio::test]
async fn names_the_mistake() {
    let control = Control::start().await;
    for (method, path, body, status, mistake) in [
        (
            "PUT",
            "tasks/7",
            r#"{"actionKind": "text"}"#,
            422,
            "unknown field `actionKind`",
        ),
        (
            "PUT",
            "tasks/7",
            r#"{"status": "opened"}"#,
            422,
            "unknown variant `opened`",
        ),
        ("PUT", "tasks/7", r#"{"id": "8"}"#, 422, "id: differs"),
        ("PUT", "tasks/7", "", 400, "not JSON"),
        (
            "POST",
            "tasks/7/faults",
            r#"[{"comit": true}]"#,
            422,
            "unknown field `comit`",
        ),
        (
            "POST",
            "tasks/7/faults",
            r#"[{"do": "explode"}]"#,
            422,
            "unknown variant `explode`",
        ),
        (
            "POST",
            "tasks/7/faults",
            r#"[{"do": {"throttle": {"after": 1}}}]"#,
            422,
            "unknown field `after`",
        ),
        (
            "POST",
            "tasks/7/faults",
            r#"[{"do": {"reply": {"stat": 1}}}]"#,
            422,
            "unknown field `stat`",
        ),
        (
            "POST",
            "tasks/7/faults",
            r#"[{}, {"do": {"error": {"status": 99}}}]"#,
            422,
            "fault 1: status: expected",
        ),
        (
            "POST",
            "tasks/7/faults",
            r#"{"do": "reset"}"#,
            422,
            "invalid type: map, expected a sequence",
        ),
        ("POST", "task/7", "", 404, "no such path"),
    ] {
        let (got, answer) = control.ask(method, path, body).await;
        let said = answer["error"].as_str().unwrap_or_default();
        assert!(
            got == status && said.contains(mistake),
            "{body}: {got} {said}"
        );
    }
    assert_eq!(control.sandbox.task("7"), None);
}

#[tokio::test]
async fn accepts_every_example_of_the_documentation() {
    let control = Control::start().await;
    let mut examples = 0;
    for line in include_str!("../sandbox.rs").lines() {
        let Some(call) = line
            .strip_prefix("//! curl ")
            .filter(|call| call.contains("/sandbox/"))
        else {
            continue;
        };
        let (call, body) = call.split_once(" -d ").unwrap_or((call, ""));
        let (method, url) = call
            .strip_prefix("-X ")
            .map_or(("GET", call), |call| call.split_once(' ').unwrap());
        let path = url.trim_matches('\'').strip_prefix("$S/sandbox/").unwrap();
        let (status, answer) = control.ask(method, path, body.trim_matches('\'')).await;
        assert!(status < 300, "{line}: {status} {answer}");
        examples += 1;
    }
    assert_eq!(examples, 20);
}
