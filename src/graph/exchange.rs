//! What one request came to: an answer, or why there is none.

use std::time::SystemTime;

use http::{StatusCode, Version};
use opentelemetry::KeyValue;
use reqwest::Response;
use tokio::time::Instant;

use super::{
    body::{self, CappedBody},
    classify::{Reply, doubtful},
    departure::{Departed, Departure},
    echo, refusal,
};
use crate::{
    authorization::Authorization,
    cause::Cause,
    failure::{Effect, Failure, Kind},
    telemetry::names,
};

/// The end of one request, for the call and for its telemetry.
#[derive(Debug)]
pub(super) struct Exchange<T> {
    pub(super) result: Result<T, Failure>,
    /// The HTTP version of the answer, if one came.
    pub(super) version: Option<Version>,
    /// Why there is no answer, or none that is Graph's: one of the `ERROR_` names.
    pub(super) error_type: Option<&'static str>,
}

/// How an answer is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// What the request may have done.
    pub(super) effect: Effect,
    /// The most bytes of the body.
    pub(super) max_bytes: usize,
    /// When to give it up.
    pub(super) until: Instant,
}

/// What telemetry asks of a good answer.
pub(super) trait Answer: Sized {
    /// Its HTTP status.
    fn status(&self) -> u16;

    /// Graph's `request-id`.
    fn graph_request_id(&self) -> Option<&str>;

    /// What the request has brought to light, as an attribute of its span.
    fn finding(result: &Result<Self, Failure>) -> Option<KeyValue>;
}

// === impl Exchange ===

impl<T: Answer> Exchange<T> {
    /// The HTTP status, if an answer came.
    pub(super) fn status(&self) -> Option<u16> {
        match &self.result {
            Ok(answer) => Some(answer.status()),
            Err(failure) => failure.reply.as_ref().map(|reply| reply.status),
        }
    }

    /// Graph's `request-id`, if an answer brought one.
    pub(super) fn graph_request_id(&self) -> Option<&str> {
        match &self.result {
            Ok(answer) => answer.graph_request_id(),
            Err(failure) => failure.reply.as_ref()?.request_id.as_deref(),
        }
    }

    /// The request could not even be built.
    pub(super) fn unsent(failure: Failure) -> Self {
        Self {
            result: Err(failure),
            version: None,
            error_type: Some(names::OTHER),
        }
    }

    /// No answer came. `error` is missing when the request's time was up.
    pub(super) fn broken(departure: &Departure, error: Option<reqwest::Error>) -> Self {
        let timed_out = error.as_ref().is_none_or(reqwest::Error::is_timeout);
        let refused = error
            .as_ref()
            .is_some_and(|error| refusal::is_refusal(error, departure.has_own_stream()));
        let (kind, message, error_type) = match (departure.state(), timed_out) {
            (Departed::Never, false) => (
                Kind::Unreachable,
                "Graph could not be reached, and nothing was sent",
                names::ERROR_CONNECT,
            ),
            (Departed::Never, true) => (
                Kind::Unreachable,
                "no connection to Graph came about in time, and nothing was sent",
                names::ERROR_TIMEOUT,
            ),
            (Departed::NotYet | Departed::Yes, _) if refused => (
                Kind::Unreachable,
                "Graph refused the request over HTTP/2 and promised not to have processed it",
                names::ERROR_REFUSED_STREAM,
            ),
            (Departed::NotYet | Departed::Yes, false) => (
                Kind::ResponseLost,
                "the connection to Graph broke before its answer, and the action may have been started",
                names::ERROR_RESPONSE_LOST,
            ),
            (Departed::NotYet | Departed::Yes, true) => (
                Kind::ResponseLost,
                "Graph did not answer in time, and the action may have been started",
                names::ERROR_TIMEOUT,
            ),
        };
        let mut failure = Failure::new(kind, message);
        if let Some(error) = error {
            // Its URL holds the task's id.
            failure = failure.because(Cause::of(&error.without_url()));
        }
        Self {
            result: Err(failure),
            version: None,
            error_type: Some(error_type),
        }
    }

    /// No answer came to a request that may be made again: [`Kind::Unreachable`] where
    /// there was no connection for it. `error` is missing when its time was up.
    pub(super) fn unanswered(effect: Effect, error: Option<reqwest::Error>) -> Self {
        let timed_out = error.as_ref().is_none_or(reqwest::Error::is_timeout);
        let connects = error.as_ref().is_some_and(reqwest::Error::is_connect);
        let (kind, message) = if connects {
            (Kind::Unreachable, "Graph could not be reached".into())
        } else if timed_out {
            (
                Kind::ResponseLost,
                doubtful("Graph did not answer in time", effect),
            )
        } else {
            (
                Kind::ResponseLost,
                doubtful("the connection to Graph broke before its answer", effect),
            )
        };
        let mut failure = Failure::new(kind, message).with_effect(effect);
        if let Some(error) = error {
            failure = failure.because(Cause::of(&error.without_url()));
        }
        Self {
            result: Err(failure),
            version: None,
            error_type: Some(match (timed_out, connects) {
                (true, _) => names::ERROR_TIMEOUT,
                (false, true) => names::ERROR_CONNECT,
                (false, false) => names::ERROR_RESPONSE_LOST,
            }),
        }
    }

    /// Reads the answer until its end, `reading`'s limits, and has it interpreted without
    /// the token.
    pub(super) async fn read(
        mut response: Response,
        authorization: &Authorization,
        reading: Reading,
        interpret: impl FnOnce(&Reply<'_>) -> Result<T, Failure>,
    ) -> Self {
        let status = response.status();
        let version = response.version();
        let mut headers = std::mem::take(response.headers_mut());
        echo::remove_from_headers(&mut headers, authorization.token_bytes());
        let CappedBody { bytes, end } = if status == StatusCode::NO_CONTENT {
            CappedBody::empty()
        } else {
            // Boxed: every call that waits for Graph would have the room for it.
            Box::pin(body::read(response, reading.until, reading.max_bytes)).await
        };
        let scrubbed = echo::removed_from_body(&bytes, authorization.token_bytes());
        let result = interpret(&Reply {
            status,
            headers: &headers,
            body: scrubbed.as_deref().unwrap_or(&bytes),
            body_end: end,
            token_owner: authorization.owner(),
            effect: reading.effect,
            now: SystemTime::now(),
        });
        let error_type = result.as_ref().err().and_then(error_type);
        Self {
            result,
            version: Some(version),
            error_type,
        }
    }
}

/// What is wrong with an answer whose status alone does not say so.
fn error_type(failure: &Failure) -> Option<&'static str> {
    if failure.kind == Kind::ResponseLost {
        Some(names::ERROR_RESPONSE_LOST)
    } else if failure.reply.as_ref()?.status < 400 {
        Some(names::ERROR_UNEXPECTED_RESPONSE)
    } else {
        None
    }
}
