//! Which endpoint a request is for, and what the discovery endpoints say.

use http::{HeaderMap, Method, Uri, header::HOST};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::aadsts::Refusal;
use super::{DOMAIN, TENANT};

/// An endpoint of Entra.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Endpoint {
    /// `POST /{tenant}/oauth2/v2.0/token`.
    #[default]
    Token,
    /// `GET /{tenant}/v2.0/.well-known/openid-configuration`.
    Discovery,
    /// `GET /{tenant}/discovery/v2.0/keys`.
    Keys,
}

impl Endpoint {
    /// The endpoint and the tenant of a path; `None` for all that is Graph's.
    pub(in crate::sandbox) fn of(path: &str) -> Option<(Endpoint, String)> {
        let segments: Vec<_> = path.split('/').skip(1).collect();
        let (tenant, endpoint) = match segments.as_slice() {
            [tenant, "oauth2", "v2.0", "token"] => (tenant, Endpoint::Token),
            [tenant, "v2.0", ".well-known", "openid-configuration"] => {
                (tenant, Endpoint::Discovery)
            }
            [tenant, "discovery", "v2.0", "keys"] => (tenant, Endpoint::Keys),
            _ => return None,
        };
        Some((endpoint, (*tenant).to_owned()))
    }

    /// Refuses a request of another method than the endpoint's.
    pub(super) fn check(self, method: &Method) -> Result<(), Refusal> {
        let allowed = match self {
            Endpoint::Token => Method::POST,
            Endpoint::Discovery | Endpoint::Keys => Method::GET,
        };
        if *method == allowed {
            return Ok(());
        }
        let words =
            format!("The endpoint only accepts {allowed} requests. Received a {method} request.");
        Err(Refusal::saying(900_561, words).with_header("Allow", &allowed))
    }
}

/// Entra as its caller sees it: under the name that the caller has called, so that it
/// also works from another host.
#[derive(Clone, Debug)]
pub(super) struct Authority {
    base: String,
    /// The tenant as the request writes it.
    tenant: String,
}

impl Authority {
    /// `host` is a host and a port.
    pub(super) fn at(host: impl std::fmt::Display) -> Authority {
        Authority {
            base: format!("http://{host}"),
            tenant: TENANT.to_owned(),
        }
    }

    /// As the request's own target or `Host` names it.
    pub(super) fn of(uri: &Uri, headers: &HeaderMap, tenant: String) -> Authority {
        let named = uri.authority().map(ToString::to_string);
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = named.as_deref().or(host).unwrap_or("localhost");
        Authority {
            tenant,
            ..Authority::at(host)
        }
    }

    /// Refuses a tenant that is neither the one's id nor its domain.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let Authority { tenant, .. } = self;
        if tenant.eq_ignore_ascii_case(TENANT) || tenant.eq_ignore_ascii_case(DOMAIN) {
            return Ok(());
        }
        Err(Refusal::saying(
            90_002,
            format!(
                "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing \
                 into the correct cloud. Check with your subscription administrator, this may happen if there \
                 are no active subscriptions for the tenant."
            ),
        ))
    }

    /// `iss` of every token: the tenant by its id, however the request has named it.
    pub(super) fn issuer(&self) -> String {
        format!("{}/{TENANT}/v2.0", self.base)
    }

    /// Whether an assertion for this audience is meant for here.
    pub(super) fn is_token_url(&self, audience: &str) -> bool {
        [&self.tenant, TENANT]
            .into_iter()
            .any(|tenant| audience == format!("{}/{tenant}/oauth2/v2.0/token", self.base))
    }

    /// The metadata of `OpenID` Connect Discovery 1.0, section 3, as Entra gives it.
    pub(super) fn metadata(&self) -> Value {
        let tenant = format!("{}/{TENANT}", self.base);
        json!({
            "token_endpoint": format!("{tenant}/oauth2/v2.0/token"),
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
            "jwks_uri": format!("{tenant}/discovery/v2.0/keys"),
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "issuer": self.issuer(),
            "request_uri_parameter_supported": false,
            "authorization_endpoint": format!("{tenant}/oauth2/v2.0/authorize"),
            "claims_supported": ["sub", "iss", "aud", "exp", "iat", "oid", "tid", "ver"],
            "tenant_region_scope": "NA",
            "cloud_instance_name": "microsoftonline.com",
            "msgraph_host": "graph.microsoft.com",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_own_paths_and_leaves_the_others_to_graph() {
        for (path, want) in [
            ("/t/oauth2/v2.0/token", Some(Endpoint::Token)),
            (
                "/t/v2.0/.well-known/openid-configuration",
                Some(Endpoint::Discovery),
            ),
            ("/t/discovery/v2.0/keys", Some(Endpoint::Keys)),
            ("/oauth2/v2.0/token", None),
            ("/t/oauth2/token", None),
            ("/t/oauth2/v2.0/token/", None),
            ("/beta/security/incidentTasks/1/executeResponseAction", None),
            ("/beta/security/incidentTasks/token", None),
        ] {
            let found = Endpoint::of(path);
            assert_eq!(found.as_ref().map(|found| found.0), want, "{path}");
            assert!(found.is_none_or(|found| found.1 == "t"), "{path}");
        }
    }

    #[test]
    fn takes_its_name_from_the_request() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, http::HeaderValue::from_static("entra:1"));
        let uri = Uri::from_static("/x");
        let authority = Authority::of(&uri, &headers, DOMAIN.to_owned());
        assert_eq!(authority.issuer(), format!("http://entra:1/{TENANT}/v2.0"));
        for tenant in [TENANT, DOMAIN] {
            let url = format!("http://entra:1/{tenant}/oauth2/v2.0/token");
            assert!(authority.is_token_url(&url), "{url}");
        }
        assert!(!authority.is_token_url(&authority.issuer()));
        // HTTP/2 names it in the target.
        let uri = Uri::from_static("http://other:2/x");
        let authority = Authority::of(&uri, &headers, TENANT.to_owned());
        assert_eq!(authority.issuer(), format!("http://other:2/{TENANT}/v2.0"));
    }
}
