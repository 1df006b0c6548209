//! The vocabulary of misbehaviour: few mechanisms, from which `named` makes the faults
//! that have a name.

use std::time::Duration;

use http::{Response, StatusCode};
use rand::seq::IndexedRandom;
use serde::{Deserialize, Serialize};

use super::stream::LastStream;

/// Header names and values; a name may be repeated. In JSON `[["Retry-After", "5"], …]`.
pub type Headers = Vec<(String, String)>;

/// What happens to one request instead of the usual. The default changes nothing.
///
/// In JSON every field may be left out; `"do"` is the act:
///
/// | `"do"` | what happens |
/// |---|---|
/// | `{"answer": {"headers": [["Warning", "…"]]}}` | the usual answer, with headers added (the default, without any) |
/// | `{"error": {"status": 503, "code": "UnknownError", "message": "", "headers": [["Retry-After", "1"]]}}` | Graph's error envelope and headers |
/// | `{"reply": {"status": 502, "headers": […], "body": "<html>"}}` | these bytes and nothing of Graph's, as by a proxy in between |
/// | `{"reply": {"body": "…", "pace": {"chunk": 1, "everyMs": 50, "then": "complete"}}}` | the same, slowly; `then` is `complete`, `break`, `hang` or `repeat` |
/// | `{"throttle": {"retryAfter": 2, "extends": true}}` | 429 until the time has passed; `extends`: every request before that adds it again |
/// | `"reset"` | TCP RST; without `commit` as soon as the head has arrived |
/// | `"close"` | the connection is closed in good order, without an answer |
/// | `"refuseStream"` | HTTP/2: this stream is reset with `REFUSED_STREAM`; HTTP/1.1: `"close"` |
/// | `{"goAway": {"lastStream": "before", "code": 0}}` | HTTP/2: a GOAWAY with that error code, then a close; HTTP/1.1: `"close"`. With `before` the request was not processed and never will be, with `this` it may have been. A stream that was begun is never left out |
/// | `"staleRead"` | for `"on": "read"`: the task as it was before its action was started here |
/// | `"hang"` | no answer while the connection lives |
/// | `{"garbage": "\u0015\u0003"}` | these bytes in place of HTTP, then a close |
/// | `{"oneOf": [fault, …]}` | one of them, drawn by the seed when it is scripted; the other fields are those of the one drawn |
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Fault {
    /// Which requests consume it.
    pub on: On,
    /// Whether the action is started before everything else here. Only a request that
    /// Graph would accept can start it.
    pub commit: bool,
    /// Whether the request is held until it is released.
    pub hold: bool,
    /// How long the request waits, after it was released.
    #[serde(rename = "delayMs", with = "millis")]
    pub delay: Duration,
    /// What happens then.
    #[serde(rename = "do")]
    pub act: Act,
}

/// A kind of request about one task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum On {
    /// `POST …/executeResponseAction`.
    #[default]
    Execute,
    /// `GET …/{id}`.
    Read,
    /// `PATCH …/{id}`.
    Update,
    /// `GET …/incidentTasks`: scripted for the task `*`.
    List,
}

/// The mechanisms; the table at [`Fault`] shows their JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Act {
    /// What Graph would answer anyway.
    Answer {
        /// Sent beside Graph's own.
        #[serde(default)]
        headers: Headers,
    },
    /// An error in Graph's own dress.
    Error {
        /// 200 to 999.
        status: u16,
        /// `error.code`.
        #[serde(default)]
        code: String,
        /// `error.message`.
        #[serde(default)]
        message: String,
        /// Sent beside Graph's own.
        #[serde(default)]
        headers: Headers,
    },
    /// A bare answer.
    Reply(Reply),
    /// 429 for a time.
    Throttle {
        /// Whole seconds, as in the header.
        retry_after: u32,
        /// Whether a request that comes too early adds them again.
        #[serde(default)]
        extends: bool,
    },
    /// TCP RST.
    Reset,
    /// FIN without an answer.
    Close,
    /// `RST_STREAM` with `REFUSED_STREAM`.
    RefuseStream,
    /// GOAWAY, then FIN.
    GoAway {
        /// Which streams may have been processed.
        last_stream: LastStream,
        /// The error code; 0 is `NO_ERROR`.
        #[serde(default)]
        code: u32,
    },
    /// A read that has not heard of the start.
    StaleRead,
    /// No answer while the connection lives.
    Hang,
    /// These bytes in place of HTTP, then FIN.
    Garbage(#[serde(with = "text")] Vec<u8>),
    /// One of these, drawn when it is scripted.
    OneOf(Vec<Fault>),
}

impl Default for Act {
    fn default() -> Act {
        Act::Answer {
            headers: Headers::new(),
        }
    }
}

/// An answer byte by byte. A `Content-Length` among the headers is sent as it stands, so
/// it may lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Reply {
    /// 200 to 999.
    pub status: u16,
    /// Nothing of Graph's is sent beside them.
    pub headers: Headers,
    /// Any bytes here, text in JSON.
    #[serde(with = "text")]
    pub body: Vec<u8>,
    /// How the body is sent; at once when absent.
    pub pace: Option<Pace>,
}

impl Default for Reply {
    fn default() -> Reply {
        Reply {
            status: 200,
            headers: Headers::new(),
            body: Vec::new(),
            pace: None,
        }
    }
}

/// A body in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pace {
    /// Bytes in one piece, at least 1.
    pub chunk: usize,
    /// The time between two pieces.
    #[serde(rename = "everyMs", with = "millis", default)]
    pub every: Duration,
    /// What follows the last piece.
    #[serde(default)]
    pub then: End,
}

