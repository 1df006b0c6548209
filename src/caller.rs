//! Who calls: names that are proven, and patterns of names that may do something.

mod pattern;

use std::{fmt, sync::Arc};

use http::HeaderValue;
use uuid::Uuid;

pub use pattern::Pattern;

/// The most names of one certificate that count.
pub const MAX_CERTIFICATE_NAMES: usize = 32;
/// The most [identities](Caller::identities): those of the connection's certificate, of one
/// that a sidecar forwards, and a token's application and subject.
pub const MAX_IDENTITIES: usize = 2 * MAX_CERTIFICATE_NAMES + 2;

/// One name that a caller has proven to have.
///
/// Displayed as policies and the audit log write it, for example `dns:soc.example.com`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Name {
    /// A SPIFFE ID, `spiffe://…` (a URI SAN of a certificate).
    Spiffe(String),
    /// A DNS SAN of a certificate, in lower case.
    Dns(String),
    /// The application that asked for a token: `azp` or `appid`.
    Application(String),
    /// The subject of a token: `oid` where it has one, as Entra's tokens do, else `sub`.
    Subject(String),
    /// A role that a token grants: one of `roles`.
    Role(String),
    /// A scope that a token grants: one word of `scp` or `scope`.
    Scope(String),
}

/// Who calls, as far as it is proven. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    proven: Option<Arc<Proven>>,
    allowed_by: Option<Arc<str>>,
}

#[derive(Debug)]
struct Proven {
    names: Vec<Name>,
    token: Option<CallerToken>,
}

/// The verified token that a caller has sent to this gateway. `Debug` does not show it.
#[derive(Debug, Clone)]
pub struct CallerToken {
    header: HeaderValue,
    is_user: bool,
}

// === impl Caller ===

impl Caller {
    /// A caller who was not asked to prove anything.
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// A caller with these names, and the token that proves some of them, if one does.
    pub fn proven(names: Vec<Name>, token: Option<CallerToken>) -> Self {
        Self {
            proven: Some(Arc::new(Proven { names, token })),
            allowed_by: None,
        }
    }

    /// The proven names; none of an anonymous caller.
    pub fn names(&self) -> &[Name] {
        self.proven.as_ref().map_or(&[], |proven| &proven.names)
    }

    /// Those of the names that tell who it is, and not what it may do.
    pub fn identities(&self) -> impl Iterator<Item = &Name> {
        let is_right = |name: &&Name| matches!(name, Name::Role(_) | Name::Scope(_));
        self.names().iter().filter(move |name| !is_right(name))
    }

    /// The verified token, for an exchange on the caller's behalf.
    pub fn token(&self) -> Option<&CallerToken> {
        self.proven.as_ref()?.token.as_ref()
    }

    /// Whether the pattern names one of the names.
    pub fn is_named_by(&self, pattern: &Pattern) -> bool {
        self.names().iter().any(|name| pattern.matches(name))
    }

    /// The same caller, whom this pattern of the policy lets do what it wants.
    #[must_use]
    pub fn allowed_by(self, pattern: Arc<str>) -> Self {
        Self {
            allowed_by: Some(pattern),
            ..self
        }
    }

    /// The pattern that lets the caller in, as the policy writes it.
    pub fn pattern(&self) -> Option<&str> {
        self.allowed_by.as_deref()
    }
}

// === impl CallerToken ===

impl CallerToken {
    /// The bearer token, and whether a user stands behind it. Nothing if no header may
    /// carry the token.
    pub fn new(token: &str, is_user: bool) -> Option<Self> {
        let mut header = HeaderValue::from_str(token).ok()?;
        header.set_sensitive(true);
        Some(Self { header, is_user })
    }

    /// The token itself, without `Bearer`.
    pub fn reveal(&self) -> &str {
        self.header.to_str().unwrap_or_default()
    }

    /// Whether a user stands behind it, and not only an application.
    pub fn is_user(&self) -> bool {
        self.is_user
    }
}

/// An id as it is compared: GUIDs are written in either case, and mean the same.
pub fn comparable(id: String) -> String {
    let is_guid = id.len() == 36 && Uuid::try_parse(&id).is_ok();
    if is_guid { id.to_ascii_lowercase() } else { id }
}

// === impl Name ===

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spiffe(id) => f.write_str(id),
            Self::Dns(name) => write!(f, "dns:{name}"),
            Self::Application(id) => write!(f, "app:{id}"),
            Self::Subject(id) => write!(f, "subject:{id}"),
            Self::Role(role) => write!(f, "role:{role}"),
            Self::Scope(scope) => write!(f, "scope:{scope}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_the_token() {
        let token = CallerToken::new("s3cret", true).unwrap();
        let caller = Caller::proven(vec![Name::Subject("o".to_owned())], Some(token));
        assert!(!format!("{caller:?}").contains("s3cret"));
        assert_eq!(caller.token().map(CallerToken::reveal), Some("s3cret"));
    }

    #[test]
    fn an_anonymous_caller_matches_nothing() {
        assert!(!Caller::anonymous().is_named_by(&Pattern::Any));
        let proven = Caller::proven(vec![Name::Role("r".to_owned())], None);
        assert!(proven.is_named_by(&Pattern::Any));
    }
}
