//! What Entra can be scripted to do wrong. The mechanisms that have nothing to do with
//! Entra are those of Graph's [`Fault`](super::super::Fault).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::authority::Endpoint;
use crate::sandbox::fault::{Headers, Reply, head, millis, text};

/// What happens to one request to Entra instead of the usual. The default changes nothing.
///
/// In JSON every field may be left out; `"do"` is the act:
///
/// | `"do"` | what happens |
/// |---|---|
/// | `{"answer": {"headers": [["X", "…"]]}}` | the usual answer, with headers added (the default, without any) |
/// | `{"aadsts": {"code": 50079, "claims": "{…}", "headers": […]}}` | that error in Entra's own dress; `claims` is what an `interaction_required` asks for |
/// | `{"reply": {"status": 502, "headers": […], "body": "<html>"}}` | these bytes and nothing of Entra's; `pace` as for Graph |
/// | `{"throttle": {"retryAfter": 5}}` | 429 with that `Retry-After`, once |
/// | `{"lifetime": {"expiresIn": 0}}` | the usual answer, but the token lives so many seconds; 0 or less: it has expired when it arrives |
/// | `"noToken"` | 200 with JSON in which no token is |
/// | `"notJson"` | 200 with a page in HTML |
/// | `"reset"` | TCP RST |
/// | `"close"` | the connection is closed in good order, without an answer |
/// | `"hang"` | no answer while the connection lives |
/// | `{"garbage": "\u0015\u0003"}` | these bytes in place of HTTP, then a close |
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EntraFault {
    /// Which requests consume it.
    pub on: Endpoint,
    /// Whether the request is held until it is released.
    pub hold: bool,
    /// How long the request waits, after it was released.
    #[serde(rename = "delayMs", with = "millis")]
    pub delay: Duration,
    /// What happens then.
    #[serde(rename = "do")]
    pub act: EntraAct,
}

/// The mechanisms; the table at [`EntraFault`] shows their JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum EntraAct {
    /// What Entra would answer anyway.
    Answer {
        /// Sent beside Entra's own.
        #[serde(default)]
        headers: Headers,
    },
    /// An error in Entra's own dress.
    Aadsts {
        /// The number after `AADSTS`; status, `error` and words follow from it.
        code: u32,
        /// The `claims` of the body.
        #[serde(default)]
        claims: Option<String>,
        /// Sent beside Entra's own.
        #[serde(default)]
        headers: Headers,
    },
    /// A bare answer.
    Reply(Reply),
    /// 429.
    Throttle {
        /// Whole seconds, as in the header.
        retry_after: u32,
    },
    /// A token that lives longer or shorter than usual.
    Lifetime {
        /// Seconds.
        expires_in: i64,
    },
    /// 200 without a token.
    NoToken,
    /// 200 that is not JSON.
    NotJson,
    /// TCP RST.
    Reset,
    /// FIN without an answer.
    Close,
    /// No answer while the connection lives.
    Hang,
    /// These bytes in place of HTTP, then FIN.
    Garbage(#[serde(with = "text")] Vec<u8>),
}

impl Default for EntraAct {
    fn default() -> EntraAct {
        EntraAct::Answer {
            headers: Headers::new(),
        }
    }
}

impl EntraFault {
    /// The mechanism, for a token request.
    pub fn of(act: EntraAct) -> EntraFault {
        EntraFault {
            act,
            ..EntraFault::default()
        }
    }

    /// The usual answer, `delay` later.
    pub fn delay(delay: Duration) -> EntraFault {
        EntraFault {
            delay,
            ..EntraFault::default()
        }
    }

    /// The usual answer, once it is released.
    pub fn hold() -> EntraFault {
        EntraFault {
            hold: true,
            ..EntraFault::default()
        }
    }

    /// Entra's error of that number.
    pub fn aadsts(code: u32) -> EntraFault {
        EntraFault::of(EntraAct::Aadsts {
            code,
            claims: None,
            headers: Headers::new(),
        })
    }

