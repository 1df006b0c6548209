//! A gRPC gateway for Microsoft Graph's incidentTask: executeResponseAction.

pub mod authorization;
pub mod call;
pub mod command;
pub mod config;
pub mod deadline;
pub mod failure;
pub mod graph;
pub mod retry;
pub mod sandbox;
pub mod telemetry;
