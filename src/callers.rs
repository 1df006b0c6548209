//! Who calls, and whether they may: names are proven by a client certificate, a token of
//! an issuer, or a certificate that a sidecar has seen, and a policy lists the names.
//!
//! The ways add up: a caller has every name that one of them proves. What is presented
//! for a way that is asked for must hold, though. A broken token refuses the call even
//! where a certificate alone would let it in, since whoever sends one believes that it
//! counts.

mod certificate;
mod claims;
mod forwarded;
mod issuer;
mod keys;
mod policy;
mod signed;
mod token;

use std::{
    borrow::Cow,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::FutureExt as _;
use http::{HeaderMap, header::AUTHORIZATION};

use self::{policy::Listed, token::Tokens};
pub use self::{
    policy::{Policy, Rpc},
    token::JwtOptions,
};
use crate::{
    authorization::bearer_token,
    caller::{Caller, CallerToken, Name},
    failure::{Failure, Kind},
    outbound,
    peer::ClientCertificate,
    telemetry::Metrics,
};

/// What is wrong with something that a caller presents, as the end of a sentence. It
/// holds no text of the caller's that is not proven.
type Wrong = Cow<'static, str>;

/// Asks callers who they are, and lets them in or not. Clones share the issuer's keys.
#[derive(Clone)]
pub struct Callers(Option<Arc<Asked>>);

/// How callers may prove who they are, and who may do what. Without any way nobody is
/// let in.
#[derive(Debug, Clone, Default)]
pub struct CallerOptions {
    /// Whether a verified client certificate proves names.
    pub certificates: bool,
    /// Whether `x-forwarded-client-cert` proves names, where the peer is local. The sidecar
    /// must write its own element (Envoy's `SANITIZE_SET` or `APPEND_FORWARD`), and nobody
    /// else may reach the gateway from this machine.
    pub forwarded_certificates: bool,
    /// Whose tokens prove names.
    pub jwt: Option<JwtOptions>,
    /// Who may do what.
    pub policy: Policy,
}

/// What one call brings.
#[derive(Debug, Clone, Copy)]
pub struct Presented<'a> {
    /// Its metadata.
    pub metadata: &'a HeaderMap,
    /// The names of the client certificate that the listener has verified.
    pub certificate: Option<&'a ClientCertificate>,
    /// Whether the peer is on this machine: on a loopback address or a unix socket.
    pub is_local: bool,
}

/// Why callers cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The issuer is no URL that keys may come from.
    #[error("the issuer must be an https URL, or an http URL on this machine")]
    Issuer,
    /// There is no client for the issuer.
    #[error("the issuer cannot be asked for its keys")]
    Client(#[from] outbound::BuildError),
}

struct Asked {
    certificates: bool,
    forwarded_certificates: bool,
    tokens: Option<Tokens>,
    policy: Listed,
}

// === impl Callers ===

impl Callers {
    /// Nobody is asked, and whoever reaches the gateway may use it.
    pub fn open() -> Self {
        Self(None)
    }

    /// Callers prove who they are. The issuer is asked for its keys when the first token
    /// comes, unless [`Callers::warm_up`] has done so.
    pub fn new(options: CallerOptions, metrics: Metrics) -> Result<Self, BuildError> {
        let tokens = options.jwt.map(|jwt| Tokens::new(jwt, metrics));
        Ok(Self(Some(Arc::new(Asked {
            certificates: options.certificates,
            forwarded_certificates: options.forwarded_certificates,
            tokens: tokens.transpose()?,
            policy: Listed::new(options.policy),
        }))))
    }

    /// Who calls. Fails with [`Kind::CallerUnauthenticated`], or with
    /// [`Kind::IssuerUnavailable`] where a token came and the issuer's keys cannot be had.
    ///
    /// Cancel-safe: keys that are being fetched arrive for the next call.
    pub async fn identify(&self, presented: Presented<'_>) -> Result<Caller, Failure> {
        self.identify_at(presented, SystemTime::now()).await
    }

