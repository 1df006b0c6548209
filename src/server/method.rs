//! Which RPC a request is for.

use crate::telemetry::names;

const EXECUTE: &str = "incidentgate.v1.IncidentTaskService/ExecuteResponseAction";

/// An RPC by what the server does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Starts an action: traced, counted and limited.
    ExecuteResponseAction,
    /// Health: neither traced nor limited with the calls, so that a probe's answer never
    /// depends on the load and drowns no trace; and open to everybody.
    Health,
    /// Reflection, for tools: neither traced nor limited with the calls.
    Reflection,
    /// Anything else: traced as `_OTHER`.
    Unknown,
}

impl Method {
    /// Reads the request's path.
    pub fn of(path: &str) -> Self {
        let name = path.strip_prefix('/').unwrap_or(path);
        if name == EXECUTE {
            Self::ExecuteResponseAction
        } else if name.starts_with("grpc.health.v1.Health/") {
            Self::Health
        } else if name.starts_with("grpc.reflection.") {
            Self::Reflection
        } else {
            Self::Unknown
        }
    }

    /// `rpc.method`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ExecuteResponseAction => EXECUTE,
            Self::Health | Self::Reflection | Self::Unknown => names::OTHER,
        }
    }
}
