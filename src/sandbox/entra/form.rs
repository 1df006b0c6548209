//! A token request's form, with the client's id and secret from wherever they stand.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use percent_encoding::percent_decode_str;

/// The parameters of one request. It holds secrets and tokens, so it has no `Debug`.
pub(super) struct Form {
    parameters: Vec<(String, String)>,
    /// The id and the secret of HTTP Basic (RFC 6749, section 2.3.1).
    basic: Option<(String, String)>,
}

impl Form {
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Form {
        Form {
            parameters: url::form_urlencoded::parse(body).into_owned().collect(),
            basic: basic(headers),
        }
    }

    /// A parameter; one that is empty counts as missing (RFC 6749, section 3.2).
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut named = self.parameters.iter().filter(|(key, _)| key == name);
        let (_, value) = named.next()?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    pub(super) fn client_id(&self) -> Option<&str> {
        let basic = self.basic.as_ref().map(|(id, _)| id.as_str());
        self.get("client_id").or(basic)
    }

    pub(super) fn client_secret(&self) -> Option<&str> {
        let basic = self.basic.as_ref().map(|(_, secret)| secret.as_str());
        self.get("client_secret").or(basic)
    }
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = value.split_once(' ')?;
    let credentials = scheme
        .eq_ignore_ascii_case("Basic")
        .then(|| BASE64_STANDARD.decode(credentials.trim()).ok())??;
    let credentials = String::from_utf8(credentials).ok()?;
    let (id, secret) = credentials.split_once(':')?;
    let decode = |part| percent_decode_str(part).decode_utf8_lossy().into_owned();
    Some((decode(id), decode(secret)))
}
