//! HTTP to the other services: how a client is built, and small documents.
//!
//! Graph has clients of its own, which begin with the same [`Trust`].

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header::RETRY_AFTER};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use reqwest::{Client, ClientBuilder, redirect, retry};
use rustls_platform_verifier::Verifier;
use tokio::time::timeout;
use tokio_rustls::rustls::{
    self, ClientConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject as _},
    sign::{CertifiedKey, SingleCertAndKey},
};
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
    /// There are no certificates to trust.
    #[error(
        "no TLS client could be set up; install the system's CA certificates (ca-certificates) or name a bundle"
    )]
    Roots(#[from] rustls::Error),
    /// There is no client.
    #[error("no HTTP client could be set up")]
    Client(#[from] reqwest::Error),
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

/// What clients that trust the same authorities share: certificates are loaded once, and
/// TLS sessions of one are resumed by the others.
#[derive(Debug, Clone)]
pub struct Trust(Option<ClientConfig>);

// === impl Trust ===

impl Trust {
    /// `extra_roots` (PEM) are trusted beside the system's certificates. Blocks while those
    /// are read. Plain HTTP needs none, which a minimal container may not have.
    pub fn new(way: Way, extra_roots: Option<&[u8]>) -> Result<Self, BuildError> {
        Self::showing(way, extra_roots, None)
    }

    /// The same, for clients that show the server a certificate.
    pub fn showing(
        way: Way,
        extra_roots: Option<&[u8]>,
        client: Option<CertifiedKey>,
    ) -> Result<Self, BuildError> {
        let extra_roots = extra_roots.map(certificates).transpose()?;
        if way == Way::Plain {
            return Ok(Self(None));
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let extra_roots = extra_roots.unwrap_or_default();
        let verifier = Verifier::new_with_extra_roots(extra_roots, Arc::clone(&provider))?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match client {
            None => config.with_no_client_auth(),
            Some(client) => {
                config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(client)))
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(Some(config)))
    }

    /// What every client has: no redirect is followed and nothing is sent twice.
    pub fn client(&self) -> ClientBuilder {
        let builder = Client::builder()
            .user_agent(USER_AGENT)
            .retry(retry::never())
            .redirect(redirect::Policy::none())
            .referer(false)
            .https_only(self.0.is_some());
        match &self.0 {
            Some(config) => builder.tls_backend_preconfigured(config.clone()),
            None => builder.no_proxy().tls_certs_only([]),
        }
    }
}

/// Text without any PEM block is a bundle of none for the parser.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BuildError> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .ok()
        .filter(|certificates| !certificates.is_empty())
        .ok_or(BuildError::ExtraRoots)
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
        let client = Trust::new(way, extra_roots)?.client().build()?;
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
