//! Which RPC a request is for.

use crate::{callers::Rpc, failure::Effect, telemetry::names};

const SERVICE: &str = "incidentgate.v1.IncidentTaskService/";

/// An RPC by what the server does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// One of the gateway's own: traced, counted and limited.
    Task(TaskMethod),
    /// Health: neither traced nor limited with the calls, so that a probe's answer never
    /// depends on the load and drowns no trace; and open to everybody.
    Health,
    /// Reflection, for tools: neither traced nor limited with the calls.
    Reflection,
    /// Anything else: traced as `_OTHER`.
    Unknown,
}

/// An RPC of the gateway's own service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskMethod {
    /// Starts an action.
    ExecuteResponseAction,
    /// Reads a task.
    GetIncidentTask,
    /// Reads a page of tasks.
    ListIncidentTasks,
    /// Sets a task's status.
    UpdateIncidentTask,
    /// Follows a task: its answer is a stream.
    WatchIncidentTask,
}

// === impl Method ===

impl Method {
    /// Reads the request's path.
    pub fn of(path: &str) -> Self {
        let name = path.strip_prefix('/').unwrap_or(path);
        if let Some(rpc) = name.strip_prefix(SERVICE) {
            TaskMethod::of(rpc).map_or(Self::Unknown, Self::Task)
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
            Self::Task(method) => method.name(),
            Self::Health | Self::Reflection | Self::Unknown => names::OTHER,
        }
    }

    /// What a call of it may have done when it fails. Of what is not known nobody can say.
    pub const fn effect(self) -> Effect {
        match self {
            Self::Task(method) => method.effect(),
            Self::Health | Self::Reflection | Self::Unknown => Effect::Action,
        }
    }

    /// Whether it is the one that starts an action.
    pub fn is_action(self) -> bool {
        self == Self::Task(TaskMethod::ExecuteResponseAction)
    }
}

// === impl TaskMethod ===

impl TaskMethod {
    fn of(rpc: &str) -> Option<Self> {
        Some(match rpc {
            "ExecuteResponseAction" => Self::ExecuteResponseAction,
            "GetIncidentTask" => Self::GetIncidentTask,
            "ListIncidentTasks" => Self::ListIncidentTasks,
            "UpdateIncidentTask" => Self::UpdateIncidentTask,
            "WatchIncidentTask" => Self::WatchIncidentTask,
            _ => return None,
        })
    }

    /// `rpc.method`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ExecuteResponseAction => {
                "incidentgate.v1.IncidentTaskService/ExecuteResponseAction"
            }
            Self::GetIncidentTask => "incidentgate.v1.IncidentTaskService/GetIncidentTask",
            Self::ListIncidentTasks => "incidentgate.v1.IncidentTaskService/ListIncidentTasks",
            Self::UpdateIncidentTask => "incidentgate.v1.IncidentTaskService/UpdateIncidentTask",
            Self::WatchIncidentTask => "incidentgate.v1.IncidentTaskService/WatchIncidentTask",
        }
    }

    /// The name alone, as in the proto.
    pub fn short_name(self) -> &'static str {
        self.name().strip_prefix(SERVICE).unwrap_or_default()
    }

    /// As the policy knows it.
    pub(super) const fn rpc(self) -> Rpc {
        match self {
            Self::ExecuteResponseAction => Rpc::ExecuteResponseAction,
            Self::GetIncidentTask => Rpc::GetIncidentTask,
            Self::ListIncidentTasks => Rpc::ListIncidentTasks,
            Self::UpdateIncidentTask => Rpc::UpdateIncidentTask,
            Self::WatchIncidentTask => Rpc::WatchIncidentTask,
        }
    }

    const fn effect(self) -> Effect {
        match self {
            Self::ExecuteResponseAction => Effect::Action,
            Self::UpdateIncidentTask => Effect::Update,
            Self::GetIncidentTask | Self::ListIncidentTasks | Self::WatchIncidentTask => {
                Effect::Nothing
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::{FileDescriptorSet, MethodOptions};

    use super::*;
    use crate::pb::DESCRIPTORS;

    #[test]
    fn every_rpc_of_the_proto_is_known_by_its_name() {
        let descriptors = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
        let services = descriptors.file.iter().flat_map(|file| &file.service);
        let service = services
            .clone()
            .find(|service| service.name() == "IncidentTaskService")
            .unwrap();
        assert_eq!(service.method.len(), 5);
        for method in &service.method {
            let name = format!("{SERVICE}{}", method.name());
            let known = Method::of(&format!("/{name}"));
            let Method::Task(known) = known else {
                panic!("{name}");
            };
            assert_eq!(
                (known.name(), known.short_name()),
                (name.as_str(), method.name())
            );
            // What the proto promises is what failures are told by.
            let level = method
                .options
                .as_ref()
                .map(MethodOptions::idempotency_level);
            let is_idempotent = level.is_some_and(|level| level as i32 != 0);
            assert_eq!(known.effect().is_idempotent(), is_idempotent, "{name}");
        }
    }

    #[test]
    fn what_only_looks_like_an_rpc_is_unknown() {
        for path in [
            "/",
            "/incidentgate.v1.IncidentTaskService/",
            "/incidentgate.v1.IncidentTaskService/executeResponseAction",
            "/incidentgate.v1.IncidentTaskService/ExecuteResponseAction/",
            "/incidentgate.v1.Other/ExecuteResponseAction",
        ] {
            assert_eq!(Method::of(path), Method::Unknown, "{path}");
        }
    }
}
