//! The gateway from outside: real sockets, real clients, the sandbox as Graph.

mod deadline;
mod smoke;
mod support;
