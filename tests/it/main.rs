//! The gateway from outside: real sockets, real clients, the sandbox as Graph.

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
mod support;
