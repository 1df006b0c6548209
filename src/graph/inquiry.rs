//! The requests that may be made again: they read, or set what they set.

use http::Method;
use reqwest::Url;
use serde_json::json;

use super::{
    Answered,
    classify::{BodyEnd, Reply, classify, failure, request_id},
    error_body::ErrorBody,
    request::Tasks,
    span::Operation,
    task::{self, Page},
};
use crate::{
    command::{GetTask, ListTasks, UpdateTask},
    failure::{Effect, Failure, Kind},
    task::{Member as _, Open, Task},
};

/// The most bytes of a page of tasks. One has a kilobyte, and a page 500 of them.
const MAX_PAGE_BYTES: usize = 2 * 1024 * 1024;

const NO_TASK: &str = "a success came back whose body is not an incident task, so something on the way may have answered";
const NO_PAGE: &str = "a success came back whose body is not a list of incident tasks, so something on the way may have answered";
const FOREIGN_PAGE: &str = "Graph's link to the next page leads to another place than its incident tasks, and is not followed";

/// A request that may be made again, and how its answer is read.
pub trait Inquiry: Send + Sync {
    /// What is found.
    type Found: Found;
    /// What it may have done when its answer is lost.
    const EFFECT: Effect;
    /// The most bytes of the answer that are read.
    const MAX_BYTES: usize = super::body::MAX_BODY_BYTES;

    /// What it is, for telemetry.
    #[doc(hidden)]
    fn operation() -> Operation;

    /// Method, address and body.
    #[doc(hidden)]
    fn request(&self, tasks: &Tasks) -> Option<(Method, Url, Option<String>)>;

    /// Interprets a successful answer whose body came to its end.
    #[doc(hidden)]
    fn found(&self, body: &[u8], tasks: &Tasks) -> Result<Self::Found, &'static str>;
}

/// What telemetry asks of something that was found.
pub trait Found {
    /// How far the action of a task is, in Graph's own word.
    fn action_status(&self) -> Option<&'static str> {
        None
    }
}

/// Reads an answer; pure.
pub(super) fn read<I: Inquiry>(
    inquiry: &I,
    tasks: &Tasks,
    reply: &Reply<'_>,
) -> Result<Answered<I::Found>, Failure> {
    if !reply.status.is_success() {
        // Not a success, so never `Ok`.
        classify(reply)?;
    }
    let unreadable = |why: &str| {
        let mut failure = failure(Kind::UnreadableReply, reply, ErrorBody::read(reply.body));
        failure.message = why.into();
        failure
    };
    match reply.body_end {
        BodyEnd::Lost => Err(failure(Kind::ResponseLost, reply, ErrorBody::default())),
        BodyEnd::TooLong => Err(unreadable(
            "Graph's answer is longer than this gateway reads; ask for less at a time",
        )),
        BodyEnd::Complete => Ok(Answered {
            found: inquiry.found(reply.body, tasks).map_err(unreadable)?,
            status: reply.status.as_u16(),
            graph_request_id: request_id(reply.headers),
        }),
    }
}

impl Inquiry for GetTask {
    type Found = Task;
    const EFFECT: Effect = Effect::Nothing;

    fn operation() -> Operation {
        Operation::Read
    }

    fn request(&self, tasks: &Tasks) -> Option<(Method, Url, Option<String>)> {
        Some((Method::GET, tasks.url(&self.task_id, "")?, None))
    }

    fn found(&self, body: &[u8], _tasks: &Tasks) -> Result<Task, &'static str> {
        task::read_task(body).ok_or(NO_TASK)
    }
}

impl Inquiry for UpdateTask {
    type Found = Task;
    const EFFECT: Effect = Effect::Update;

    fn operation() -> Operation {
        Operation::Update
    }

    fn request(&self, tasks: &Tasks) -> Option<(Method, Url, Option<String>)> {
        let body = json!({"status": self.status.as_str()}).to_string();
        Some((Method::PATCH, tasks.url(&self.task_id, "")?, Some(body)))
    }

    /// The page documents 200 and the task; what others of Graph's APIs answer to a PATCH
    /// is 204 and nothing.
    fn found(&self, body: &[u8], _tasks: &Tasks) -> Result<Task, &'static str> {
        if body.trim_ascii().is_empty() {
            return Ok(Task {
                id: Some(self.task_id.as_str().to_owned()),
                status: Some(Open::Known(self.status)),
                ..Task::default()
            });
        }
        task::read_task(body).ok_or(NO_TASK)
    }
}

impl Inquiry for ListTasks {
    type Found = Page;
    const EFFECT: Effect = Effect::Nothing;
    const MAX_BYTES: usize = MAX_PAGE_BYTES;

    fn operation() -> Operation {
        Operation::List
    }

    fn request(&self, tasks: &Tasks) -> Option<(Method, Url, Option<String>)> {
        Some((Method::GET, tasks.list(self), None))
    }

    fn found(&self, body: &[u8], tasks: &Tasks) -> Result<Page, &'static str> {
        let (mut page, link) = task::read_page(body).ok_or(NO_PAGE)?;
        page.tasks.retain(|task| self.wants(task));
        page.next = match link {
            Some(link) => Some(tasks.page_of_link(&link).ok_or(FOREIGN_PAGE)?),
            None => None,
        };
        Ok(page)
    }
}

impl Found for Task {
    fn action_status(&self) -> Option<&'static str> {
        // A word that is not known is Graph's text, and has no place in telemetry.
        let status = self.action_status.as_ref()?;
        Some(status.known().map_or("unknown", |known| known.as_str()))
    }
}

impl Found for Page {}