/// How a body in pieces ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum End {
    /// In good order.
    #[default]
    Complete,
    /// The connection (HTTP/1.1) or the stream (HTTP/2) breaks off.
    Break,
    /// Nothing more comes.
    Hang,
    /// Never: it begins again.
    Repeat,
}

impl Fault {
    /// A fault in which nothing is left to chance. Drawn when scripted, so the order of
    /// requests changes nothing.
    pub(super) fn drawn(mut self, dice: &mut impl rand::Rng) -> Fault {
        while let Act::OneOf(faults) = &self.act {
            self = faults.choose(dice).cloned().unwrap_or_default();
        }
        self
    }

    /// Whether not even the request's body is read.
    pub(super) fn is_reset_at_head(&self) -> bool {
        self.act == Act::Reset && !self.commit && !self.hold && self.delay.is_zero()
    }

    /// What cannot be sent, or would be a lie of the server's, said before it has to be.
    pub(super) fn check(&self) -> Result<(), String> {
        match &self.act {
            Act::Answer { headers } => head(200, headers).map(drop),
            Act::Error {
                status, headers, ..
            }
            | Act::Reply(Reply {
                status, headers, ..
            }) => head(*status, headers).map(drop),
            Act::OneOf(faults) if faults.is_empty() => {
                Err("oneOf: nothing to choose from".to_owned())
            }
            Act::OneOf(faults) => faults.iter().try_for_each(Fault::check),
            Act::RefuseStream
            | Act::GoAway {
                last_stream: LastStream::Before,
                ..
            } if self.commit => {
                Err("commit: a refused request was not processed, so it starts nothing".to_owned())
            }
            Act::StaleRead if self.on != On::Read => {
                Err("staleRead: only for \"on\": \"read\"".to_owned())
            }
            Act::Throttle { .. }
            | Act::Reset
            | Act::Close
            | Act::RefuseStream
            | Act::GoAway { .. }
            | Act::StaleRead
            | Act::Hang
            | Act::Garbage(_) => Ok(()),
        }
    }
}

/// A response's head from scripted parts, or what is wrong with them.
pub(super) fn head(status: u16, headers: &Headers) -> Result<Response<()>, String> {
    let status = StatusCode::from_u16(status)
        .ok()
        .filter(|status| !status.is_informational());
    let mut response = Response::builder().status(status.ok_or("status: expected 200 to 999")?);
    for (name, value) in headers {
        response = response.header(name, value.as_bytes());
    }
    response
        .body(())
        .map_err(|error| format!("headers: {error}"))
}

/// A duration as whole milliseconds.
pub(super) mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::sandbox) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        duration.as_millis().serialize(serializer)
    }

    pub(in crate::sandbox) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

/// Bytes as a JSON string, which those that are not UTF-8 cannot become.
pub(super) mod text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error};

    pub(in crate::sandbox) fn serialize<S: Serializer>(
        bytes: &[u8],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        std::str::from_utf8(bytes)
            .map_err(S::Error::custom)?
            .serialize(serializer)
    }

    pub(in crate::sandbox) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        String::deserialize(deserializer).map(String::into_bytes)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_the_short_forms() {
        let read = |json: serde_json::Value| serde_json::from_value::<Fault>(json).unwrap();
        assert_eq!(read(json!({})), Fault::default());
        assert_eq!(
            read(json!({"do": "reset", "commit": true})),
            Fault::reset().committed()
        );
        assert_eq!(
            read(json!({"do": {"throttle": {"retryAfter": 2}}})),
            Fault::throttle(2, false)
        );
        assert_eq!(
            read(json!({"do": {"error": {"status": 504}}})),
            Fault::error(504, "", "")
        );
        assert_eq!(
            read(json!({"do": {"goAway": {"lastStream": "this"}}})),
            Fault::go_away(LastStream::This)
        );
        assert_eq!(
            read(json!({"on": "read", "do": "staleRead"})),
            Fault::stale_read()
        );
        assert_eq!(
            read(json!({"do": {"reply": {"body": "x"}}})),
            Fault::reply(200, "x")
        );
    }

    #[test]
    fn says_what_cannot_be_sent() {
        const LIE: &str = "commit: a refused request was not processed, so it starts nothing";
        for (fault, want) in [
            (Fault::reply(101, ""), "status: expected 200 to 999"),
            (Fault::error(42, "", ""), "status: expected 200 to 999"),
            (
                Fault::default().header("a b", ""),
                "headers: invalid HTTP header name",
            ),
            (
                Fault::one_of([Fault::reply(200, "").header("a", "b\n")]),
                "headers: failed to parse header value",
            ),
            (Fault::one_of([]), "oneOf: nothing to choose from"),
            (Fault::refuse_stream().committed(), LIE),
            (Fault::go_away(LastStream::Before).committed(), LIE),
            (Fault::one_of([Fault::refuse_stream().committed()]), LIE),
            (
                Fault {
                    on: On::Execute,
                    ..Fault::stale_read()
                },
                "staleRead: only for \"on\": \"read\"",
            ),
        ] {
            assert_eq!(fault.check(), Err(want.to_owned()));
        }
    }

    #[test]
    fn the_same_seed_draws_the_same_faults() {
        let draw = |seed| {
            let mut dice = StdRng::seed_from_u64(seed);
            let choice = Fault::one_of([
                Fault::reset(),
                Fault::one_of([Fault::close(), Fault::hang()]),
            ]);
            std::iter::repeat_n(choice, 32)
                .map(|fault| fault.drawn(&mut dice))
                .collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        for fault in [Fault::reset(), Fault::close(), Fault::hang()] {
            assert!(draw(7).contains(&fault));
        }
    }
}
