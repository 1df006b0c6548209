//! HTTP to the other services: how a client is built, and small documents.
//!
//! Graph has clients of its own, made by the same [`builder`].

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header::RETRY_AFTER};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use reqwest::{Certificate, Client, ClientBuilder, redirect, retry};
use tokio::time::timeout;
use url::Url;

use crate::cause::Cause;

const USER_AGENT: &str = concat!("incidentgate/", env!("CARGO_PKG_VERSION"));
/// The largest document that is read. The signing keys of a large issuer have some 50 KiB.
const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;

/// A wait that a service names is not believed beyond this.
const MAX_NAMED_WAIT: Duration = Duration::from_secs(300);

/// A client for small documents of one service.
#[derive(Debug, Clone)]
pub struct Documents {
    client: Client,
    timeout: Duration,
}

/// Which way a client takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By TLS, and through the proxy of the usual variables if they name one.
    Secure,
    /// By plain HTTP, on this machine or to a metadata service beside it: never through a
    /// proxy.
    Plain,
}

/// A complete answer.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; at most 1 MiB.
    pub body: Bytes,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no extra certificate.
    #[error("it holds no readable PEM certificates")]
    ExtraRoots,
    /// TLS could not be set up.
    #[error(
        "no TLS client could be set up; install the system's CA certificates (ca-certificates) or name a bundle"
    )]
    Client(#[source] reqwest::Error),
}

/// Why there is no complete answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// No connection, or it broke.
    #[error("the connection failed")]
    Broken(#[source] Cause),
    /// The time is over.
    #[error("no answer in time")]
    TimedOut,
    /// The answer is too large.
    #[error("the answer is larger than 1 MiB")]
    TooLarge,
}

/// What every client has: no redirect is followed, nothing is sent twice, and
/// `extra_roots` (PEM) are trusted beside the system's certificates.
pub fn builder(way: Way, extra_roots: Option<&[u8]>) -> Result<ClientBuilder, BuildError> {
    let mut builder = Client::builder()
        .user_agent(USER_AGENT)
        .retry(retry::never())
        .redirect(redirect::Policy::none())
        .referer(false)
        .https_only(way == Way::Secure);
    if way == Way::Plain {
        // It needs no certificates either, which a minimal container may not have.
        builder = builder.no_proxy().tls_certs_only([]);
    }
    if let Some(pem) = extra_roots {
        // Text without any PEM block is a bundle of none for the parser.
        let certificates = Certificate::from_pem_bundle(pem)
            .ok()
            .filter(|certificates| !certificates.is_empty())
            .ok_or(BuildError::ExtraRoots)?;
        builder = builder.tls_certs_merge(certificates);
    }
    Ok(builder)
}

// === impl Way ===

impl Way {
    /// The way to a URL, by its scheme.
    pub fn to(url: &Url) -> Self {
        if url.scheme() == "http" {
            Self::Plain
        } else {
            Self::Secure
        }
    }
}

// === impl Documents ===

impl Documents {
    /// A client that gives each request `timeout`, connection and body included.
    pub fn new(
        way: Way,
        extra_roots: Option<&[u8]>,
        timeout: Duration,
    ) -> Result<Self, BuildError> {
        let client = builder(way, extra_roots)?
            .build()
            .map_err(BuildError::Client)?;
        Ok(Self { client, timeout })
    }

    /// Sends one request, once. Cancel-safe for requests that change nothing.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Answer, NoAnswer> {
        timeout(self.timeout, self.exchange(request))
            .await
            .unwrap_or(Err(NoAnswer::TimedOut))
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Answer, NoAnswer> {
        let broken = |error: reqwest::Error| NoAnswer::Broken(Cause::of(&error.without_url()));
        let request = request.try_into().map_err(broken)?;
        let response = self.client.execute(request).await.map_err(broken)?;
        let (parts, body) = http::Response::from(response).into_parts();
        let body = Limited::new(body, MAX_DOCUMENT_BYTES).collect().await;
        let body = body.map_err(|error| match error.downcast::<reqwest::Error>() {
            Ok(error) => broken(*error),
            Err(error) if error.is::<LengthLimitError>() => NoAnswer::TooLarge,
            Err(_) => NoAnswer::TimedOut,
        })?;
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.to_bytes(),
        })
    }
}

/// The wait that a service names, in seconds (RFC 9110, section 10.2.3, also has dates,
/// which neither Entra nor issuers send); at most five minutes.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?;
    let wait = Duration::from_secs(seconds.trim().parse().ok()?);
    Some(wait.min(MAX_NAMED_WAIT))
}

/// Bodies hold tokens.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_wait_is_in_seconds_and_believed_up_to_a_limit() {
        for (value, want) in [
            ("0", Some(0)),
            ("7", Some(7)),
            (" 7 ", Some(7)),
            ("300", Some(300)),
            ("301", Some(300)),
            ("18446744073709551615", Some(300)),
            ("18446744073709551616", None),
            ("-1", None),
            ("", None),
            ("Fri, 07 Nov 2025 23:59:59 GMT", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
            let want = want.map(Duration::from_secs);
            assert_eq!(retry_after(&headers), want, "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