    async fn identify_at(
        &self,
        presented: Presented<'_>,
        now: SystemTime,
    ) -> Result<Caller, Failure> {
        match &self.0 {
            Some(asked) => asked.authenticate(presented, now).await,
            None => Ok(Caller::anonymous()),
        }
    }

    /// The caller, if the policy lets it use `rpc`; else [`Kind::CallerNotAllowed`].
    pub fn permit(&self, caller: Caller, rpc: Rpc) -> Result<Caller, Failure> {
        match &self.0 {
            Some(asked) => asked.policy.permit(caller, rpc),
            None => Ok(caller),
        }
    }

    /// Fetches what the first token will need, so that its call does not wait for it, and
    /// the log tells early what is wrong.
    pub async fn warm_up(&self) {
        if let Some(tokens) = self.0.as_ref().and_then(|asked| asked.tokens.as_ref()) {
            tokens.warm_up().await;
        }
    }
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callers")
            .field("asked", &self.0.is_some())
            .finish_non_exhaustive()
    }
}

// === impl Asked ===

impl Asked {
    async fn authenticate(
        &self,
        presented: Presented<'_>,
        now: SystemTime,
    ) -> Result<Caller, Failure> {
        let mut names = Vec::new();
        if let Some(certificate) = presented.certificate.filter(|_| self.certificates) {
            add(
                &mut names,
                certificate::prove(certificate, now).map_err(unauthenticated)?,
            );
        }
        if self.forwarded_certificates && presented.is_local {
            let proven = forwarded::prove(presented.metadata).map_err(unauthenticated)?;
            add(&mut names, proven);
        }
        let mut token = None;
        if let Some(tokens) = &self.tokens
            && presented.metadata.contains_key(AUTHORIZATION)
        {
            let text = bearer_token(presented.metadata).map_err(|wrong| tokens.refuse(wrong))?;
            // Boxed: it may wait for keys, and every call would have the room for that.
            let verified = tokens.verify(text, now).boxed().await?;
            names.extend(verified.names().iter().cloned());
            token = CallerToken::new(text, verified.is_user());
        }
        if names.is_empty() && token.is_none() {
            return Err(self.nothing_proven());
        }
        Ok(Caller::proven(names, token))
    }

    /// Nobody knows who calls: which ways there are to prove it.
    fn nothing_proven(&self) -> Failure {
        const NONE: &str = "it is configured without any way to prove it";
        let mut ways: Vec<Cow<'_, str>> = Vec::new();
        if let Some(tokens) = &self.tokens {
            ways.push(tokens.how_to().into());
        }
        if self.certificates {
            ways.push(
                "connect with a client certificate that has a SPIFFE ID or a DNS name".into(),
            );
        }
        if self.forwarded_certificates {
            ways.push(
                "connect with a certificate that has a SPIFFE ID or a DNS name to the sidecar in front of this gateway".into(),
            );
        }
        if ways.is_empty() {
            ways.push(NONE.into());
        }
        unauthenticated(format!("this gateway must know who calls: {}", ways.join(", or ")).into())
    }
}

/// Both ways of a certificate may prove the same name.
fn add(names: &mut Vec<Name>, proven: Vec<Name>) {
    for name in proven {
        if !names.contains(&name) {
            names.push(name);
        }
    }
}

fn unauthenticated(wrong: Wrong) -> Failure {
    Failure::new(Kind::CallerUnauthenticated, wrong)
}

/// A time of the past for a message; what nobody can write (RFC 3339 ends with the year
/// 9999) is not written.
fn written(at: SystemTime) -> String {
    const LAST: Duration = Duration::from_secs(253_402_300_799);
    match at.duration_since(UNIX_EPOCH) {
        Ok(since) if since <= LAST => humantime::format_rfc3339_seconds(at).to_string(),
        Ok(_) | Err(_) => "a time far away".to_owned(),
    }
}

#[cfg(test)]
mod tests;
