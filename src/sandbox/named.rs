//! The faults that have a name: each is data for one of the mechanisms.

use std::time::Duration;

use super::fault::{Act, End, Fault, Headers, On, Pace, Reply};
use super::stream::LastStream;

impl Fault {
    fn of(act: Act) -> Fault {
        Fault {
            act,
            ..Fault::default()
        }
    }

    /// The usual answer, `delay` later.
    pub fn delay(delay: Duration) -> Fault {
        Fault::default().delayed(delay)
    }

    /// The usual answer, once it is released.
    pub fn hold() -> Fault {
        Fault::default().held()
    }

    /// A bare answer, as a proxy in between would give it.
    pub fn reply(status: u16, body: impl Into<Vec<u8>>) -> Fault {
        Fault::of(Act::Reply(Reply {
            status,
            body: body.into(),
            ..Reply::default()
        }))
    }

    /// An error in Graph's own dress.
    pub fn error(status: u16, code: &str, message: &str) -> Fault {
        let (code, message) = (code.to_owned(), message.to_owned());
        Fault::of(Act::Error {
            status,
            code,
            message,
            headers: Headers::new(),
        })
    }

    /// 429 until `retry_after` seconds have passed; with `extends`, each request before
    /// that adds as many.
    pub fn throttle(retry_after: u32, extends: bool) -> Fault {
        Fault::of(Act::Throttle {
            retry_after,
            extends,
        })
    }

    /// TCP RST.
    pub fn reset() -> Fault {
        Fault::of(Act::Reset)
    }

    /// FIN without an answer.
    pub fn close() -> Fault {
        Fault::of(Act::Close)
    }

    /// HTTP/2 only: the stream is reset, and the request was not processed.
    pub fn refuse_stream() -> Fault {
        Fault::of(Act::RefuseStream)
    }

    /// HTTP/2 only: a GOAWAY in good order (`NO_ERROR`), then FIN.
    pub fn go_away(last_stream: LastStream) -> Fault {
        let code = 0;
        Fault::of(Act::GoAway { last_stream, code })
    }

    /// A read that shows the task as it was before its action was started, as one from a
    /// replica does that lags behind.
    pub fn stale_read() -> Fault {
        Fault::of(Act::StaleRead).on_read()
    }

    /// No answer while the connection lives.
    pub fn hang() -> Fault {
        Fault::of(Act::Hang)
    }

    /// Bytes that are not HTTP.
    pub fn garbage(bytes: impl Into<Vec<u8>>) -> Fault {
        Fault::of(Act::Garbage(bytes.into()))
    }

    /// An answer that promises `content_length` bytes and breaks off after those of `body`.
    pub fn truncate(status: u16, content_length: usize, body: impl Into<Vec<u8>>) -> Fault {
        let body = body.into();
        let pace = Pace {
            chunk: body.len(),
            every: Duration::ZERO,
            then: End::Break,
        };
        let content_length = ("Content-Length".to_owned(), content_length.to_string());
        Fault::of(Act::Reply(Reply {
            status,
            headers: vec![content_length],
            body,
            pace: Some(pace),
        }))
    }

    /// An answer whose body arrives in pieces.
    pub fn drip(status: u16, body: impl Into<Vec<u8>>, pace: Pace) -> Fault {
        Fault::of(Act::Reply(Reply {
            status,
            body: body.into(),
            pace: Some(pace),
            ..Reply::default()
        }))
    }

    /// 200 with a page in HTML: some network wants its terms accepted, and Graph was never asked.
    pub fn captive_page() -> Fault {
        Fault::reply(
            200,
            "<!DOCTYPE html><html><title>Sign in to the network</title></html>",
        )
        .header("Content-Type", "text/html; charset=utf-8")
    }

    /// The usual answer with two provider warnings, as the security API documents them.
    pub fn provider_warnings() -> Fault {
        Fault::default().header(
            "Warning",
            r#"199 - "{Vendor2}/{Provider 2}/504/10000", 199 - "{Vendor4}/{Provider 4}/403/10""#,
        )
    }

    /// 401 because the token lacks claims, with the challenge that a caller has to take to Entra.
    pub fn claims_challenge() -> Fault {
        Fault::error(401, "InvalidAuthenticationToken", "Continuous access evaluation resulted in challenge.").header(
            "WWW-Authenticate",
            "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", \
             error=\"insufficient_claims\", \
             claims=\"eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwgInZhbHVlIjoiMTYwNDEwNjY1MSJ9fX0=\"",
        )
    }

    /// One of these, drawn by [`super::Options::seed`] when it is scripted.
    pub fn one_of(faults: impl IntoIterator<Item = Fault>) -> Fault {
        Fault::of(Act::OneOf(faults.into_iter().collect()))
    }

    /// The same, after the action was started.
    #[must_use]
    pub fn committed(self) -> Fault {
        Fault {
            commit: true,
            ..self
        }
    }

    /// The same, once it is released.
    #[must_use]
    pub fn held(self) -> Fault {
        Fault { hold: true, ..self }
    }

    /// The same, `delay` later.
    #[must_use]
    pub fn delayed(self, delay: Duration) -> Fault {
        Fault { delay, ..self }
    }

    /// The same for `GET …/{id}`.
    #[must_use]
    pub fn on_read(self) -> Fault {
        Fault {
            on: On::Read,
            ..self
        }
    }

    /// The same for `PATCH …/{id}`.
    #[must_use]
    pub fn on_update(self) -> Fault {
        Fault {
            on: On::Update,
            ..self
        }
    }

    /// The same for `GET …/incidentTasks`; scripted for `"*"`.
    #[must_use]
    pub fn on_list(self) -> Fault {
        Fault {
            on: On::List,
            ..self
        }
    }

    /// The same with one more header; acts that have none ignore it.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Fault {
        match &mut self.act {
            Act::Answer { headers }
            | Act::Error { headers, .. }
            | Act::Reply(Reply { headers, .. }) => {
                headers.push((name.to_owned(), value.to_owned()));
            }
            Act::Throttle { .. }
            | Act::Reset
            | Act::Close
            | Act::RefuseStream
            | Act::GoAway { .. }
            | Act::StaleRead
            | Act::Hang
            | Act::Garbage(_)
            | Act::OneOf(_) => {}
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_fault_survives_json() {
        let pace = Pace {
            chunk: 1,
            every: Duration::from_millis(50),
            then: End::Repeat,
        };
        for fault in [
            Fault::delay(Duration::from_millis(7)),
            Fault::hold().committed(),
            Fault::reply(502, "x").on_read(),
            Fault::error(503, "c", "m").header("Retry-After", "1"),
            Fault::throttle(2, true),
            Fault::reset(),
            Fault::close(),
            Fault::refuse_stream(),
            Fault::go_away(LastStream::Before),
            Fault::go_away(LastStream::This).committed(),
            Fault::stale_read(),
            Fault::hang(),
            Fault::garbage("\u{15}\u{3}"),
            Fault::truncate(200, 9, "x"),
            Fault::drip(200, "xy", pace),
            Fault::captive_page(),
            Fault::provider_warnings(),
            Fault::claims_challenge(),
            Fault::one_of([Fault::reset(), Fault::default()]),
        ] {
            assert_eq!(fault.check(), Ok(()));
            let json = serde_json::to_string(&fault).unwrap();
            assert_eq!(
                serde_json::from_str::<Fault>(&json).unwrap(),
                fault,
                "{json}"
            );
        }
    }
}
