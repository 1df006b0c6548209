//! As whom Graph is called: every way to a token, and whatever can go wrong on it.

mod application;
mod managed;
mod on_behalf_of;
mod proofs;

use incidentgate::sandbox::{EntraEntry, Sandbox};

use crate::support::points;

/// The requests to the token endpoint, as far as they have been answered.
fn token_requests(sandbox: &Sandbox) -> Vec<EntraEntry> {
    let entries = sandbox.entra_journal().into_iter();
    entries.filter(|entry| entry.grant_type.is_some()).collect()
}

/// The points of one metric.
fn of_metric(gateway: &crate::support::Gateway, name: &str) -> Vec<String> {
    let all = points(&gateway.metrics());
    all.into_iter()
        .filter(|point| point.contains(name))
        .collect()
}
