//! What the tests over sockets share: a sandbox on a free port, and two ways to call it.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Fault, Options, Sandbox};

/// A bound for what a broken sandbox would never do.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("nothing happened")
}

pub(super) async fn sandbox(options: Options) -> Sandbox {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Sandbox::start(listener, options).await.unwrap()
}

/// The seeded task that is ready.
pub(super) const ID: &str = "213213";

/// A sandbox with faults for that task.
pub(super) async fn scripted(faults: impl IntoIterator<Item = Fault>) -> Sandbox {
    let sandbox = sandbox(Options::default()).await;
    sandbox.script(ID, faults);
    sandbox
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Http {
    One,
    Two,
}

/// A caller with a connection pool of its own.
pub(super) struct Caller {
    pub(super) client: reqwest::Client,
    base: String,
    token: String,
}

impl Caller {
    pub(super) fn new(sandbox: &Sandbox, http: Http) -> Caller {
        let client = reqwest::Client::builder()
            .no_proxy()
            .retry(reqwest::retry::never())
            .timeout(PATIENCE);
        let client = match http {
            Http::One => client.http1_only(),
            Http::Two => client.http2_prior_knowledge(),
        };
        Caller {
            client: client.build().unwrap(),
            base: sandbox.graph_url(),
            token: sandbox.token().to_owned(),
        }
    }

    pub(super) fn post(&self, id: &str) -> reqwest::RequestBuilder {
        let url = format!(
            "{}/security/incidentTasks/{id}/executeResponseAction",
            self.base
        );
        self.client.post(url).bearer_auth(&self.token)
    }

    pub(super) async fn execute(&self, id: &str) -> reqwest::Result<reqwest::Response> {
        within(self.post(id).send()).await
    }

    pub(super) async fn get(&self, path: &str) -> reqwest::Response {
        let request = self
            .client
            .get(format!("{}/{path}", self.base))
            .bearer_auth(&self.token);
        within(request.send()).await.unwrap()
    }
}

pub(super) async fn json_of(response: reqwest::Response) -> Value {
    serde_json::from_slice(&within(response.bytes()).await.unwrap()).unwrap()
}

pub(super) async fn error_of(response: reqwest::Response) -> (u16, String, String) {
    let status = response.status().as_u16();
    let body = json_of(response).await;
    let text = |field: &str| body["error"][field].as_str().unwrap().to_owned();
    (status, text("code"), text("message"))
}

/// A POST byte by byte.
pub(super) fn raw_post(id: &str) -> String {
    format!(
        "POST /beta/security/incidentTasks/{id}/executeResponseAction HTTP/1.1\r\nHost: sandbox\r\n\
         Authorization: Bearer x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}

/// Sends bytes over a connection of their own, and returns what comes back until it ends,
/// and how it ends.
pub(super) async fn raw(sandbox: &Sandbox, request: &str) -> (Vec<u8>, std::io::Result<()>) {
    let mut stream = within(TcpStream::connect(sandbox.addr())).await.unwrap();
    within(stream.write_all(request.as_bytes())).await.unwrap();
    let mut received = Vec::new();
    let end = within(stream.read_to_end(&mut received)).await;
    (received, end.map(drop))
}
