//! incidentgate
pub mod app;
pub mod authorization;
pub mod call;
pub mod cli;
pub mod command;
pub mod config;
pub mod credentials;
pub mod deadline;
pub mod failure;
pub mod graph;
pub mod retry;
pub mod rpc;
pub mod sandbox;
pub mod server;
pub mod telemetry;

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
