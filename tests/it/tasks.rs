//! Reading tasks, listing them, and setting their status.

mod get;
mod list;
mod telemetry;
mod update;

use incidentgate::sandbox::{Entry, Fault};

use crate::support::Gateway;

/// The requests to Graph's list or to a task, as `METHOD target`.
fn asked(gateway: &Gateway) -> Vec<String> {
    let journal = gateway.sandbox.journal();
    let line = |entry: &Entry| format!("{} {}", entry.method, entry.target);
    journal.iter().map(line).collect()
}

/// One answer, for GETs of a task.
fn on_read(faults: impl IntoIterator<Item = Fault>) -> impl Iterator<Item = Fault> {
    faults.into_iter().map(Fault::on_read)
}
