//! Who may use which RPC.

use std::sync::Arc;

use crate::{
    caller::{Caller, Pattern},
    failure::{Failure, Kind},
};

/// Who may do what. Health is open to everybody and has no row here.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Who may start actions.
    pub execute_response_action: Vec<Pattern>,
    /// Who may read tasks.
    pub get_incident_task: Vec<Pattern>,
    /// Who may list tasks.
    pub list_incident_tasks: Vec<Pattern>,
    /// Who may set the status of tasks.
    pub update_incident_task: Vec<Pattern>,
    /// Who may follow tasks.
    pub watch_incident_task: Vec<Pattern>,
    /// Who may use reflection.
    pub reflection: Vec<Pattern>,
}

/// What a caller wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rpc {
    /// Start an action.
    ExecuteResponseAction,
    /// Read a task.
    GetIncidentTask,
    /// List tasks.
    ListIncidentTasks,
    /// Set a task's status.
    UpdateIncidentTask,
    /// Follow a task.
    WatchIncidentTask,
    /// Read the service's description.
    Reflection,
}

/// The policy, with each pattern also as text.
#[derive(Debug)]
pub(super) struct Listed {
    execute_response_action: Patterns,
    get_incident_task: Patterns,
    list_incident_tasks: Patterns,
    update_incident_task: Patterns,
    watch_incident_task: Patterns,
    reflection: Patterns,
}

type Patterns = Vec<(Pattern, Arc<str>)>;

impl Listed {
    pub(super) fn new(policy: Policy) -> Self {
        let listed = |patterns: Vec<Pattern>| {
            let with_text = |pattern: Pattern| {
                let text = pattern.to_string().into();
                (pattern, text)
            };
            patterns.into_iter().map(with_text).collect()
        };
        Self {
            execute_response_action: listed(policy.execute_response_action),
            get_incident_task: listed(policy.get_incident_task),
            list_incident_tasks: listed(policy.list_incident_tasks),
            update_incident_task: listed(policy.update_incident_task),
            watch_incident_task: listed(policy.watch_incident_task),
            reflection: listed(policy.reflection),
        }
    }

    /// The caller, if one of the patterns names it.
    pub(super) fn permit(&self, caller: Caller, rpc: Rpc) -> Result<Caller, Failure> {
        let patterns = match rpc {
            Rpc::ExecuteResponseAction => &self.execute_response_action,
            Rpc::GetIncidentTask => &self.get_incident_task,
            Rpc::ListIncidentTasks => &self.list_incident_tasks,
            Rpc::UpdateIncidentTask => &self.update_incident_task,
            Rpc::WatchIncidentTask => &self.watch_incident_task,
            Rpc::Reflection => &self.reflection,
        };
        let allowing = patterns
            .iter()
            .find(|(pattern, _)| caller.is_named_by(pattern));
        match allowing {
            Some((_, text)) => Ok(caller.allowed_by(Arc::clone(text))),
            None => Err(refuse_unnamed(rpc)),
        }
    }
}

impl Rpc {
    /// As the message for a caller names it.
    const fn what(self) -> &'static str {
        match self {
            Self::ExecuteResponseAction => "call ExecuteResponseAction",
            Self::GetIncidentTask => "call GetIncidentTask",
            Self::ListIncidentTasks => "call ListIncidentTasks",
            Self::UpdateIncidentTask => "call UpdateIncidentTask",
            Self::WatchIncidentTask => "call WatchIncidentTask",
            Self::Reflection => "use reflection",
        }
    }

    /// The key of the configuration that lists who may.
    const fn key(self) -> &'static str {
        match self {
            Self::ExecuteResponseAction => "policy.execute_response_action",
            Self::GetIncidentTask => "policy.get_incident_task",
            Self::ListIncidentTasks => "policy.list_incident_tasks",
            Self::UpdateIncidentTask => "policy.update_incident_task",
            Self::WatchIncidentTask => "policy.watch_incident_task",
            Self::Reflection => "policy.reflection",
        }
    }
}

/// None of the caller's names is listed. The message tells none: they are the caller's
/// own, but whoever reads an error report may be somebody else.
fn refuse_unnamed(rpc: Rpc) -> Failure {
    Failure::new(
        Kind::CallerNotAllowed,
        format!(
            "you may not {}: this gateway knows who you are, and its `{}` does not name you",
            rpc.what(),
            rpc.key()
        ),
    )
}
