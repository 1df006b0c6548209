//! The gateway from outside: real sockets, real clients, the sandbox as Graph.

#![allow(
    clippy::unwrap_used,
    reason = "what is unwrapped in a test is what the test expects"
)]

mod connection;
mod deadline;
mod departure;
mod detach;
mod drain;
mod graph_http2;
mod health;
mod protocol;
mod reflection;
mod smoke;
mod storm;
#[allow(
    dead_code,
    reason = "a fixture offers what its tests have in common, used or not"
)]
mod support;
