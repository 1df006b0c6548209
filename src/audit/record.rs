//! What a line of the audit log says.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::members::Members;
use crate::{authorization::Claims, caller::MAX_IDENTITIES, telemetry};

/// The most characters of a task's id; the gateway takes no longer one.
const MAX_TASK_ID: usize = 256;
/// The most characters of every other text, most of which a peer chooses.
const MAX_TEXT: usize = 128;
/// A proven name is cut at so many characters; a SPIFFE ID has 2048 bytes at most.
const MAX_NAME: usize = 2048;

/// What is known of a call before its request leaves.
#[derive(Debug, Clone)]
pub struct Intent {
    /// What it is to do.
    pub act: Act,
    /// The task that it is about.
    pub task_id: String,
    /// The `client-request-id` that Graph gets.
    pub client_request_id: String,
    /// Who asks.
    pub caller: Caller,
    /// The id of the call's trace, where it has one.
    pub trace_id: Option<String>,
}

/// What a call is to do. Reading is nothing that is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Start the task's action.
    Execute,
    /// Set the task's status, to this word of Graph's.
    SetStatus(&'static str),
}

/// Who asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The address of the socket's other end: a proxy's, where there is one.
    pub peer: String,
    /// The names that the caller has proven to have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The pattern of the policy that lets the caller in.
    #[serde(default, rename = "allowedBy", skip_serializing_if = "Option::is_none")]
    pub allowed_by: Option<String>,
    /// What the caller's token says, which nobody has verified; the key in the log says so.
    #[serde(
        rename = "unverified",
        default,
        skip_serializing_if = "Claims::is_empty"
    )]
    pub claims: Claims,
}

/// What became of a call.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Whether the action was started, or the status was set.
    pub outcome: telemetry::Outcome,
    /// The upper-case name of the gRPC status that the caller got, or would have got.
    pub code: &'static str,
    /// The reason of a failure, as in the status details.
    pub reason: Option<String>,
    /// The `request-id` of Graph's answer.
    pub graph_request_id: Option<String>,
    /// How many requests may have left; 0 also where a fault of the gateway kept them from
    /// being counted.
    pub attempts: u32,
}

/// Which of its call's two records a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Event {
    Intent,
    Outcome,
}

/// What both lines of a call say, its id among them: made once.
#[derive(Debug)]
pub(super) struct Subject {
    act: Act,
    members: Members,
}

/// Room in bytes for what is usual; a longer text takes more.
const USUAL_SUBJECT: usize = 384;
const BESIDE_SUBJECT: usize = 256;

/// The member that tells a record of a new status from one of an action.
const SET_STATUS: &str = "setStatus";

// === impl Act ===

impl Act {
    /// The word for what became of it.
    fn outcome(self, outcome: telemetry::Outcome) -> &'static str {
        use telemetry::Outcome::{AlreadyStarted, NotStarted, Observed, Started, Unknown};
        match (self, outcome) {
            (Self::Execute, outcome) => outcome.as_str(),
            (Self::SetStatus(_), Started | Observed) => "UPDATED",
            (Self::SetStatus(_), NotStarted | AlreadyStarted) => "NOT_UPDATED",
            (Self::SetStatus(_), Unknown) => "UNKNOWN",
        }
    }
}

// === impl Subject ===

impl Subject {
    /// Of the call whose lines `id` joins. Every text is capped and free of control
    /// characters.
    pub(super) fn new(id: Uuid, intent: &Intent) -> Self {
        let mut members = Members::loose(USUAL_SUBJECT);
        let mut buffer = Uuid::encode_buffer();
        members.text("id", id.hyphenated().encode_lower(&mut buffer), MAX_TEXT);
        members.text("taskId", &intent.task_id, MAX_TASK_ID);
        if let Act::SetStatus(status) = intent.act {
            members.text(SET_STATUS, status, MAX_TEXT);
        }
        members.text("clientRequestId", &intent.client_request_id, MAX_TEXT);
        members.optional("traceId", intent.trace_id.as_deref(), MAX_TEXT);
        members.object("caller", |members| intent.caller.write(members));
        Self {
            act: intent.act,
            members,
        }
    }

    /// The line that says that the request is about to leave.
    pub(super) fn intent_line(&self, now: SystemTime) -> Vec<u8> {
        self.begin(now, Event::Intent).into_line()
    }

    /// The line that says what became of it, so long after the intent.
    pub(super) fn outcome_line(
        &self,
        now: SystemTime,
        outcome: &Outcome,
        elapsed: Duration,
    ) -> Vec<u8> {
        let mut line = self.begin(now, Event::Outcome);
        line.text("outcome", self.act.outcome(outcome.outcome), MAX_TEXT);
        line.text("code", outcome.code, MAX_TEXT);
        line.optional("reason", outcome.reason.as_deref(), MAX_TEXT);
        let graph_request_id = outcome.graph_request_id.as_deref();
        line.optional("graphRequestId", graph_request_id, MAX_TEXT);
        line.number("attempts", outcome.attempts.into());
        let elapsed = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        line.number("durationMs", elapsed);
        line.into_line()
    }

    /// A line as far as the subject. The time is RFC 3339 in UTC, with microseconds.
    fn begin(&self, now: SystemTime, event: Event) -> Members {
        let mut line = Members::of_line(self.members.len() + BESIDE_SUBJECT);
        let now = humantime::format_rfc3339_micros(now).to_string();
        line.text("time", &now, MAX_TEXT);
        line.text("event", event.as_str(), MAX_TEXT);
        line.extend(&self.members);
        line
    }
}

