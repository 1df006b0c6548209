//! What a request asks Graph for, read from its method and path.

use bytes::Bytes;
use http::{Method, Uri};
use percent_encoding::percent_decode_str;

use super::verdict::Verdict;

const EXECUTE: &str = "executeResponseAction";
/// The full name of the action, which generated clients use.
const EXECUTE_QUALIFIED: &str = "microsoft.graph.security.executeResponseAction";

/// What a request asks Graph for.
pub(super) enum Operation {
    /// To start a task's action.
    Execute(String),
    /// A task.
    Read(String),
    /// To change a task, by this body.
    Update(String, Bytes),
    /// Every task, or those that the query tells.
    List(String),
}

impl Operation {
    /// Reads the path as it was received, segment by segment: what is encoded in an id
    /// stays in the id.
    pub(super) fn parse(method: &Method, uri: &Uri) -> Result<Operation, Verdict> {
        let segments: Vec<_> = uri
            .path()
            .split('/')
            .skip(1)
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy())
            .collect();
        let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        let (allowed, operation) = match segments.as_slice() {
            ["beta" | "v1.0", "security", "incidentTasks"] => {
                let query = uri.query().unwrap_or_default().to_owned();
                (Method::GET, Operation::List(query))
            }
            ["beta" | "v1.0", "security", "incidentTasks", id] if *method == Method::PATCH => (
                Method::PATCH,
                Operation::Update((*id).to_owned(), Bytes::new()),
            ),
            ["beta" | "v1.0", "security", "incidentTasks", id] => {
                (Method::GET, Operation::Read((*id).to_owned()))
            }
            [
                "beta" | "v1.0",
                "security",
                "incidentTasks",
                id,
                EXECUTE | EXECUTE_QUALIFIED,
            ] => (Method::POST, Operation::Execute((*id).to_owned())),
            _ => return Err(unknown(&segments)),
        };
        if *method == allowed {
            return Ok(operation);
        }
        let refusal = Verdict::error(
            405,
            "MethodNotAllowed",
            format!("Method {method} is not allowed."),
        );
        Err(refusal.with([("Allow".to_owned(), allowed.to_string())]))
    }

    /// The id of the task that it is about.
    pub(super) fn task(&self) -> Option<&str> {
        match self {
            Operation::Execute(id) | Operation::Read(id) | Operation::Update(id, _) => Some(id),
            Operation::List(_) => None,
        }
    }

    /// The same with the body that came for it.
    pub(super) fn with_body(self, body: Bytes) -> Operation {
        match self {
            Operation::Update(id, _) => Operation::Update(id, body),
            Operation::Execute(_) | Operation::Read(_) | Operation::List(_) => self,
        }
    }
}

/// Graph names the first segment that it cannot follow.
fn unknown(segments: &[&str]) -> Verdict {
    let known = match segments {
        [
            "beta" | "v1.0",
            "security",
            "incidentTasks",
            _,
            EXECUTE | EXECUTE_QUALIFIED,
            ..,
        ] => 5,
        ["beta" | "v1.0", "security", "incidentTasks", ..] => 4,
        ["beta" | "v1.0", "security", ..] => 2,
        ["beta" | "v1.0", ..] => 1,
        _ => 0,
    };
    let segment = segments.get(known).copied().unwrap_or_default();
    Verdict::error(
        400,
        "BadRequest",
        format!("Resource not found for the segment '{segment}'."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_decoded_segment() {
        for (path, id) in [
            (
                "/beta/security/incidentTasks/213213/executeResponseAction",
                "213213",
            ),
            (
                "/v1.0/security/incidentTasks/1/microsoft.graph.security.executeResponseAction",
                "1",
            ),
            (
                "/beta/security/incidentTasks/a%2Fb%3F%20%25/executeResponseAction",
                "a/b? %",
            ),
            (
                "/beta/security/incidentTasks/%2e%2e/executeResponseAction",
                "..",
            ),
            ("/beta/security/incidentTasks//executeResponseAction", ""),
        ] {
            match Operation::parse(&Method::POST, &path.parse().unwrap()) {
                Ok(Operation::Execute(parsed)) => assert_eq!(parsed, id, "{path}"),
                Ok(Operation::Read(_) | Operation::Update(..) | Operation::List(_)) | Err(_) => {
                    panic!("{path}")
                }
            }
        }
    }

    #[test]
    fn names_the_first_segment_that_is_unknown() {
        for (path, segment) in [
            ("/", ""),
            ("/v2/security", "v2"),
            ("/beta/users/1", "users"),
            ("/beta/security/incidents", "incidents"),
            (
                "/beta/security/incidentTasks/a/b/executeResponseAction",
                "b",
            ),
            ("/beta/security/incidentTasks/1/execute", "execute"),
            (
                "/beta/security/incidentTasks/1/executeResponseAction/x",
                "x",
            ),
        ] {
            let known = unknown(&path.split('/').skip(1).collect::<Vec<_>>());
            assert!(
                format!("{known:?}").contains(&format!("segment '{segment}'")),
                "{path}: {known:?}"
            );
        }
    }
}
