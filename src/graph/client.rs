//! One attempt: one POST on the wire, and what became of it.

use std::{sync::Arc, time::Duration};

use http::{
    HeaderValue, Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Body, Certificate, Client, Request, Url, redirect, retry};
use tokio::time::{Instant, timeout_at};
use tracing::Span;

use super::{
    Accepted,
    departure::Departure,
    exchange::Exchange,
    span::{AttemptSpan, AttemptTelemetry},
};
use crate::{
    authorization::Authorization,
    command::Command,
    failure::{Failure, Kind},
    telemetry::{Metrics, Propagator},
};

const USER_AGENT: &str = concat!("incidentgate/", env!("CARGO_PKG_VERSION"));
const CLIENT_REQUEST_ID: &str = "client-request-id";
/// A dead connection is found by HTTP/2 pings within half a minute, idle or not, and
/// not by a call that would end without knowing its outcome.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// RFC 3986's unreserved characters; everything else is encoded, so that an id is
/// one path segment whatever it holds.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// How to reach Graph.
#[derive(Debug, Clone)]
pub struct GraphOptions {
    /// Root with version and without a trailing slash, as in
    /// `https://graph.microsoft.com/beta`.
    pub url: String,
    /// The most time for DNS, TCP and TLS.
    pub connect_timeout: Duration,
    /// The most time for one attempt, from before the connection to the body's end.
    pub attempt_timeout: Duration,
    /// How long an unused connection is kept.
    pub pool_idle_timeout: Duration,
    /// Certificates in PEM that are trusted beside the system's.
    pub extra_roots: Option<Vec<u8>>,
    /// HTTP/2 without TLS, for an upstream on loopback.
    pub http2_prior_knowledge: bool,
}

/// The one shared client. Clones share its connections.
#[derive(Debug, Clone)]
pub struct GraphClient(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    http: Client,
    /// Graph's root with its version, parsed once.
    root: Url,
    attempt_timeout: Duration,
    telemetry: AttemptTelemetry,
}

/// What one attempt needs.
#[derive(Debug)]
pub struct Attempt {
    /// The task and the client-request-id.
    pub command: Command,
    /// What Graph is shown.
    pub authorization: Authorization,
    /// 1 for the first.
    pub number: u32,
    /// Tells whoever holds a clone how far the request got.
    pub departure: Departure,
    /// The span of the call.
    pub parent: Span,
}

/// Why no client could be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The Graph URL is not one.
    #[error("graph.url is not a URL with a host")]
    Url,
    /// There is no extra certificate.
    #[error("graph.ca_file holds no readable PEM certificates")]
    ExtraRoots,
    /// TLS could not be set up.
    #[error(
        "no TLS client could be set up; install the system's CA certificates (ca-certificates) or name a bundle by graph.ca_file"
    )]
    Client(#[source] reqwest::Error),
}

// === impl GraphClient ===

impl GraphClient {
    /// Sets up the client; connects to nothing yet.
    pub fn new(
        options: GraphOptions,
        propagator: Propagator,
        metrics: Metrics,
    ) -> Result<Self, BuildError> {
        let root = Url::parse(&options.url).map_err(|_| BuildError::Url)?;
        let address = root.host_str().ok_or(BuildError::Url)?;
        let port = root.port_or_known_default().ok_or(BuildError::Url)?;
        Ok(Self(Arc::new(Shared {
            attempt_timeout: options.attempt_timeout,
            telemetry: AttemptTelemetry::new(&options.url, address, port, propagator, metrics),
            http: http_client(options, root.scheme() == "http")?,
            root,
        })))
    }

    /// Sends one POST and classifies what comes back.
    ///
    /// Not cancel-safe for the promise: when the future is dropped after the
    /// request has left, nobody learns its outcome. Ask `departure` first.
    pub async fn attempt(self, attempt: Attempt) -> Result<Accepted, Failure> {
        let shared = &*self.0;
        let span = shared.telemetry.start(&attempt.parent, attempt.number - 1);
        let until = Instant::now() + shared.attempt_timeout;
        let mut exchange = match shared.request(&attempt, &span) {
            Ok(request) => match timeout_at(until, shared.http.execute(request)).await {
                Ok(Ok(response)) => Exchange::read(response, &attempt.authorization, until).await,
                Ok(Err(error)) => Exchange::broken(&attempt.departure, Some(error)),
                Err(_) => Exchange::broken(&attempt.departure, None),
            },
            Err(failure) => Exchange::unsent(failure),
        };
        if let Err(failure) = &mut exchange.result {
            failure.client_request_id = Some(attempt.command.client_request_id.as_str().to_owned());
        }
        span.end(&exchange);
        exchange.result
    }
}

// === impl Shared ===

impl Shared {
    fn request(&self, attempt: &Attempt, span: &AttemptSpan<'_>) -> Result<Request, Failure> {
        // Cannot fail for a GUID; were that check ever lost, nothing is sent.
        let Ok(client_request_id) =
            HeaderValue::from_str(attempt.command.client_request_id.as_str())
        else {
            return Err(Failure::new(
                Kind::GatewayFault,
                "the gateway could not build the request to Graph",
            ));
        };
        let url = action_url(&self.root, attempt.command.task_id.as_str());
        let mut request = Request::new(Method::POST, url);
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, attempt.authorization.header().clone());
        headers.insert(CLIENT_REQUEST_ID, client_request_id);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        span.inject(headers);
        *request.body_mut() = Some(Body::wrap(attempt.departure.body()));
        Ok(request)
    }
}

/// Where the action of the task `id` is. Only the path is parsed for each call.
fn action_url(root: &Url, id: &str) -> Url {
    let id = utf8_percent_encode(id, SEGMENT);
    let version = root.path().trim_end_matches('/');
    let mut url = root.clone();
    url.set_path(&format!(
        "{version}/security/incidentTasks/{id}/executeResponseAction"
    ));
    url
}

fn http_client(options: GraphOptions, plaintext: bool) -> Result<Client, BuildError> {
    let mut builder = Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(options.connect_timeout)
        .pool_idle_timeout(options.pool_idle_timeout)
        // Every request on the wire is an attempt that the gateway has decided on.
        .retry(retry::never())
        .redirect(redirect::Policy::none())
        .referer(false)
        .https_only(!plaintext)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .http2_keep_alive_while_idle(true);
    if plaintext {
        // Plain http is for loopback only: never behind a proxy, and it needs no
        // certificates, which a minimal container may not have.
        builder = builder.no_proxy().tls_certs_only([]);
    }
    if options.http2_prior_knowledge {
        builder = builder.http2_prior_knowledge();
    }
    if let Some(pem) = options.extra_roots {
        // Text without any PEM block is a bundle of none for the parser.
        let certificates = Certificate::from_pem_bundle(&pem)
            .ok()
            .filter(|certificates| !certificates.is_empty())
            .ok_or(BuildError::ExtraRoots)?;
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(BuildError::Client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_path_segment_whatever_it_holds() {
        for (id, segment) in [
            ("213213", "213213"),
            ("a/b?c#d", "a%2Fb%3Fc%23d"),
            ("%2e%2e", "%252e%252e"),
            (" ü'(x)=1", "%20%C3%BC%27%28x%29%3D1"),
            ("...", "..."),
            ("a\\b", "a%5Cb"),
        ] {
            for (root, version) in [("http://h/beta", "/beta"), ("http://h", "")] {
                let url = action_url(&Url::parse(root).unwrap(), id);
                assert_eq!(
                    url.as_str(),
                    format!(
                        "http://h{version}/security/incidentTasks/{segment}/executeResponseAction"
                    )
                );
            }
        }
    }
}
