//! The log read again: which intents have no outcome.

use std::{
    collections::HashMap,
    io::{self, BufRead, Read as _},
};

use serde::{Deserialize, Serialize, de::IgnoredAny};
use uuid::Uuid;

use super::record::{Caller, Event};

/// The longest line that is taken for a record, in bytes. The longest that is written has
/// four fifths of it, for 66 names of 2048 characters, each of them an escape of six bytes.
const MAX_LINE: u64 = 1024 * 1024;

/// Reads logs in the order in which they were written, and keeps what is open.
#[derive(Debug, Default)]
pub struct Reader {
    with_unknown: bool,
    open: HashMap<Uuid, Numbered>,
    intents: u64,
    unreadable: u64,
    unmatched: u64,
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub struct Pending {
    /// In the order of their intents.
    pub calls: Vec<PendingCall>,
    /// How many intents to start an action there are, open or not.
    pub intents: u64,
    /// Lines that are no records: torn by a crash, or somebody else's.
    pub unreadable: u64,
    /// Outcomes whose intent did not come before them.
    pub unmatched: u64,
}

/// A call of which nobody knows whether it started the action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingCall {
    /// When its POST was about to leave: RFC 3339 in UTC.
    pub time: String,
    /// What joins its records.
    pub id: Uuid,
    /// The task whose action it was to start.
    pub task_id: String,
    /// The `client-request-id` that Graph got.
    pub client_request_id: String,
    /// Who asked.
    pub caller: Caller,
    /// The id of its trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The outcome that was recorded, which is `UNKNOWN`; nothing where none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Why it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Debug)]
struct Numbered {
    number: u64,
    call: PendingCall,
}

/// A line: what is needed of it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    event: Event,
    /// A new status: it starts nothing.
    #[serde(default)]
    set_status: Option<IgnoredAny>,
    #[serde(flatten)]
    call: PendingCall,
}

// === impl Reader ===

impl Reader {
    /// `with_unknown` also keeps the calls whose outcome was recorded as `UNKNOWN`.
    pub fn new(with_unknown: bool) -> Self {
        Self {
            with_unknown,
            ..Self::default()
        }
    }

    /// Reads one log to its end. What is no record is counted; the memory is bounded per
    /// call that is open.
    pub fn read(&mut self, mut log: impl BufRead) -> io::Result<()> {
        let mut line = Vec::new();
        loop {
            line.clear();
            if log.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            if line.len() as u64 == MAX_LINE && !line.ends_with(b"\n") {
                log.skip_until(b'\n')?;
                self.unreadable += 1;
            } else if !line.trim_ascii().is_empty() {
                self.line(&line);
            }
        }
    }

    /// What is open after everything was read.
    pub fn finish(self) -> Pending {
        let mut calls: Vec<_> = self.open.into_values().collect();
        calls.sort_unstable_by_key(|numbered| numbered.number);
        Pending {
            calls: calls.into_iter().map(|numbered| numbered.call).collect(),
            intents: self.intents,
            unreadable: self.unreadable,
            unmatched: self.unmatched,
        }
    }

    fn line(&mut self, line: &[u8]) {
        let Ok(record) = serde_json::from_slice(line) else {
            self.unreadable += 1;
            return;
        };
        let Record {
            event,
            set_status: None,
            call,
        } = record
        else {
            return;
        };
        match event {
            Event::Intent => {
                self.intents += 1;
                let number = self.intents;
                self.open.insert(call.id, Numbered { number, call });
            }
            Event::Outcome if self.with_unknown && is_unknown(&call) => {
                if let Some(open) = self.open.get_mut(&call.id) {
                    (open.call.outcome, open.call.reason) = (call.outcome, call.reason);
                } else {
                    self.unmatched += 1;
                }
            }
            Event::Outcome => {
                let matched = self.open.remove(&call.id).is_some();
                self.unmatched += u64::from(!matched);
            }
        }
    }
}

fn is_unknown(call: &PendingCall) -> bool {
    call.outcome.as_deref() == Some("UNKNOWN")
}
