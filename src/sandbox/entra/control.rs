//! The control API under `/sandbox/entra`: what the handle can do with Entra, over HTTP.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Json;
use axum::routing::{get, post, put};
use serde::Deserialize;
use serde_json::{Value, json};

use super::authority::Authority;
use super::client::Registration;
use super::entry::EntraEntry;
use super::fault::EntraFault;
use super::mint::Mint;
use super::standing::Revoke;
use super::{Entra, TENANT};
use crate::sandbox::control::{Mistake, parse, parse_or_default};

/// The routes of the API.
pub(in crate::sandbox) fn router(entra: Arc<Entra>) -> Router {
    Router::new()
        .route("/sandbox/entra/clients/{id}", put(put_client))
        .route("/sandbox/entra/tokens", post(mint))
        .route("/sandbox/entra/faults", post(script))
        .route("/sandbox/entra/release", post(release))
        .route("/sandbox/entra/rotate", post(rotate))
        .route("/sandbox/entra/revoke", post(revoke))
        .route("/sandbox/entra/journal", get(journal).delete(clear_journal))
        .with_state(entra)
}

type Shared = State<Arc<Entra>>;

async fn put_client(
    State(entra): Shared,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Mistake> {
    let registration: Registration = parse(&body)?;
    let put = entra.state().clients.put(&id, registration);
    put.map_err(Mistake::in_content)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn mint(
    State(entra): Shared,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Mistake> {
    let mint: Mint = parse_or_default(&body)?;
    let authority = Authority::of(&uri, &headers, TENANT.to_owned());
    let token = entra.mint(&mint, &authority).await.map_err(broken)?;
    Ok(Json(json!({"access_token": token})))
}

async fn script(State(entra): Shared, body: Bytes) -> Result<StatusCode, Mistake> {
    let faults: Vec<EntraFault> = parse(&body)?;
    for (index, fault) in faults.iter().enumerate() {
        fault
            .check()
            .map_err(|mistake| Mistake::in_content(format!("fault {index}: {mistake}")))?;
    }
    entra.state().script.extend(faults);
    Ok(StatusCode::NO_CONTENT)
}

async fn release(State(entra): Shared) -> StatusCode {
    entra.release();
    StatusCode::NO_CONTENT
}

/// How keys are rotated.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Rotate {
    /// Whether the earlier keys stay published.
    keep: bool,
}

async fn rotate(State(entra): Shared, body: Bytes) -> Result<StatusCode, Mistake> {
    let rotate: Rotate = parse_or_default(&body)?;
    entra.rotate(rotate.keep).await.map_err(broken)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn revoke(State(entra): Shared, body: Bytes) -> Result<StatusCode, Mistake> {
    entra.revoke(parse_or_default::<Revoke>(&body)?);
    Ok(StatusCode::NO_CONTENT)
}

async fn journal(State(entra): Shared) -> Json<Vec<EntraEntry>> {
    Json(entra.entries())
}

async fn clear_journal(State(entra): Shared) -> StatusCode {
    entra.state().journal.clear();
    StatusCode::NO_CONTENT
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "map_err hands the error over"
)]
fn broken(error: io::Error) -> Mistake {
    Mistake::of_the_sandbox(error.to_string())
}
