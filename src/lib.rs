//! A gRPC gateway for Microsoft Graph's incidentTask: executeResponseAction.

pub mod config;
pub mod failure;
pub mod sandbox;
pub mod telemetry;
