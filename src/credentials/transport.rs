//! How Entra is reached: by this gateway's own client, for `azure_identity` too.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use azure_core::{
    error::{Error, ErrorKind},
    http::{AsyncRawResponse, HttpClient, headers::Headers},
};
use bytes::Bytes;
use http::{
    Method, Request, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use url::{Url, form_urlencoded};

use super::refusal::{self, For};
use crate::{
    failure::{Failure, Kind},
    outbound::{Answer, BuildError, Documents, NoAnswer, Way},
    secret::Secret,
};

/// How a platform knows its own machine (App Service, "REST endpoint reference").
const IDENTITY_HEADER: &str = "x-identity-header";
const FORM: &str = "application/x-www-form-urlencoded";

/// Where Entra is.
#[derive(Debug, Clone)]
pub struct EntraOptions {
    /// Its root, as `https://login.microsoftonline.com`; plain http only on loopback.
    pub authority: Url,
    /// The tenant's id or domain.
    pub tenant: String,
    /// The most time for one request.
    pub timeout: Duration,
    /// Certificates in PEM that are trusted beside the system's.
    pub extra_roots: Option<Vec<u8>>,
}

/// The way to one tenant of Entra. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Entra {
    documents: Documents,
    authority: Url,
    tenant: String,
}

/// What `azure_identity` sends through, for one token.
///
/// It has retries of its own: up to six for a managed identity, whatever it is told. So
/// an answer without a token is an error to it that it does not retry, and is kept here.
#[derive(Debug)]
pub(super) struct Transport {
    documents: Documents,
    /// Entra is on this machine, and speaks plain http; `azure_identity` only knows https.
    is_plain: bool,
    /// The parameter `claims` of token requests. None: it is no Entra, but a platform's
    /// metadata service.
    claims: Option<String>,
    last: Mutex<Option<Asked>>,
}

/// The last request.
#[derive(Debug)]
struct Asked {
    /// Who was asked: host and port.
    host: String,
    /// What of it must not come back.
    sent: Vec<Secret>,
    answer: Result<Answer, NoAnswer>,
}

/// Whoever was asked has not answered.
#[derive(Debug, thiserror::Error)]
#[error("{host} has not answered")]
struct Silent {
    host: String,
    #[source]
    cause: NoAnswer,
}

/// Why nobody was asked. `azure_identity` quotes variables of the environment after it has
/// said what is wrong with them, so its text ends where a quotation begins.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotAsked(String);

// === impl Entra ===

impl Entra {
    /// Sets up the client; connects to nothing yet.
    pub fn new(options: EntraOptions) -> Result<Self, BuildError> {
        let way = Way::to(&options.authority);
        let roots = options.extra_roots.as_deref();
        Ok(Self {
            documents: Documents::new(way, roots, options.timeout)?,
            authority: options.authority,
            tenant: options.tenant,
        })
    }

    pub(super) fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The authority as `azure_identity` takes it: always https.
    pub(super) fn secure_authority(&self) -> String {
        let authority = self.authority.as_str();
        match authority.strip_prefix("http://") {
            Some(rest) => format!("https://{rest}"),
            None => authority.to_owned(),
        }
    }

    /// The token endpoint, which is also the audience of assertions.
    pub(super) fn token_url(&self) -> String {
        let authority = self.authority.as_str().trim_end_matches('/');
        format!("{authority}/{}/oauth2/v2.0/token", self.tenant)
    }

    pub(super) fn transport(&self, claims: String) -> Transport {
        Transport {
            documents: self.documents.clone(),
            is_plain: self.authority.scheme() == "http",
            claims: Some(claims),
            last: Mutex::default(),
        }
    }

    /// Asks the token endpoint.
    pub(super) async fn ask(&self, form: &[(&str, &str)]) -> Result<Answer, Failure> {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = Request::post(self.token_url())
            .header(CONTENT_TYPE, FORM)
            .header(ACCEPT, "application/json")
            .body(Bytes::from(body))
            .map_err(|error| unavailable().because(error))?;
        let answer = self.documents.send(request).await;
        answer.map_err(|error| silent(self.authority.authority(), error))
    }
}

