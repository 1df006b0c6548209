//! Where the callers' tokens come from: `OpenID` Connect Discovery 1.0, and the
//! issuer's keys.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header::ACCEPT};
use serde::Deserialize;
use tokio::time::Instant;
use url::{Host, Url};

use super::{BuildError, JwtOptions, keys::Keys};
use crate::{
    failure::{Failure, Kind},
    outbound::{Documents, NoAnswer, Way, retry_after},
    renewable::Fetched,
};

/// Keys of this age are fetched again, beside the calls. Issuers publish a new key long
/// before they use it, and one that is needed sooner is noticed by its `kid`.
const STALE_AFTER: Duration = Duration::from_secs(3600);
/// Keys of this age are not used, even if the issuer cannot be reached: it might have
/// withdrawn them. Entra advises to look every 24 hours at least (Microsoft identity
/// platform, "Signing key rollover").
const EXPIRED_AFTER: Duration = Duration::from_secs(24 * 3600);

/// An issuer that can be asked for its keys.
#[derive(Debug)]
pub(super) struct Issuer {
    /// To the letter, as its tokens and its discovery document name it.
    name: String,
    way: Way,
    documents: Documents,
}

/// Why the keys cannot be had. For the log, not for callers.
#[derive(Debug, thiserror::Error)]
enum NoKeys {
    #[error("the {0} could not be fetched")]
    NoAnswer(&'static str, #[source] NoAnswer),
    #[error("the {0} was answered with the status {1}")]
    Status(&'static str, StatusCode, Option<Duration>),
    /// The parser's own words would quote the document, whatever has answered.
    #[error("the {0} could not be read (line {1}, column {2})")]
    Unreadable(&'static str, usize, usize),
    /// `OpenID` Connect Discovery 1.0, section 4.3.
    #[error("the discovery document names another issuer than `callers.jwt_issuer`")]
    OtherIssuer,
    #[error(
        "the discovery document's `jwks_uri` must be an https URL; plain http is for an issuer on this machine"
    )]
    KeysUrl,
    #[error("the key set has no key that may sign tokens")]
    NoUsableKey,
}

const DISCOVERY: &str = "discovery document";
const KEYS: &str = "key set";

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

// === impl Issuer ===

impl Issuer {
    pub(super) fn new(options: &JwtOptions) -> Result<Self, BuildError> {
        let url = Url::parse(&options.issuer).map_err(|_| BuildError::Issuer)?;
        let way = way(&url).ok_or(BuildError::Issuer)?;
        let roots = options.extra_roots.as_deref();
        let documents = Documents::new(way, roots, options.timeout)?;
        Ok(Self {
            name: options.issuer.clone(),
            way,
            documents,
        })
    }

    /// The keys as they are now, by two requests.
    pub(super) async fn fetch(&self) -> Result<Fetched<Keys>, Failure> {
        let keys = self.keys().await.map_err(unavailable)?;
        let now = keys.fetched;
        Ok(Fetched {
            value: keys,
            stale_at: now + STALE_AFTER,
            expires_at: now + EXPIRED_AFTER,
        })
    }

    async fn keys(&self) -> Result<Keys, NoKeys> {
        // Section 4.1: a closing slash is removed before the path is appended.
        let root = self.name.strip_suffix('/').unwrap_or(&self.name);
        let url = format!("{root}/.well-known/openid-configuration");
        let discovery = self.document(DISCOVERY, &url).await?;
        let discovery: Discovery =
            serde_json::from_slice(&discovery).map_err(|e| unreadable(DISCOVERY, &e))?;
        if discovery.issuer != self.name {
            return Err(NoKeys::OtherIssuer);
        }
        let url = Url::parse(&discovery.jwks_uri).map_err(|_| NoKeys::KeysUrl)?;
        // As safe as the issuer: each way has its own client, and there is one.
        if way(&url) != Some(self.way) {
            return Err(NoKeys::KeysUrl);
        }
        // From before the question on: what changes meanwhile is not in the answer.
        let asked = Instant::now();
        let set = self.document(KEYS, url.as_str()).await?;
        Keys::read(&set, asked)
            .map_err(|e| unreadable(KEYS, &e))?
            .ok_or(NoKeys::NoUsableKey)
    }

    async fn document(&self, what: &'static str, url: &str) -> Result<Bytes, NoKeys> {
        let request = Request::get(url)
            .header(ACCEPT, "application/json")
            .body(Bytes::new())
            .map_err(|_| NoKeys::KeysUrl)?;
        let answer = self.documents.send(request).await;
        let answer = answer.map_err(|error| NoKeys::NoAnswer(what, error))?;
        if answer.status != StatusCode::OK {
            let wait = retry_after(&answer.headers);
            return Err(NoKeys::Status(what, answer.status, wait));
        }
        Ok(answer.body)
    }
}

fn unreadable(what: &'static str, error: &serde_json::Error) -> NoKeys {
    NoKeys::Unreadable(what, error.line(), error.column())
}

/// Which way an issuer or its keys are reached: by TLS, or on this machine without. Nothing
/// if neither is allowed.
fn way(url: &Url) -> Option<Way> {
    if !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    let is_loopback = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    match url.scheme() {
        "https" => Some(Way::Secure),
        "http" if is_loopback => Some(Way::Plain),
        _ => None,
    }
}

/// No keys, for a caller.
fn unavailable(error: NoKeys) -> Failure {
    let failure = Failure::new(
        Kind::IssuerUnavailable,
        "this gateway cannot check your token now, as the issuer's keys cannot be had; send the call again",
    );
    if let NoKeys::Status(_, _, Some(wait)) = error {
        return failure.because(error).with_retry_after(wait);
    }
    failure.because(error)
}

/// The keys that there are do not have the one that a token names, and newer ones were
/// not to be had a moment ago.
pub(super) fn no_newer_keys() -> Failure {
    Failure::new(
        Kind::IssuerUnavailable,
        "this gateway does not know the key of your token, and cannot ask the issuer for newer ones now; send the call again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_by_tls_or_from_this_machine() {
        for (url, want) in [
            ("https://login.example.com/t/v2.0", Some(Way::Secure)),
            ("https://127.0.0.1/", Some(Way::Secure)),
            ("http://127.0.0.1:8080", Some(Way::Plain)),
            ("http://localhost/x", Some(Way::Plain)),
            ("http://[::1]:1", Some(Way::Plain)),
            ("http://login.example.com", None),
            ("http://10.0.0.1", None),
            ("http://localhost.example.com", None),
            ("https://user@login.example.com", None),
            ("https://:word@login.example.com", None),
            ("file:///etc/keys", None),
            ("data:,{}", None),
        ] {
            assert_eq!(way(&Url::parse(url).unwrap()), want, "{url}");
        }
    }
}
