//! Every way in which a call can fail, provoked over real sockets: what the
//! caller is told, and how often Graph was asked.

mod callers;
mod draining;
mod from_graph;
mod from_the_gateway;
mod malformed;
mod replies;
mod row;

use std::collections::HashSet;

use incidentgate::failure::Kind;
use tonic_types::StatusExt as _;

use self::row::Stage;
use crate::support::{Contract, RawCall, TOKEN, block_bytes};

#[tokio::test]
async fn every_row_of_the_status_table_is_answered_as_it_says() {
    let rows: Vec<_> = from_the_gateway::rows()
        .into_iter()
        .chain(from_graph::rows())
        .collect();
    let stage = Stage::set().await;
    let mut wrong = Vec::new();
    for row in &rows {
        let seen = row.provoke(&stage).await;
        if seen != row.expected() {
            wrong.push((row.when, row.expected(), seen));
        }
    }
    assert!(wrong.is_empty(), "(row, expected, seen): {wrong:#?}");

    let provoked: HashSet<Kind> = rows.iter().map(|row| row.kind).collect();
    for kind in Kind::ALL {
        // A panic has no way in from outside.
        let out_of_reach = kind == Kind::GatewayFault;
        assert_ne!(provoked.contains(&kind), out_of_reach, "{kind:?}");
    }
}

/// Reads an error off the wire and checks what holds for every error's bytes.
#[track_caller]
fn read(call: &RawCall) -> Contract {
    let status = call.grpc_status();
    let contract = Contract::of(&status);
    if let Some(task) = status.get_error_details().resource_info() {
        // Graph's own words, which the message has, too.
        assert!(status.message().ends_with(&task.description), "{task:?}");
    }
    assert_eq!(call.status, 200);
    assert!(call.body.is_empty());
    block_bytes(call.block());
    // Trailers-Only lets a mesh replay the call; headers, then trailers, do not.
    let is_committed = call.trailers.is_some() && !call.headers.contains_key("grpc-status");
    assert_eq!(is_committed, contract.outcome == "UNKNOWN", "{call:?}");
    for secret in [TOKEN, row::OWN_TOKEN] {
        assert!(!format!("{call:?}").contains(secret));
        assert!(!format!("{status:?}").contains(secret));
    }
    contract
}
