//! The gateway from outside: real sockets, real clients, the sandbox as Graph.

mod call_logs;
mod call_metrics;
mod leaks;
mod smoke;
mod spans;
mod support;
mod trace_context;