// === impl Transport ===

impl Transport {
    /// A transport to a metadata service of the platform, which takes no claims.
    pub(super) fn to_platform(documents: Documents) -> Self {
        Self {
            documents,
            is_plain: false,
            claims: None,
            last: Mutex::default(),
        }
    }

    /// Why there is no token, after `azure_identity` has failed with `error`.
    pub(super) fn failure(&self, error: &Error) -> Failure {
        let last = self
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(Asked { host, sent, answer }) = last else {
            // What it needs to ask is missing.
            return Failure::new(
                Kind::GatewayCredentialRejected,
                "this gateway's own credential cannot be used; its operator has to mend that",
            )
            .because(NotAsked::of(error));
        };
        match answer {
            Ok(answer) => {
                let sent: Vec<&str> = sent.iter().map(Secret::reveal).collect();
                let (status, headers) = (answer.status, &answer.headers);
                let whose = match self.claims {
                    Some(_) => For::Gateway,
                    None => For::Platform,
                };
                refusal::failure(whose, status, headers, &answer.body, &sent)
            }
            Err(error) => silent(&host, error),
        }
    }

    fn request(&self, request: &azure_core::http::Request) -> Result<Request<Bytes>, http::Error> {
        let url = request.url().as_str();
        let url = match url.strip_prefix("https://") {
            Some(rest) if self.is_plain => format!("http://{rest}"),
            _ => url.to_owned(),
        };
        let method = Method::from_bytes(request.method().as_ref().as_bytes())?;
        let mut body = Bytes::from(request.body());
        if let (Some(claims), &Method::POST) = (&self.claims, &method) {
            body = with_parameter(&body, "claims", claims);
        }
        let headers = request.headers().iter();
        headers
            .fold(
                Request::builder().method(method).uri(url),
                |builder, (name, value)| builder.header(name.as_str(), value.as_str()),
            )
            .body(body)
    }
}

#[async_trait::async_trait]
impl HttpClient for Transport {
    async fn execute_request(
        &self,
        request: &azure_core::http::Request,
    ) -> azure_core::Result<AsyncRawResponse> {
        let request = self
            .request(request)
            .map_err(|error| Error::new(ErrorKind::DataConversion, error))?;
        let sent = secrets(&request);
        let host = request.uri().authority().map(ToString::to_string);
        let host = host.unwrap_or_default();
        let answer = self.documents.send(request).await;
        let response = match &answer {
            Ok(Answer { status, body, .. }) if *status == StatusCode::OK => Ok(
                AsyncRawResponse::from_bytes(status.as_u16().into(), Headers::new(), body.clone()),
            ),
            Ok(Answer { .. }) | Err(_) => Err(Error::with_message(ErrorKind::Other, "no token")),
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Asked { host, sent, answer });
        response
    }
}

// === impl NotAsked ===

impl NotAsked {
    fn of(error: &Error) -> Self {
        let text = error.to_string();
        let end = text.find(['\'', '"', '`']).unwrap_or(text.len());
        Self(text[..end].trim_end().to_owned())
    }
}

/// Whether a parameter of a token request is a secret.
pub(super) fn is_secret(name: &str) -> bool {
    ["client_secret", "client_assertion", "assertion"].contains(&name)
}

fn secrets(request: &Request<Bytes>) -> Vec<Secret> {
    let header = request.headers().get(IDENTITY_HEADER);
    let header = header.and_then(|value| value.to_str().ok());
    let form = form_urlencoded::parse(request.body());
    let form = form.filter(|(name, _)| is_secret(name));
    let values = form.map(|(_, value)| Secret::new(&value));
    header.map(Secret::new).into_iter().chain(values).collect()
}

