//! What stands in a token.

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Builder;

use super::jwt::{Jwt, decode, encode};
use super::{CLIENT_ID, TENANT};

/// The seconds that Entra's own examples show.
pub(super) const LIFETIME: i64 = 3599;

/// An access token to be made. The default is an app-only one for the gateway, valid for
/// an hour.
///
/// In JSON, with names such as `expiresIn`, every field may be left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Mint {
    /// `aud`: whom the token is for.
    pub audience: String,
    /// `azp`: the application that has asked for it.
    pub app: String,
    /// `oid`: the user whom the application acts for; without one the token is app-only.
    pub user: Option<String>,
    /// `roles`: what the application may do by itself.
    pub roles: Vec<String>,
    /// `scp`: what the application may do for the user.
    pub scopes: Vec<String>,
    /// `exp`, in seconds from now; a token that has expired has a negative one.
    pub expires_in: i64,
    /// `nbf`, in seconds from now.
    pub not_before: i64,
    /// `xms_cc`: what the application can do, such as `cp1` for claims challenges.
    pub capabilities: Vec<String>,
    /// Claims merged last, which overrule the others; `null` takes a claim out.
    pub claims: Map<String, Value>,
    /// The same for the header. `"alg": "none"` takes the signature away.
    pub header: Map<String, Value>,
}

impl Default for Mint {
    fn default() -> Mint {
        Mint {
            audience: CLIENT_ID.to_owned(),
            app: CLIENT_ID.to_owned(),
            user: None,
            roles: Vec::new(),
            scopes: Vec::new(),
            expires_in: LIFETIME,
            not_before: 0,
            capabilities: Vec::new(),
            claims: Map::new(),
            header: Map::new(),
        }
    }
}

impl Mint {
    /// A token for Microsoft Graph.
    pub fn for_graph() -> Mint {
        Mint {
            audience: super::GRAPH.to_owned(),
            ..Mint::default()
        }
    }

    /// `oid`: the user's, or else that of the application's service principal, which is
    /// always the same and not the application's own id, which it is often taken for.
    pub(super) fn object_id(&self) -> String {
        self.user.clone().unwrap_or_else(|| {
            let hash = digest(
                &SHA256,
                format!("service principal {}", self.app).as_bytes(),
            );
            let bytes = hash.as_ref().first_chunk().copied().unwrap_or_default();
            Builder::from_random_bytes(bytes).into_uuid().to_string()
        })
    }

    pub(super) fn header(&self, key: &str) -> Map<String, Value> {
        let mut header = object(json!({"typ": "JWT", "alg": "RS256", "kid": key}));
        merge(&mut header, &self.header);
        header
    }

    /// The claims of a token that is issued at `now`, in seconds since 1970, as the
    /// `number`th of its sandbox.
    pub(super) fn claims(&self, issuer: &str, now: i64, number: u64) -> Map<String, Value> {
        let oid = self.object_id();
        let (sub, kind) = match &self.user {
            Some(user) => (pairwise(user, &self.app), "user"),
            None => (oid.clone(), "app"),
        };
        let mut claims = object(json!({
            "aud": self.audience,
            "iss": issuer,
            "iat": now,
            "nbf": now.saturating_add(self.not_before),
            "exp": now.saturating_add(self.expires_in),
            "azp": self.app,
            "appid": self.app,
            "tid": TENANT,
            "oid": oid,
            "sub": sub,
            "idtyp": kind,
            "uti": unique_id(number),
            "ver": "2.0",
        }));
        if !self.roles.is_empty() {
            claims.insert("roles".into(), self.roles.clone().into());
        }
        if !self.scopes.is_empty() {
            claims.insert("scp".into(), self.scopes.join(" ").into());
        }
        if !self.capabilities.is_empty() {
            claims.insert("xms_cc".into(), self.capabilities.clone().into());
        }
        merge(&mut claims, &self.claims);
        claims
    }
}

/// Which token of its sandbox it is, counted from 1. A token that was given another `uti`
/// counts as the oldest.
pub(super) fn number(token: &Jwt<'_>) -> u64 {
    token
        .text("uti")
        .and_then(decode)
        .and_then(|id| id.first_chunk().map(|number| u64::from_be_bytes(*number)))
        .unwrap_or(0)
}

/// Sixteen bytes in 22 characters, as Entra's are. The first eight are the number, so
/// that a revocation can tell earlier from later within one second.
fn unique_id(number: u64) -> String {
    encode([number.to_be_bytes(), rand::random()].concat())
}

/// A user's id in the eyes of one application.
fn pairwise(user: &str, app: &str) -> String {
    encode(digest(&SHA256, format!("{user} {app}").as_bytes()))
}

fn object(mut value: Value) -> Map<String, Value> {
    value
        .as_object_mut()
        .map(std::mem::take)
        .unwrap_or_default()
}

fn merge(into: &mut Map<String, Value>, overrules: &Map<String, Value>) {
    for (name, value) in overrules {
        if value.is_null() {
            into.remove(name);
        } else {
            into.insert(name.clone(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(mint: &Mint) -> Value {
        mint.claims("http://entra/v2.0", 1000, 7).into()
    }

    #[test]
    fn an_app_only_token_has_roles_and_no_user() {
        let claims = claims(&Mint {
            roles: vec!["R".to_owned()],
            capabilities: vec!["cp1".to_owned()],
            ..Mint::default()
        });
        for (claim, want) in [
            ("aud", json!(CLIENT_ID)),
            ("iss", json!("http://entra/v2.0")),
            ("iat", json!(1000)),
            ("nbf", json!(1000)),
            ("exp", json!(1000 + LIFETIME)),
            ("azp", json!(CLIENT_ID)),
            ("appid", json!(CLIENT_ID)),
            ("tid", json!(TENANT)),
            ("ver", json!("2.0")),
            ("idtyp", json!("app")),
            ("roles", json!(["R"])),
            ("scp", Value::Null),
            ("xms_cc", json!(["cp1"])),
            ("oid", claims["sub"].clone()),
        ] {
            assert_eq!(claims[claim], want, "{claim}");
        }
        assert_eq!(claims["uti"].as_str().map(str::len), Some(22));
        assert_ne!(claims["oid"], json!(CLIENT_ID));
    }

    #[test]
    fn a_users_token_has_scopes_and_the_users_id() {
        let claims = claims(&Mint {
            user: Some("u".to_owned()),
            scopes: vec!["A".to_owned(), "B".to_owned()],
            expires_in: -1,
            not_before: -300,
            ..Mint::default()
        });
        assert_eq!(claims["oid"], json!("u"));
        assert_ne!(claims["sub"], json!("u"));
        assert_eq!(claims["idtyp"], json!("user"));
        assert_eq!(claims["scp"], json!("A B"));
        assert_eq!(claims["exp"], json!(999));
        assert_eq!(claims["nbf"], json!(700));
    }

    #[test]
    fn claims_and_header_can_be_overruled_and_taken_out() {
        let mint = Mint {
            claims: object(json!({"tid": "other", "exp": null, "extra": 1})),
            header: object(json!({"alg": "none", "kid": null})),
            ..Mint::default()
        };
        let claims = claims(&mint);
        assert_eq!(claims["tid"], json!("other"));
        assert_eq!(claims["extra"], json!(1));
        assert!(claims.get("exp").is_none());
        let header: Value = mint.header("k").into();
        assert_eq!(header, json!({"typ": "JWT", "alg": "none"}));
    }
}
