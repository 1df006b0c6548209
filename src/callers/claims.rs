//! What a token says, once its signature is verified, and whether that is meant for this
//! gateway and now.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::{Number, Value};

use super::{Wrong, written};
use crate::caller::{Name, comparable};

/// The longest name that counts, in characters; Entra's ids have 36. A longer one is
/// dropped and not cut, as what is left could be somebody else's name.
const MAX_NAME: usize = 256;
/// The most roles and scopes of one token that count, together; further ones are dropped.
const MAX_GRANTS: usize = 200;

/// What a token has to say.
#[derive(Debug)]
pub(super) struct Expected {
    /// `iss`, to the letter.
    pub(super) issuer: String,
    /// `aud`: one of these.
    pub(super) audiences: Vec<String>,
    /// How far the issuer's clock may be off.
    pub(super) skew: Duration,
}

/// What counts of a token's claims.
#[derive(Debug, PartialEq)]
pub(super) struct Claims {
    pub(super) names: Vec<Name>,
    /// Whether a user stands behind it.
    pub(super) is_user: bool,
    pub(super) validity: Validity,
}

/// When a token is good, in seconds since 1970. Fractions are cut off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Validity {
    expires: u64,
    not_before: Option<u64>,
    issued: Option<u64>,
}

/// RFC 7519, section 4.1, and Entra's access tokens. Twice the same claim is an error.
#[derive(Deserialize)]
struct Payload {
    iss: Option<String>,
    #[serde(default)]
    aud: Value,
    exp: Option<Seconds>,
    nbf: Option<Seconds>,
    iat: Option<Seconds>,
    azp: Option<String>,
    appid: Option<String>,
    oid: Option<String>,
    sub: Option<String>,
    idtyp: Option<String>,
    #[serde(default)]
    roles: Value,
    #[serde(default)]
    scp: Value,
    #[serde(default)]
    scope: Value,
}

/// A `NumericDate`: RFC 7519, section 2, allows fractions.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "Number")]
struct Seconds(u64);

// === impl Claims ===

impl Claims {
    /// The claims, if they are from the expected issuer and for this gateway. Whether they
    /// are good now is another question: [`Validity::check`].
    pub(super) fn read(payload: &[u8], expected: &Expected) -> Result<Self, Wrong> {
        let payload: Payload = serde_json::from_slice(payload)
            .map_err(|_| "holds a token whose claims are malformed")?;
        if payload.iss.as_ref() != Some(&expected.issuer) {
            return Err("holds a token of another issuer".into());
        }
        let is_ours = |audience| expected.audiences.iter().any(|ours| ours == audience);
        if !texts(&payload.aud).any(is_ours) {
            return Err("holds a token for another audience".into());
        }
        let Some(Seconds(expires)) = payload.exp else {
            return Err("holds a token that never expires (no `exp`)".into());
        };
        Ok(Self {
            validity: Validity {
                expires,
                not_before: payload.nbf.map(|Seconds(at)| at),
                issued: payload.iat.map(|Seconds(at)| at),
            },
            is_user: payload.is_user(),
            names: payload.names(),
        })
    }
}

// === impl Payload ===

impl Payload {
    /// Entra puts `scp` into tokens with a user behind them and into no others. `idtyp`
    /// tells it outright, but is optional. Without it an app-only token also shows by
    /// `oid` and `sub`, which are then the same (Microsoft identity platform, "Access
    /// token claims reference").
    fn is_user(&self) -> bool {
        let is_app =
            self.idtyp.as_deref() == Some("app") || self.oid.is_some() && self.oid == self.sub;
        !is_app && words(&self.scp).next().is_some()
    }

    fn names(self) -> Vec<Name> {
        let roles = texts(&self.roles).map(|role| Name::Role(role.to_owned()));
        let scopes = words(&self.scp).chain(words(&self.scope));
        let scopes = scopes.map(|scope| Name::Scope(scope.to_owned()));
        let grants: Vec<Name> = roles
            .chain(scopes)
            .filter(is_sound)
            .take(MAX_GRANTS)
            .collect();
        let application = self.azp.or(self.appid).map(comparable);
        let application = application.map(Name::Application);
        let subject = self.oid.or(self.sub).map(comparable).map(Name::Subject);
        let who = application.into_iter().chain(subject).filter(is_sound);
        who.chain(grants).collect()
    }
}

/// Whether a name can be compared, written and logged as it is.
fn is_sound(name: &Name) -> bool {
    let (Name::Spiffe(text)
    | Name::Dns(text)
    | Name::Application(text)
    | Name::Subject(text)
    | Name::Role(text)
    | Name::Scope(text)) = name;
    let length = text.chars().count();
    (1..=MAX_NAME).contains(&length) && !text.chars().any(char::is_control)
}

/// One text, or each of several.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let several = value.as_array().map_or(&[][..], Vec::as_slice);
    value
        .as_str()
        .into_iter()
        .chain(several.iter().filter_map(Value::as_str))
}

/// RFC 8693, section 4.2: scopes have spaces between them. Some issuers send an array.
fn words(value: &Value) -> impl Iterator<Item = &str> {
    texts(value).flat_map(|text| text.split(' ').filter(|word| !word.is_empty()))
}

// === impl Validity ===

impl Validity {
    /// Whether a token is good now. `skew` is in its favour, at both ends.
    pub(super) fn check(self, now: SystemTime, skew: Duration) -> Result<(), Wrong> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = |seconds| Duration::from_secs(seconds);
        // RFC 7519, section 4.1.4: on or after it the token is not accepted.
        if now >= at(self.expires).saturating_add(skew) {
            let expired = UNIX_EPOCH.checked_add(at(self.expires)).map(written);
            let expired = expired.unwrap_or_default();
            return Err(format!("holds a token that has expired at {expired}").into());
        }
        let latest = now.saturating_add(skew);
        if self.not_before.is_some_and(|begins| latest < at(begins)) {
            return Err("holds a token that is not valid yet (`nbf`)".into());
        }
        if self.issued.is_some_and(|issued| latest < at(issued)) {
            return Err("holds a token that was issued in the future (`iat`)".into());
        }
        Ok(())
    }
}

impl TryFrom<Number> for Seconds {
    type Error = &'static str;

    fn try_from(number: Number) -> Result<Self, Self::Error> {
        let fraction = || Duration::try_from_secs_f64(number.as_f64()?).ok();
        number
            .as_u64()
            .or_else(|| Some(fraction()?.as_secs()))
            .map(Self)
            .ok_or("no time since 1970")
    }
}

#[cfg(test)]
mod tests;
