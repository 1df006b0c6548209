//! The control API under `/sandbox`: what the handle can do, over HTTP. The module's
//! documentation shows each call.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post, put};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::entra;
use super::fault::Fault;
use super::journal::Entry;
use super::task::Task;
use super::world::World;

/// The routes of the API.
pub(super) fn router(world: &Arc<World>) -> Router {
    Router::new()
        .route("/sandbox/tasks", get(tasks))
        .route("/sandbox/tasks/{id}", put(put_task))
        .route("/sandbox/tasks/{id}/faults", post(script))
        .route("/sandbox/tasks/{id}/release", post(release))
        .route("/sandbox/journal", get(journal).delete(clear_journal))
        .route("/sandbox/reset", post(reset))
        .with_state(Arc::clone(world))
        .merge(entra::router(Arc::clone(&world.entra)))
        .fallback(unknown)
}

/// A request that is refused, and the mistake in it.
pub(super) struct Mistake(StatusCode, String);

impl IntoResponse for Mistake {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

impl Mistake {
    pub(super) fn in_content(what: impl Into<String>) -> Mistake {
        Mistake(StatusCode::UNPROCESSABLE_ENTITY, what.into())
    }

    /// What nobody could have asked for better.
    pub(super) fn of_the_sandbox(what: String) -> Mistake {
        Mistake(StatusCode::INTERNAL_SERVER_ERROR, what)
    }
}

/// The body as JSON, whatever its content type: `curl -d` calls everything a form.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Mistake> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Mistake::in_content(error.to_string()),
        serde_json::error::Category::Io
        | serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof => {
            Mistake(StatusCode::BAD_REQUEST, format!("not JSON: {error}"))
        }
    })
}

/// The same where every field may be left out, so that no body is one too.
pub(super) fn parse_or_default<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, Mistake> {
    if body.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    parse(body)
}

async fn tasks(State(world): State<Arc<World>>) -> Json<Vec<Task>> {
    Json(world.tasks())
}

async fn put_task(
    State(world): State<Arc<World>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Mistake> {
    let task: Task = parse(&body)?;
    if !task.id.is_empty() && task.id != id {
        return Err(Mistake::in_content("id: differs from the id in the path"));
    }
    world.put_task(Task { id, ..task });
    Ok(StatusCode::NO_CONTENT)
}

async fn script(
    State(world): State<Arc<World>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Mistake> {
    let faults: Vec<Fault> = parse(&body)?;
    for (index, fault) in faults.iter().enumerate() {
        fault
            .check()
            .map_err(|mistake| Mistake::in_content(format!("fault {index}: {mistake}")))?;
    }
    world.script(&id, faults);
    Ok(StatusCode::NO_CONTENT)
}

async fn release(State(world): State<Arc<World>>, Path(id): Path<String>) -> StatusCode {
    world.release(&id);
    StatusCode::NO_CONTENT
}

async fn journal(State(world): State<Arc<World>>) -> Json<Vec<Entry>> {
    Json(world.journal())
}

async fn clear_journal(State(world): State<Arc<World>>) -> StatusCode {
    world.clear_journal();
    StatusCode::NO_CONTENT
}

async fn reset(State(world): State<Arc<World>>) -> StatusCode {
    world.reset();
    StatusCode::NO_CONTENT
}

async fn unknown() -> Mistake {
    Mistake(
        StatusCode::NOT_FOUND,
        "the control API has no such path".to_owned(),
    )
}
