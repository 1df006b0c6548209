//! The server: gRPC over HTTP/2 on an accept loop of its own.
//!
//! tonic's transport cannot end a drain, cuts calls at a connection's age, and
//! answers timeouts with a code that meshes replay; so connections are run here,
//! by hyper, and only the services are tonic's.
//!
//! | file | does |
//! |---|---|
//! | `listener` | accepts connections, within a cap |
//! | `unix` | a unix socket's file |
//! | `tls` | the TLS handshake, and the certificate that it shows |
//! | `slots` | how many connections, and who gives way to others |
//! | `connection` | one connection's life: handshake, age, idleness, GOAWAY |
//! | `front` | what happens to a request before and after its service |
//! | `services` | which service a request is for |
//! | `grpc_timeout` | the caller's deadline |
//! | `observation` | the server span and the metric of one call |
//! | `reply` | a response on its way out: its encoding, its end |
//! | `health` | `grpc.health.v1` |
//! | `lifecycle` | the drain |

mod connection;
mod front;
mod grpc_timeout;
pub mod health;
mod lifecycle;
mod listener;
mod method;
mod observation;
mod reply;
mod services;
mod slots;
mod tls;
mod unix;
mod wire;

use std::time::Duration;

pub use front::Front;
pub use grpc_timeout::parse as parse_grpc_timeout;
pub use lifecycle::{DrainTimes, Drained, Lifecycle, Shutdown};
pub use listener::{ListenError, Listener, serve};
pub use method::Method;
pub use services::Services;
pub use tls::{Tls, TlsOptions};
pub use unix::{BindError, UnixSocket};

use crate::rpc::PlaceLimits;

/// What a peer may use of the server.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time; further ones wait in the kernel's queue.
    pub max_connections: usize,
    /// Calls at a time on one connection.
    pub max_concurrent_streams: u32,
    /// The bytes of one request's headers; Entra tokens can be large.
    pub max_header_list_size: u32,
    /// Action calls at a time on all connections together, and those that wait.
    pub places: PlaceLimits,
    /// Calls at a time that follow a task.
    pub max_watchers: usize,
    /// From accept to the end of the HTTP/2 handshake, the TLS handshake included.
    pub handshake_timeout: Duration,
    /// A connection without calls for this long is closed.
    pub idle_timeout: Duration,
    /// A connection this old is closed, give or take a tenth; calls on it may finish.
    pub max_connection_age: Duration,
    /// How long the calls on a connection that is being closed may take.
    pub max_connection_age_grace: Duration,
    /// How often a connection is pinged.
    pub keepalive_interval: Duration,
    /// How long a ping may go unanswered.
    pub keepalive_timeout: Duration,
    /// The time of a call whose caller sets no deadline.
    pub default_deadline: Duration,
    /// The most time of a call.
    pub max_deadline: Duration,
}
