//! The gateway from outside: real sockets, real clients, the sandbox as Graph.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod accepted;
mod attack;
mod audit;
mod call_logs;
mod call_metrics;
mod command_line;
mod connection;
mod credentials;
mod deadline;
mod departure;
mod detach;
mod drain;
mod graph_http2;
mod health;
mod layering;
mod leaks;
mod memory;
mod otlp;
mod outcomes;
mod overload;
mod process;
mod promises;
mod properties;
mod protocol;
mod readme;
mod reconciliation;
mod reflection;
mod refused;
mod refused_callers;
mod retries;
mod seeds;
mod service;
mod smoke;
mod span_addresses;
mod spans;
mod storm;
mod support;
mod throttle;
mod tls_listener;
mod trace_context;
mod unix_socket;
mod unreachable;
mod unusable_files;
mod upstream_tls;