    /// AADSTS50079, with the claims that the user has to be asked for.
    pub fn interaction_required(claims: &str) -> EntraFault {
        EntraFault::of(EntraAct::Aadsts {
            code: 50_079,
            claims: Some(claims.to_owned()),
            headers: Headers::new(),
        })
    }

    /// A bare answer, as a proxy in between would give it.
    pub fn reply(status: u16, body: impl Into<Vec<u8>>) -> EntraFault {
        EntraFault::of(EntraAct::Reply(Reply {
            status,
            body: body.into(),
            ..Reply::default()
        }))
    }

    /// 429 with `Retry-After` in seconds.
    pub fn throttle(retry_after: u32) -> EntraFault {
        EntraFault::of(EntraAct::Throttle { retry_after })
    }

    /// A token that lives `expires_in` seconds.
    pub fn lifetime(expires_in: i64) -> EntraFault {
        EntraFault::of(EntraAct::Lifetime { expires_in })
    }

    /// The same for another endpoint.
    #[must_use]
    pub fn on(self, on: Endpoint) -> EntraFault {
        EntraFault { on, ..self }
    }

    /// The same with one more header; acts that have none ignore it.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> EntraFault {
        match &mut self.act {
            EntraAct::Answer { headers }
            | EntraAct::Aadsts { headers, .. }
            | EntraAct::Reply(Reply { headers, .. }) => {
                headers.push((name.to_owned(), value.to_owned()));
            }
            EntraAct::Throttle { .. }
            | EntraAct::Lifetime { .. }
            | EntraAct::NoToken
            | EntraAct::NotJson
            | EntraAct::Reset
            | EntraAct::Close
            | EntraAct::Hang
            | EntraAct::Garbage(_) => {}
        }
        self
    }

    /// What cannot be sent, said before it has to be.
    pub(in crate::sandbox) fn check(&self) -> Result<(), String> {
        match &self.act {
            EntraAct::Answer { headers } | EntraAct::Aadsts { headers, .. } => {
                head(200, headers).map(drop)
            }
            EntraAct::Reply(Reply {
                status, headers, ..
            }) => head(*status, headers).map(drop),
            EntraAct::Lifetime { .. } if self.on != Endpoint::Token => {
                Err("lifetime: only for \"on\": \"token\"".to_owned())
            }
            EntraAct::Throttle { .. }
            | EntraAct::Lifetime { .. }
            | EntraAct::NoToken
            | EntraAct::NotJson
            | EntraAct::Reset
            | EntraAct::Close
            | EntraAct::Hang
            | EntraAct::Garbage(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_survives_json() {
        for fault in [
            EntraFault::delay(Duration::from_millis(7)),
            EntraFault::hold().on(Endpoint::Keys),
            EntraFault::default().header("a", "b"),
            EntraFault::aadsts(50_196).header("Retry-After", "1"),
            EntraFault::interaction_required("{}"),
            EntraFault::reply(502, "x").on(Endpoint::Discovery),
            EntraFault::throttle(2),
            EntraFault::lifetime(-5),
            EntraFault::of(EntraAct::NoToken),
            EntraFault::of(EntraAct::NotJson),
            EntraFault::of(EntraAct::Reset),
            EntraFault::of(EntraAct::Close),
            EntraFault::of(EntraAct::Hang),
            EntraFault::of(EntraAct::Garbage(vec![0x15, 3])),
        ] {
            assert_eq!(fault.check(), Ok(()));
            let json = serde_json::to_string(&fault).unwrap();
            let read: EntraFault = serde_json::from_str(&json).unwrap();
            assert_eq!(read, fault, "{json}");
        }
    }

    #[test]
    fn says_what_cannot_be_sent() {
        for (fault, want) in [
            (EntraFault::reply(101, ""), "status: expected 200 to 999"),
            (
                EntraFault::aadsts(1).header("a b", ""),
                "headers: invalid HTTP header name",
            ),
            (
                EntraFault::lifetime(1).on(Endpoint::Keys),
                "lifetime: only for \"on\": \"token\"",
            ),
        ] {
            assert_eq!(fault.check(), Err(want.to_owned()));
        }
    }
}