// === impl Caller ===

impl Caller {
    /// The same members as when it is read again.
    fn write(&self, members: &mut Members) {
        let Self {
            peer,
            names,
            allowed_by,
            claims,
        } = self;
        members.text("peer", peer, MAX_TEXT);
        members.texts("names", &names[..names.len().min(MAX_IDENTITIES)], MAX_NAME);
        members.optional("allowedBy", allowed_by.as_deref(), MAX_NAME);
        if claims.is_empty() {
            return;
        }
        let Claims {
            app,
            tenant,
            object,
        } = claims;
        members.object("unverified", |members| {
            members.optional("app", app.as_deref(), MAX_TEXT);
            members.optional("tenant", tenant.as_deref(), MAX_TEXT);
            members.optional("object", object.as_deref(), MAX_TEXT);
        });
    }
}

// === impl Event ===

impl Event {
    /// As the log and the metrics spell it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Outcome => "outcome",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::tests::intent_of, *};

    fn intent() -> Intent {
        Intent {
            act: Act::Execute,
            task_id: "213213".to_owned(),
            client_request_id: "a2f0b4a6-7d3c-4c5e-9a52-0f6f2f6d9d11".to_owned(),
            caller: Caller {
                peer: "10.0.0.1:4711".to_owned(),
                names: Vec::new(),
                allowed_by: None,
                claims: Claims::default(),
            },
            trace_id: None,
        }
    }

    fn line(intent: &Intent, now: SystemTime) -> Vec<u8> {
        Subject::new(Uuid::nil(), intent).intent_line(now)
    }

    fn read(line: &[u8]) -> Value {
        let line = str::from_utf8(line).unwrap();
        assert!(line.ends_with('\n'), "{line:?}");
        assert!(!line.trim_end_matches('\n').contains(char::is_control));
        serde_json::from_str(line).unwrap()
    }

    #[test]
    fn an_intent_says_who_wants_what() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_micros(1_000_001);
        let mut record = json!({
            "time": "1970-01-01T00:00:01.000001Z",
            "event": "intent",
            "id": "00000000-0000-0000-0000-000000000000",
            "taskId": "213213",
            "clientRequestId": "a2f0b4a6-7d3c-4c5e-9a52-0f6f2f6d9d11",
            "caller": {"peer": "10.0.0.1:4711"},
        });
        assert_eq!(read(&line(&intent(), now)), record);

        let mut known = intent();
        known.caller.names = vec!["dns:soc.example.com".to_owned()];
        known.caller.allowed_by = Some("dns:*.example.com".to_owned());
        known.caller.claims.app = Some("app".to_owned());
        known.trace_id = Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned());
        record["caller"]["names"] = json!(["dns:soc.example.com"]);
        record["caller"]["allowedBy"] = json!("dns:*.example.com");
        record["caller"]["unverified"] = json!({"app": "app"});
        record["traceId"] = json!("4bf92f3577b34da6a3ce929d0e0e4736");
        let line = line(&known, now);
        assert_eq!(read(&line), record);
        // People read it, too: the members keep their order.
        let want = r#"{"time":"1970-01-01T00:00:01.000001Z","event":"intent","id":"00000000-0000-0000-0000-000000000000","taskId":"213213","clientRequestId":"a2f0b4a6-7d3c-4c5e-9a52-0f6f2f6d9d11","traceId":"4bf92f3577b34da6a3ce929d0e0e4736","caller":{"peer":"10.0.0.1:4711","names":["dns:soc.example.com"],"allowedBy":"dns:*.example.com","unverified":{"app":"app"}}}"#;
        assert_eq!(str::from_utf8(&line).unwrap(), format!("{want}\n"));
    }

    #[test]
    fn an_outcome_repeats_the_intent_and_adds_the_end() {
        let now = SystemTime::UNIX_EPOCH;
        let outcome = Outcome {
            outcome: telemetry::Outcome::Unknown,
            code: "UNKNOWN",
            reason: Some("GRAPH_RESPONSE_LOST".to_owned()),
            graph_request_id: Some("r".to_owned()),
            attempts: 2,
        };
        let mut expected = read(&line(&intent(), now));
        let end = json!({
            "event": "outcome",
            "outcome": "UNKNOWN",
            "code": "UNKNOWN",
            "reason": "GRAPH_RESPONSE_LOST",
            "graphRequestId": "r",
            "attempts": 2,
            "durationMs": 1500,
        });
        let members = expected.as_object_mut().unwrap();
        members.extend(end.as_object().unwrap().clone());
        let elapsed = Duration::from_millis(1500);
        let line = Subject::new(Uuid::nil(), &intent()).outcome_line(now, &outcome, elapsed);
        assert_eq!(read(&line), expected);
    }

    #[test]
    fn what_a_peer_chooses_is_capped_and_cannot_forge_a_line() {
        let evil = "\"}\n{\"event\":\"outcome\"\u{7f}\u{85}\u{1b}[2J".repeat(99);
        let mut intent = intent_of(&evil);
        intent.caller.claims.object = Some("ü".repeat(200));
        let record = read(&line(&intent, SystemTime::UNIX_EPOCH));
        let length = |value: &Value| value.as_str().unwrap().chars().count();
        assert_eq!(length(&record["taskId"]), 256);
        for claim in ["app", "tenant", "object"] {
            assert_eq!(length(&record["caller"]["unverified"][claim]), 128);
        }
        assert_eq!(length(&record["traceId"]), 128);
    }
}
