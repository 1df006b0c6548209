//! What an answer of Entra's without a token means: a pure function of status, headers
//! and body.
//!
//! Of Entra's words only codes, ids and claims are kept: the description may repeat what
//! was sent. So may the others, if something else than Entra answers; such a word is
//! dropped.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};
use url::form_urlencoded;
use uuid::Uuid;

use crate::{
    failure::{Failure, Kind},
    outbound::retry_after,
};

/// As much of `error` and `suberror` is kept.
const MAX_WORD: usize = 64;

/// For whom a token was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// The gateway itself.
    Gateway,
    /// The gateway itself, by the platform that it runs on.
    Platform,
    /// A caller.
    Caller,
}

/// The error of RFC 6749, section 5.2, with what Entra adds to it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    error: Option<String>,
    suberror: Option<String>,
    error_codes: Vec<u32>,
    claims: Option<String>,
    trace_id: Option<String>,
    correlation_id: Option<String>,
}

/// What is kept of Entra's words, for the log.
#[derive(Debug, thiserror::Error)]
struct Words {
    status: u16,
    error: Option<String>,
    suberror: Option<String>,
    code: Option<u32>,
    trace_id: Option<Uuid>,
    correlation_id: Option<Uuid>,
}

/// The user has to act (AADSTS: consent, multi-factor authentication, a risky or old
/// sign-in, terms of use, device).
const INTERACTION: [u32; 9] = [
    50074, 50076, 50078, 50079, 50097, 50158, CONSENT, 530_003, 530_004,
];
/// Nobody has consented to what the application wants of the user.
const CONSENT: u32 = 65001;
/// An application's token cannot be exchanged on behalf of a user.
const APP_ONLY: u32 = 7_000_114;

/// The failure of a call whose token Entra did not give. `sent` are the secrets that it
/// was sent.
pub(super) fn failure(
    whose: For,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    sent: &[&str],
) -> Failure {
    let body: Body = serde_json::from_slice(body).unwrap_or_default();
    let body = body.without(sent);
    let kind = kind(whose, status, &body);
    let claims = body
        .claims
        .as_deref()
        .filter(|_| kind == Kind::InteractionRequired)
        .map(|claims| STANDARD.encode(claims));
    let lacks_consent = kind == Kind::InteractionRequired && body.error_codes.contains(&CONSENT);
    let headline = if lacks_consent {
        "the user, or an administrator, has to consent to this gateway's application first"
    } else {
        headline(kind)
    };
    let words = Words::of(status, body);
    let mut failure = Failure::new(kind, format!("{headline} ({words})")).with_claims(claims);
    if let Some(delay) = retry_after(headers) {
        failure = failure.with_retry_after(delay);
    }
    failure.because(words)
}

fn kind(whose: For, status: StatusCode, body: &Body) -> Kind {
    let error = body.error.as_deref();
    let has = |codes: &[u32]| body.error_codes.iter().any(|code| codes.contains(code));
    let passes = status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
        || whose == For::Platform && is_updating(status)
        || matches!(error, Some("temporarily_unavailable" | "server_error"));
    // A success without a token is somebody else's answer.
    if passes || status.is_success() {
        return Kind::CredentialUnavailable;
    }
    if whose != For::Caller {
        return Kind::GatewayCredentialRejected;
    }
    match error {
        _ if has(&[APP_ONLY]) => Kind::AppOnlyToken,
        Some("interaction_required" | "consent_required" | "login_required") => {
            Kind::InteractionRequired
        }
        _ if body.claims.is_some() || has(&INTERACTION) => Kind::InteractionRequired,
        Some("invalid_grant") => Kind::CallerUnauthenticated,
        _ => Kind::GatewayCredentialRejected,
    }
}

/// Azure's metadata service is away for up to 70 seconds when it is updated (Managed
/// identities for Azure resources, "Error handling": 404 and 410).
fn is_updating(status: StatusCode) -> bool {
    status == StatusCode::NOT_FOUND || status == StatusCode::GONE
}

fn headline(kind: Kind) -> &'static str {
    const HEADLINES: [(Kind, &str); 4] = [
        (
            Kind::AppOnlyToken,
            "the caller's token is an application's: only a user's token can be exchanged for one for Graph",
        ),
        (
            Kind::InteractionRequired,
            "Entra wants the user to sign in again; take the metadata key `claims` to it and send the new token",
        ),
        (
            Kind::CallerUnauthenticated,
            "Entra does not take the caller's token; get a new one for this gateway",
        ),
        (
            Kind::GatewayCredentialRejected,
            "Entra gives this gateway no token for Graph; its operator has to mend that",
        ),
    ];
    let headline = HEADLINES.iter().find(|(of, _)| *of == kind);
    headline.map_or(
        "no token for Graph could be had from Entra now",
        |(_, headline)| headline,
    )
}

// === impl Body ===

impl Body {
    /// The same without what repeats a secret, and without claims that are none: they go
    /// to the caller as they are.
    fn without(mut self, sent: &[&str]) -> Self {
        for field in [
            &mut self.error,
            &mut self.suberror,
            &mut self.claims,
            &mut self.trace_id,
            &mut self.correlation_id,
        ] {
            field.take_if(|text| sent.iter().any(|secret| repeats(text, secret)));
        }
        self.claims.take_if(|claims| {
            let Ok(claims) = serde_json::from_str::<Map<String, Value>>(claims) else {
                return true;
            };
            // JSON may write any character as an escape. Written anew, it has only those
            // that it needs, and so has a secret in it.
            let claims = Value::Object(claims).to_string();
            sent.iter().any(|secret| {
                let quoted = Value::from(*secret).to_string();
                repeats(&claims, quoted.trim_matches('"'))
            })
        });
        self
    }
}

/// Whether a text holds a secret, as it is or as it was sent in a form.
fn repeats(text: &str, secret: &str) -> bool {
    let encoded = || form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>();
    !secret.is_empty() && (text.contains(secret) || text.contains(&encoded()))
}

// === impl Words ===

impl Words {
    fn of(status: StatusCode, body: Body) -> Self {
        let word = |text: String| {
            let is_word = |c: char| c.is_ascii_lowercase() || c == '_';
            (text.len() <= MAX_WORD && text.chars().all(is_word)).then_some(text)
        };
        let id = |text: String| Uuid::parse_str(&text).ok();
        Self {
            status: status.as_u16(),
            error: body.error.and_then(word),
            suberror: body.suberror.and_then(word),
            code: body.error_codes.first().copied(),
            trace_id: body.trace_id.and_then(id),
            correlation_id: body.correlation_id.and_then(id),
        }
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}", self.status)?;
        for word in [&self.error, &self.suberror].into_iter().flatten() {
            write!(f, ", {word}")?;
        }
        if let Some(code) = self.code {
            write!(f, ", AADSTS{code}")?;
        }
        if let Some(id) = self.trace_id {
            write!(f, ", trace {id}")?;
        }
        if let Some(id) = self.correlation_id {
            write!(f, ", correlation {id}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
