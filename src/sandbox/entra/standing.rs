//! Whether a bearer token is let in to Graph, as far as Entra has a say: who signed it,
//! for whom, until when, and whether it was revoked since.

use serde::{Deserialize, Serialize};
use serde_json::json;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::jwt::Jwt;
use super::mint;
use super::signing::{Keys, Signer};
use super::{GRAPH, GRAPH_ID};
use crate::sandbox::verdict::Verdict;

/// How many revocations are remembered; the oldest is forgotten.
const MAX_REVOCATIONS: usize = 1000;
/// What Graph says to a token that Entra did not sign.
const NOT_VALID: &str = "Access token validation failure.";

/// Which tokens are revoked. The default is every one that was issued so far.
///
/// In JSON every field may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Revoke {
    /// Only those of this user, or of this application's service principal (`oid`).
    pub user: Option<String>,
    /// Only those that this application has asked for (`azp`).
    pub app: Option<String>,
    /// Whether Graph answers with a claims challenge, as continuous access evaluation
    /// does. Then a new token helps only when it was asked for with the claims of the
    /// challenge, and the first request for such a token ends the revocation for those
    /// that come after it. Graph itself challenges only clients that declare `cp1`; here
    /// the script decides.
    pub challenge: bool,
}

#[derive(Debug)]
struct Revocation {
    whose: Revoke,
    /// Seconds since 1970.
    at: i64,
    /// The last token that it is about; `None` as long as it goes on.
    last: Option<u64>,
}

impl Revocation {
    fn is_of(&self, user: Option<&str>, app: Option<&str>) -> bool {
        let is = |whose: &Option<String>, it: Option<&str>| {
            whose.as_deref().is_none_or(|whose| Some(whose) == it)
        };
        is(&self.whose.user, user) && is(&self.whose.app, app)
    }

    fn refuses(&self, token: &Jwt<'_>) -> bool {
        self.is_of(token.text("oid"), token.text("azp"))
            && self.last.is_none_or(|last| mint::number(token) <= last)
    }

    fn verdict(&self) -> Verdict {
        if !self.whose.challenge {
            return Verdict::unauthenticated(
                "Access token has been revoked; the user or the application has to sign in again.",
            );
        }
        let claims =
            json!({"access_token": {"nbf": {"essential": true, "value": self.at.to_string()}}});
        Verdict::challenged(
            "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: \
             TokenIssuedBeforeRevocationTimestamp",
            &BASE64_STANDARD.encode(claims.to_string()),
        )
    }
}

/// Every revocation, oldest first.
#[derive(Debug, Default)]
pub(super) struct Revocations(Vec<Revocation>);

impl Revocations {
    /// `last` is the last token that was issued.
    pub(super) fn add(&mut self, whose: Revoke, at: i64, last: u64) {
        if self.0.len() == MAX_REVOCATIONS {
            self.0.remove(0);
        }
        let last = (!whose.challenge).then_some(last);
        self.0.push(Revocation { whose, at, last });
    }

    /// A token is asked for with the claims of a challenge, after the token `last`.
    pub(super) fn answered(&mut self, oid: &str, app: &str, last: u64) {
        for revocation in &mut self.0 {
            if revocation.is_of(Some(oid), Some(app)) {
                revocation.last.get_or_insert(last);
            }
        }
    }
}

/// What Entra knows of a token.
pub(in crate::sandbox) enum Standing {
    /// Nothing: it has not issued it.
    Foreign,
    /// It is good for Graph.
    Good,
    /// It is not, and this is what Graph says.
    Refused(Verdict),
}

/// Judges a token at `now`, in seconds since 1970.
pub(super) fn judge(token: &Jwt<'_>, keys: &Keys, revocations: &Revocations, now: i64) -> Standing {
    let refused = |message| Standing::Refused(Verdict::unauthenticated(message));
    match keys.signer(token) {
        Signer::Stranger => return Standing::Foreign,
        Signer::Forger | Signer::Retired => return refused(NOT_VALID),
        Signer::Current => {}
    }
    let audience = token.audience();
    if ![GRAPH, GRAPH_ID].contains(&audience.strip_suffix('/').unwrap_or(audience)) {
        return refused("Access token validation failure. Invalid audience.");
    }
    if token.time("exp").is_none_or(|expiry| expiry <= now) {
        return refused("Lifetime validation failed, the token is expired.");
    }
    if token.time("nbf").is_some_and(|begin| begin > now) {
        return refused("Access token has expired or is not yet valid.");
    }
    match revocations.0.iter().find(|known| known.refuses(token)) {
        Some(revocation) => Standing::Refused(revocation.verdict()),
        None => Standing::Good,
    }
}
