//! Pending calls as a table for people.

use std::iter;

use super::now::Now;
use crate::{
    audit::{Caller, pending::PendingCall},
    cli::table,
};

/// A column: its head, and what stands in it.
type Column = (&'static str, fn(&PendingCall) -> String);

const COLUMNS: [Column; 6] = [
    ("TIME", |call| call.time.clone()),
    ("TASK", |call| call.task_id.clone()),
    ("CLIENT-REQUEST-ID", |call| call.client_request_id.clone()),
    ("OUTCOME", outcome),
    ("TRACE", |call| {
        call.trace_id.clone().unwrap_or_else(|| "-".to_owned())
    }),
    ("CALLER (claims unverified)", |call| caller(&call.caller)),
];

/// One row for each call; `now` has one answer for each, in the last column.
pub(super) fn table(calls: &[PendingCall], now: Option<&[Now]>) -> String {
    let mut head: Vec<_> = COLUMNS.iter().map(|(head, _)| (*head).to_owned()).collect();
    head.extend(now.map(|_| "NOW".to_owned()));
    let row = |(n, call): (usize, _)| {
        let now = now.map(|now| now[n].text());
        COLUMNS
            .iter()
            .map(|(_, cell)| cell(call))
            .chain(now)
            .collect()
    };
    let rows = calls.iter().enumerate().map(row);
    table::lines(iter::once(head).chain(rows).collect())
}

fn outcome(call: &PendingCall) -> String {
    match (&call.outcome, &call.reason) {
        (None, _) => "-".to_owned(),
        (Some(outcome), None) => outcome.clone(),
        (Some(outcome), Some(reason)) => format!("{outcome} ({reason})"),
    }
}

fn caller(caller: &Caller) -> String {
    let claims = [
        ("app", &caller.claims.app),
        ("tenant", &caller.claims.tenant),
        ("object", &caller.claims.object),
    ];
    let claims = claims
        .into_iter()
        .filter_map(|(name, claim)| Some(format!(" {name}={}", claim.as_ref()?)));
    iter::once(caller.peer.clone()).chain(claims).collect()
}
