//! What one attempt came to: an answer, or why there is none.

use std::time::SystemTime;

use http::{StatusCode, Version};
use reqwest::Response;
use tokio::time::Instant;

use super::{
    Accepted,
    body::{self, CappedBody},
    classify::{Reply, classify},
    departure::{Departed, Departure},
    echo, refusal,
};
use crate::{
    authorization::Authorization,
    failure::{Failure, Kind},
    telemetry::names,
};

/// The end of one attempt, for the call and for its telemetry.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) result: Result<Accepted, Failure>,
    /// The HTTP version of the answer, if one came.
    pub(super) version: Option<Version>,
    /// Why there is no answer, or none that is Graph's: one of the `ERROR_` names.
    pub(super) error_type: Option<&'static str>,
}

// === impl Exchange ===

impl Exchange {
    /// The request could not even be built.
    pub(super) fn unsent(failure: Failure) -> Self {
        Self {
            result: Err(failure),
            version: None,
            error_type: Some(names::OTHER),
        }
    }

    /// No answer came. `error` is missing when the attempt's time was up.
    pub(super) fn broken(departure: &Departure, error: Option<reqwest::Error>) -> Self {
        let timed_out = error.as_ref().is_none_or(reqwest::Error::is_timeout);
        let refused = error
            .as_ref()
            .is_some_and(|error| refusal::is_refusal(error));
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
            failure = failure.because(error.without_url());
        }
        Self {
            result: Err(failure),
            version: None,
            error_type: Some(error_type),
        }
    }

    /// Reads the answer until its end or `until`, and classifies it without the token.
    pub(super) async fn read(
        mut response: Response,
        authorization: &Authorization,
        until: Instant,
    ) -> Self {
        let status = response.status();
        let version = response.version();
        let mut headers = std::mem::take(response.headers_mut());
        echo::remove_from_headers(&mut headers, authorization.token());
        let CappedBody { bytes, end } = if status == StatusCode::NO_CONTENT {
            CappedBody::empty()
        } else {
            body::read(response, until).await
        };
        let scrubbed = echo::removed_from_body(&bytes, authorization.token());
        let result = classify(&Reply {
            status,
            headers: &headers,
            body: scrubbed.as_deref().unwrap_or(&bytes),
            body_end: end,
            token_owner: authorization.owner(),
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
