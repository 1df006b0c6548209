//! The gateway from outside: real sockets, real clients, the sandbox as Graph.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod accepted;
mod call_logs;
mod call_metrics;
mod layering;
mod leaks;
mod otlp;
mod outcomes;
mod process;
mod properties;
mod readme;
mod smoke;
mod span_addresses;
mod spans;
mod support;
mod trace_context;
