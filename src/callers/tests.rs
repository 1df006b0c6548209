//! Callers against an issuer that the test runs.

mod admission;
mod forgeries;
mod issuer;
mod renewal;
mod signer;

use serde_json::{Value, json};

use self::{issuer::TestIssuer, signer::Signer};
use super::*;
use crate::caller::Pattern;

const AUDIENCE: &str = "api://gate";

/// When the tests' calls come.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

const NOW: u64 = 1_700_000_000;

fn options(issuer: &TestIssuer) -> JwtOptions {
    JwtOptions {
        issuer: issuer.name(),
        audiences: vec![AUDIENCE.to_owned(), "gate-id".to_owned()],
        clock_skew: Duration::from_secs(60),
        extra_roots: None,
        timeout: Duration::from_secs(30),
    }
}

/// Tokens of this issuer, and whoever has a name.
fn callers(issuer: &TestIssuer) -> Callers {
    let options = CallerOptions {
        jwt: Some(options(issuer)),
        policy: Policy {
            execute_response_action: vec![Pattern::Any],
            reflection: vec![Pattern::Any],
            ..Policy::default()
        },
        ..CallerOptions::default()
    };
    Callers::new(options, Metrics::disabled()).unwrap()
}

/// What a good token of this issuer says.
fn claims(issuer: &TestIssuer) -> Value {
    json!({
        "iss": issuer.name(),
        "aud": AUDIENCE,
        "exp": NOW + 600,
        "nbf": NOW - 5,
        "iat": NOW - 5,
        "azp": "app-1",
        "oid": "object-1",
        "sub": "subject-1",
        "roles": ["Execute"],
    })
}

fn bearer(token: &str) -> HeaderMap {
    let mut metadata = HeaderMap::new();
    metadata.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    metadata
}

/// A call with this token.
async fn admitted(
    callers: &Callers,
    presented: Presented<'_>,
    rpc: Rpc,
    now: SystemTime,
) -> Result<Caller, Failure> {
    let caller = callers.identify_at(presented, now).await?;
    callers.permit(caller, rpc)
}

async fn admit(callers: &Callers, token: &str) -> Result<Caller, Failure> {
    admit_at(callers, token, now()).await
}

async fn admit_at(callers: &Callers, token: &str, now: SystemTime) -> Result<Caller, Failure> {
    let metadata = bearer(token);
    let presented = Presented {
        metadata: &metadata,
        certificate: None,
        is_local: false,
    };
    admitted(callers, presented, Rpc::ExecuteResponseAction, now).await
}

fn named(caller: &Caller) -> String {
    let names: Vec<String> = caller.names().iter().map(ToString::to_string).collect();
    names.join(" ")
}
