//! The token endpoint's decision: pure, from the form, the directory and the time.

use serde_json::Value;

use super::aadsts::Refusal;
use super::authority::Authority;
use super::client::{Client, Clients, Proof};
use super::form::Form;
use super::jwt::Jwt;
use super::mint::{LIFETIME, Mint};
use super::signing::{Keys, Signer};
use super::{DOMAIN, GRAPH, GRAPH_ID};

const CLIENT_CREDENTIALS: &str = "client_credentials";
/// The grant of RFC 7523, section 2.1, which Entra uses for on-behalf-of.
const ON_BEHALF_OF: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The scope of everything that was consented to.
const DEFAULT: &str = "/.default";
/// Scopes of `OpenID` Connect, which name no resource.
const OF_NO_RESOURCE: [&str; 4] = ["openid", "profile", "email", "offline_access"];

/// A token that is granted.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) mint: Mint,
    /// The scopes, in a user's case.
    pub(super) scope: Option<String>,
    /// Whether the request carries the claims of a challenge.
    pub(super) answers_challenge: bool,
}

/// What a request has shown by the time it is granted or refused; for the journal.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) proof: Option<Proof>,
    pub(super) user: Option<String>,
}

/// A request, and all that its answer depends on.
pub(super) struct Asked<'a> {
    pub(super) form: &'a Form,
    pub(super) authority: &'a Authority,
    pub(super) clients: &'a Clients,
    pub(super) keys: &'a Keys,
    /// Seconds since 1970.
    pub(super) now: i64,
}