/// A form with one parameter more.
fn with_parameter(form: &[u8], name: &str, value: &str) -> Bytes {
    let form = String::from_utf8_lossy(form).into_owned();
    let form = form_urlencoded::Serializer::for_suffix(form, 0)
        .append_pair(name, value)
        .finish();
    Bytes::from(form)
}

fn silent(host: &str, cause: NoAnswer) -> Failure {
    let host = host.to_owned();
    unavailable().because(Silent { host, cause })
}

/// Nothing has come from Entra that could be understood.
pub(super) fn unavailable() -> Failure {
    Failure::new(
        Kind::CredentialUnavailable,
        "no token for Graph could be had from Entra now, and the action was not started",
    )
}

#[cfg(test)]
mod tests {
    use azure_core::http::{Method as AzureMethod, Request as AzureRequest};

    use super::*;

    fn entra(authority: &str) -> Entra {
        Entra::new(EntraOptions {
            authority: authority.parse().unwrap(),
            tenant: "t".to_owned(),
            timeout: Duration::from_secs(1),
            extra_roots: None,
        })
        .unwrap()
    }

    #[test]
    fn only_a_plain_authority_is_asked_by_plain_http_and_only_a_post_has_claims() {
        for (authority, method, want, body) in [
            (
                "http://127.0.0.1:1",
                AzureMethod::Post,
                "http://127.0.0.1:1/x?y",
                "a=b&claims=c",
            ),
            (
                "http://127.0.0.1:1",
                AzureMethod::Get,
                "http://127.0.0.1:1/x?y",
                "a=b",
            ),
            (
                "https://127.0.0.1:1",
                AzureMethod::Post,
                "https://127.0.0.1:1/x?y",
                "a=b&claims=c",
            ),
        ] {
            let entra = entra(authority);
            let transport = entra.transport("c".to_owned());
            let url = format!("{}x?y", entra.secure_authority()).parse().unwrap();
            let mut request = AzureRequest::new(url, method);
            request.insert_header("x-test", "value");
            request.set_body(Bytes::from_static(b"a=b"));
            let request = transport.request(&request).unwrap();
            assert_eq!(request.uri(), want);
            assert_eq!(request.body(), body);
            assert_eq!(request.headers()["x-test"], "value");
        }
    }

    #[test]
    fn the_token_endpoint_is_the_tenants() {
        for authority in ["https://login.example", "https://login.example/"] {
            let url = "https://login.example/t/oauth2/v2.0/token";
            assert_eq!(entra(authority).token_url(), url);
        }
    }

    #[test]
    fn the_secrets_of_a_request_are_known() {
        let request = Request::post("http://127.0.0.1/")
            .header(IDENTITY_HEADER, "machine")
            .body(Bytes::from_static(
                b"client_id=c&client_secret=a%2Bb&assertion=user&client_assertion=own",
            ))
            .unwrap();
        let secrets = secrets(&request);
        let secrets: Vec<_> = secrets.iter().map(Secret::reveal).collect();
        assert_eq!(secrets, ["machine", "a+b", "user", "own"]);
    }

    #[test]
    fn what_was_not_asked_is_told_without_what_is_quoted() {
        for (text, want) in [
            (
                "X must be a URL, but is 'http://u:p@h'",
                "X must be a URL, but is",
            ),
            ("Azure Arc isn't supported", "Azure Arc isn"),
            ("no such thing", "no such thing"),
        ] {
            let error = Error::with_message(ErrorKind::Credential, text);
            assert_eq!(NotAsked::of(&error).to_string(), want);
        }
    }

    #[test]
    fn a_parameter_is_added_to_a_form() {
        let form = with_parameter(b"client_id=a%26b&scope=c", "claims", "{\"a\":1}");
        let expected = b"client_id=a%26b&scope=c&claims=%7B%22a%22%3A1%7D";
        assert_eq!(form.as_ref(), expected);
    }
}
