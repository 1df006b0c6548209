//! A gRPC gateway in front of one Microsoft Graph action:
//! `POST {graph}/security/incidentTasks/{incidentTaskId}/executeResponseAction`.
//!
//! One promise: **after every call the caller knows whether the action was started
//! (yes, no, or unknown, never a guess), and the gateway never starts it twice by
//! itself.**
//!
//! # One call, file by file
//!
//! | step | where | what |
//! |---|---|---|
//! | 1 | [`server`] `listener`, `connection` | a connection is accepted, shakes hands, and lives within its limits |
//! | 2 | [`server`] `front`, `observation` | is it gRPC? span and metrics begin; draining? |
//! | 3 | [`server`] `grpc_timeout`, [`deadline`] | until when it must be answered |
//! | 4 | [`callers`], [`caller`] | who calls, and whether they may |
//! | 5 | [`rpc`] `validate`, [`command`] | the message becomes a command, or all its faults at once |
//! | 6 | [`call`] | the spine: a place, attempt, decide, and what happens when the caller leaves |
//! | 7 | [`credentials`], [`authorization`] | as whom Graph is called |
//! | 8 | [`throttle`] | has Graph asked this credential to wait? |
//! | 9 | [`graph`] `client`, `departure`, `exchange`, `refusal` | one POST, whether it may have left, and its end |
//! | 10 | [`graph`] `classify` | what came back is a success or a [`failure`] |
//! | 11 | [`retry`] | what to do about a failure: a pure decision |
//! | 12 | [`rpc`] `status`, `table` | a failure becomes a rich status within a byte budget |
//! | 13 | [`server`] `reply` | an unknown outcome is encoded so that no mesh replays it |
//!
//! Before a POST leaves, and when its outcome is known, [`audit`] records it.
//!
//! The other RPCs go the same way, but for the middle of it: what may be made again is an
//! inquiry ([`call`] `ask`, [`graph`] `inquiry`) about a [`task`], and who follows a task
//! shares its readings with others ([`call`] `watch`).
//!
//! Whom a connection belongs to is a [`peer`]. Certificates and keys come from files
//! ([`tls`]), which are read again when they change ([`reload`]). Tokens and an issuer's
//! signing keys are [`renewable`], and come by [`outbound`] requests. [`scan`] looks through
//! text fast, [`json`] writes it, [`pipe`] keeps lines whole, and a [`bell`] gathers what is
//! to be done at once.
//!
//! Around it: [`config`] is validated before a port is opened, [`app`] builds
//! everything, [`cli`] has the commands, [`telemetry`] the names, spans, metrics and
//! logs, and [`sandbox`] is a Graph and an Entra that misbehave on demand and know nobody.
//!
//! Imports run one way: `cli` → `app` → `server`, `rpc` → `call`, `callers` → `graph`,
//! `credentials`, `retry` → `failure`. Only `rpc`, `server`, `app` and `cli` name tonic;
//! only `graph` and `outbound` name reqwest.

pub mod app;
pub mod audit;
pub mod authorization;
pub mod bell;
pub mod call;
pub mod caller;
pub mod callers;
pub mod cause;
pub mod cli;
pub mod command;
pub mod config;
pub mod credentials;
pub mod deadline;
pub mod failure;
pub mod graph;
pub mod json;
pub mod listen_address;
pub mod outbound;
pub mod peer;
pub mod pipe;
pub mod reload;
pub mod renewable;
pub mod retry;
pub mod rpc;
pub mod sandbox;
pub mod scan;
pub mod secret;
pub mod server;
pub mod task;
pub mod telemetry;
pub mod throttle;
pub mod tls;

/// The generated types of `proto/`.
pub mod pb {
    #![allow(
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes_without_reason,
        missing_docs,
        reason = "generated code"
    )]

    tonic::include_proto!("incidentgate.v1");

    /// The standard health protocol, with List (gRFC A90).
    pub mod health {
        tonic::include_proto!("grpc.health.v1");
    }

    /// The descriptors of all protos, for reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
}