impl Asked<'_> {
    /// Grants a token, or says why not.
    pub(super) fn decide(&self, shown: &mut Shown) -> Result<Grant, Refusal> {
        let grant = self
            .form
            .get("grant_type")
            .ok_or_else(|| Refusal::missing("grant_type"))?;
        if ![CLIENT_CREDENTIALS, ON_BEHALF_OF].contains(&grant) {
            let words = format!("The app requested an unsupported grant type '{grant}'.");
            return Err(Refusal::saying(70_003, words));
        }
        self.authority.check()?;
        let (client, proof) = self
            .clients
            .authenticate(self.form, self.authority, self.now)?;
        shown.proof = Some(proof);
        let wished = Wished::read(self.form.get("claims"))?;
        let mint = Mint {
            app: client.id.clone(),
            capabilities: wished.capabilities,
            expires_in: LIFETIME,
            ..Mint::default()
        };
        let (mint, scope) = if grant == CLIENT_CREDENTIALS {
            let audience = self.app_only_audience()?;
            let roles = client.registration.roles.clone();
            (
                Mint {
                    audience,
                    roles,
                    ..mint
                },
                None,
            )
        } else {
            let user = self.user(client, shown)?;
            let (audience, scopes) = self.delegated_scopes(client)?;
            let scope = scopes.iter().map(|name| format!("{audience}/{name}"));
            let scope = scope.collect::<Vec<_>>().join(" ");
            let user = Some(user);
            (
                Mint {
                    audience,
                    user,
                    scopes,
                    ..mint
                },
                Some(scope),
            )
        };
        Ok(Grant {
            mint,
            scope,
            answers_challenge: wished.answers_challenge,
        })
    }

    /// The user for whom the application asks.
    fn user(&self, client: &Client, shown: &mut Shown) -> Result<String, Refusal> {
        match self.form.get("requested_token_use") {
            Some("on_behalf_of") => {}
            Some(_) => return Err(Refusal::new(90_023)),
            None => return Err(Refusal::missing("requested_token_use")),
        }
        let assertion = self
            .form
            .get("assertion")
            .ok_or_else(|| Refusal::missing("assertion"))?;
        let assertion = Jwt::parse(assertion).ok_or_else(|| Refusal::new(50_027))?;
        match self.keys.signer(&assertion) {
            Signer::Current => {}
            Signer::Stranger | Signer::Retired => return Err(Refusal::new(50_013)),
            Signer::Forger => {
                return Err(Refusal::saying(
                    50_013,
                    "Assertion failed signature validation. [Reason - The provided signature value did not match \
                     the expected signature value.]",
                ));
            }
        }
        shown.user = assertion.text("oid").map(str::to_owned);
        let audience = assertion.audience();
        if !client.is_named(audience.strip_prefix("api://").unwrap_or(audience)) {
            return Err(Refusal::saying(
                500_131,
                format!(
                    "Assertion audience does not match the Client app presenting the assertion. The audience in \
                     the assertion was '{audience}' and the expected audience is 'api://{id}' or one of the \
                     Application Uris of this application with App ID '{id}'. The downstream client must request \
                     a token for the expected audience (the application that made the OBO request) and this \
                     application should use that token as the assertion.",
                    id = client.id
                ),
            ));
        }
        let begun = assertion.time("nbf").is_none_or(|begin| begin <= self.now);
        if !begun
            || assertion
                .time("exp")
                .is_none_or(|expiry| expiry <= self.now)
        {
            return Err(Refusal::new(500_133));
        }
        let is_app_only = assertion.text("idtyp") == Some("app") || assertion.text("scp").is_none();
        match shown.user.clone().filter(|_| !is_app_only) {
            Some(user) => Ok(user),
            None => Err(Refusal::saying(
                7_000_114,
                format!(
                    "Application '{}' is not allowed to make application on-behalf-of calls.",
                    client.id
                ),
            )),
        }
    }

    /// Whom a token of the application's own is for.
    fn app_only_audience(&self) -> Result<String, Refusal> {
        let scope = self
            .form
            .get("scope")
            .ok_or_else(|| Refusal::missing("scope"))?;
        if scope.split_whitespace().count() != 1 {
            return Err(invalid(scope));
        }
        let resource = scope.trim().strip_suffix(DEFAULT).ok_or_else(|| {
            Refusal::saying(
                1_002_012,
                format!(
                    "The provided value for scope {scope} is not valid. Client credential flows must have a scope \
                     value with /.default suffixed to the resource identifier (application ID URI)."
                ),
            )
        })?;
        self.audience(resource)
    }

    /// Whom a user's token is for, and what it allows.
    fn delegated_scopes(&self, client: &Client) -> Result<(String, Vec<String>), Refusal> {
        let scope = self
            .form
            .get("scope")
            .ok_or_else(|| Refusal::missing("scope"))?;
        let mut resource = None;
        let mut names = Vec::new();
        let of_resource = scope
            .split_whitespace()
            .filter(|one| !OF_NO_RESOURCE.contains(one));
        for one in of_resource {
            let (of, name) = one.rsplit_once('/').unwrap_or((GRAPH, one));
            if *resource.get_or_insert(of) != of {
                return Err(invalid(scope));
            }
            names.push(name);
        }
        let audience = self.audience(resource.ok_or_else(|| invalid(scope))?)?;
        let consented = &client.registration.scopes;
        if names.contains(&".default") {
            names = consented.iter().map(String::as_str).collect();
        }
        let has_consent = |name: &&str| consented.iter().any(|known| known == *name);
        if names.is_empty() || !names.iter().all(has_consent) {
            return Err(Refusal::saying(
                65_001,
                format!(
                    "The user or administrator has not consented to use the application with ID '{}'. Send an \
                     interactive authorization request for this user and resource.",
                    client.id
                ),
            ));
        }
        Ok((audience, names.into_iter().map(str::to_owned).collect()))
    }

    /// `aud` of a token for a resource: Graph, or an application that is registered.
    fn audience(&self, resource: &str) -> Result<String, Refusal> {
        let resource = resource.strip_suffix('/').unwrap_or(resource);
        if [GRAPH, GRAPH_ID].contains(&resource) {
            return Ok(resource.to_owned());
        }
        let id = resource.strip_prefix("api://").unwrap_or(resource);
        if let Some(client) = self.clients.get(id) {
            return Ok(client.id.clone());
        }
        Err(Refusal::saying(
            500_011,
            format!(
                "The resource principal named {resource} was not found in the tenant named {DOMAIN}. This can \
                 happen if the application has not been installed by the administrator of the tenant or consented \
                 to by any user in the tenant. You might have sent your authentication request to the wrong tenant."
            ),
        ))
    }
}

fn invalid(scope: &str) -> Refusal {
    Refusal::saying(
        70_011,
        format!(
            "The provided request must include a 'scope' input parameter. The provided value for the input \
             parameter 'scope' is not valid. The scope {scope} is not valid."
        ),
    )
}

/// What the `claims` parameter asks for (`OpenID` Connect Core 1.0, section 5.5).
#[derive(Debug, Default)]
struct Wished {
    capabilities: Vec<String>,
    answers_challenge: bool,
}

impl Wished {
    fn read(claims: Option<&str>) -> Result<Wished, Refusal> {
        let Some(claims) = claims else {
            return Ok(Wished::default());
        };
        let claims: Value = serde_json::from_str(claims).map_err(|_| Refusal::new(9_002_313))?;
        let token = claims.get("access_token").and_then(Value::as_object);
        let values = claims.pointer("/access_token/xms_cc/values");
        let values = values.and_then(Value::as_array).into_iter().flatten();
        Ok(Wished {
            capabilities: values
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            // A capability is declared with every request; whatever else stands beside it
            // comes from a challenge.
            answers_challenge: token.is_some_and(|token| token.keys().any(|name| name != "xms_cc")),
        })
    }
}
