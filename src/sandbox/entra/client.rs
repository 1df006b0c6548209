//! Applications that are registered, and how they prove who they are.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use webpki::EndEntityCert;

use super::aadsts::Refusal;
use super::authority::Authority;
use super::form::Form;
use super::jwt::{Jwt, encode};
use super::{CLIENT_ID, CLIENT_SECRET, PERMISSION};

/// The `client_assertion_type` of RFC 7523, section 2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Whom a foreign issuer's token has to be for.
const EXCHANGE: &str = "api://AzureADTokenExchange";
/// The longest that a client assertion may be valid, in seconds: Entra refuses more than
/// 24 hours.
const MAX_ASSERTION_LIFETIME: i64 = 24 * 60 * 60;
/// The most certificates or federated credentials of one application.
const MAX_CREDENTIALS: usize = 32;

/// An application's entry in the directory.
///
/// In JSON every field may be left out.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Registration {
    /// Its secret.
    pub secret: Option<String>,
    /// Its certificates in PEM, with RSA keys of 2048 bits or more.
    pub certificates: Vec<String>,
    /// Whose tokens it may show in place of a secret.
    pub federated: Vec<Federated>,
    /// What it may do by itself in whatever it asks a token for.
    pub roles: Vec<String>,
    /// What it may do there for a user.
    pub scopes: Vec<String>,
}

impl Default for Registration {
    fn default() -> Registration {
        Registration {
            secret: None,
            certificates: Vec::new(),
            federated: Vec::new(),
            roles: vec![PERMISSION.to_owned()],
            scopes: vec![PERMISSION.to_owned()],
        }
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("has_secret", &self.secret.is_some())
            .field("certificates", &self.certificates.len())
            .field("federated", &self.federated)
            .field("roles", &self.roles)
            .field("scopes", &self.scopes)
            .finish()
    }
}

/// A subject of a foreign issuer, such as a Kubernetes service account.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Federated {
    /// `iss`, exactly. The issuer is not asked for its keys, so its signature is not
    /// checked.
    pub issuer: String,
    /// `sub`, exactly.
    pub subject: String,
}

/// How a client has proved who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Proof {
    /// By its secret.
    Secret,
    /// By an assertion signed with the key of its certificate.
    Certificate,
    /// By a token of a foreign issuer.
    Federated,
}

/// An application as it is kept.
#[derive(Debug)]
pub(super) struct Client {
    /// As it was registered.
    pub(super) id: String,
    pub(super) registration: Registration,
    certificates: Vec<Certificate>,
}

#[derive(Debug)]
struct Certificate {
    /// `SubjectPublicKeyInfo` in DER.
    public_key: Vec<u8>,
    sha256: String,
    sha1: String,
}

impl Certificate {
    fn read(pem: &str) -> Option<Certificate> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let certificate = EndEntityCert::try_from(&der).ok()?;
        let thumbprint = |algorithm: &'static Algorithm| encode(digest(algorithm, &der));
        Some(Certificate {
            public_key: certificate.subject_public_key_info().to_vec(),
            sha256: thumbprint(&SHA256),
            sha1: thumbprint(&SHA1_FOR_LEGACY_USE_ONLY),
        })
    }
}

/// Every application, by its id in lower case.
#[derive(Debug)]
pub(super) struct Clients(BTreeMap<String, Client>);

impl Default for Clients {
    fn default() -> Clients {
        let gateway = Client {
            id: CLIENT_ID.to_owned(),
            registration: Registration {
                secret: Some(CLIENT_SECRET.to_owned()),
                ..Registration::default()
            },
            certificates: Vec::new(),
        };
        Clients(BTreeMap::from([(CLIENT_ID.to_owned(), gateway)]))
    }
}

impl Clients {
    /// Registers an application, or replaces the one with its id; an error says what is
    /// wrong, and changes nothing.
    pub(super) fn put(&mut self, id: &str, registration: Registration) -> Result<(), String> {
        let credentials = registration
            .certificates
            .len()
            .max(registration.federated.len());
        if credentials > MAX_CREDENTIALS {
            return Err(format!("at most {MAX_CREDENTIALS} credentials of a kind"));
        }
        let certificates = registration.certificates.iter().enumerate();
        let certificates = certificates.map(|(index, pem)| {
            Certificate::read(pem)
                .ok_or_else(|| format!("certificate {index}: expected an X.509 certificate in PEM"))
        });
        let client = Client {
            id: id.to_owned(),
            certificates: certificates.collect::<Result<_, _>>()?,
            registration,
        };
        self.0.insert(id.to_ascii_lowercase(), client);
        Ok(())
    }

    pub(super) fn get(&self, id: &str) -> Option<&Client> {
        self.0.get(&id.to_ascii_lowercase())
    }

    /// Finds out who asks, and by which proof.
    pub(super) fn authenticate(
        &self,
        form: &Form,
        authority: &Authority,
        now: i64,
    ) -> Result<(&Client, Proof), Refusal> {
        let id = form
            .client_id()
            .ok_or_else(|| Refusal::missing("client_id"))?;
        let client = self.get(id).ok_or_else(|| unknown(id))?;
        if let Some(assertion) = form.get("client_assertion") {
            match form.get("client_assertion_type") {
                Some(JWT_BEARER) => {}
                Some(_) => return Err(Refusal::new(90_023)),
                None => return Err(Refusal::missing("client_assertion_type")),
            }
            let assertion = Jwt::parse(assertion).ok_or_else(|| Refusal::new(50_027))?;
            let own = assertion
                .text("iss")
                .is_some_and(|issuer| client.is_named(issuer));
            if own {
                client.check_certificate(&assertion, authority)?;
                check_time(&assertion, now, MAX_ASSERTION_LIFETIME)?;
                return Ok((client, Proof::Certificate));
            }
            client.check_federated(&assertion)?;
            check_time(&assertion, now, i64::MAX)?;
            return Ok((client, Proof::Federated));
        }
        let secret = form
            .client_secret()
            .ok_or_else(|| Refusal::new(7_000_218))?;
        if client.registration.secret.as_deref() == Some(secret) {
            return Ok((client, Proof::Secret));
        }
        Err(Refusal::saying(
            7_000_215,
            format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret \
                 value, not the client secret ID, for a secret added to app '{}'.",
                client.id
            ),
        ))
    }
}

impl Client {
    pub(super) fn is_named(&self, id: &str) -> bool {
        self.id.eq_ignore_ascii_case(id)
    }

    fn check_certificate(&self, assertion: &Jwt<'_>, authority: &Authority) -> Result<(), Refusal> {
        let named = |certificate: &&Certificate| match assertion.header("x5t#S256") {
            Some(thumbprint) => certificate.sha256 == thumbprint,
            None => assertion.header("x5t") == Some(certificate.sha1.as_str()),
        };
        let certificate = self
            .certificates
            .iter()
            .find(named)
            .ok_or_else(|| Refusal::new(700_027))?;
        if !assertion.is_signed_by(&certificate.public_key, &["PS256", "RS256"]) {
            return Err(Refusal::saying(
                700_027,
                "Client assertion failed signature validation. [Reason - The provided signature value did not \
                 match the expected signature value.]",
            ));
        }
        if !assertion
            .text("sub")
            .is_some_and(|subject| self.is_named(subject))
        {
            return Err(Refusal::new(700_021));
        }
        if !authority.is_token_url(assertion.audience()) {
            return Err(Refusal::new(700_023));
        }
        Ok(())
    }

    fn check_federated(&self, assertion: &Jwt<'_>) -> Result<(), Refusal> {
        let refusal = |code, what: &str, value: &str| {
            Err(Refusal::saying(
                code,
                format!(
                    "No matching federated identity record found for presented assertion {what} '{value}'. Check \
                     your federated identity credential Subject, Audience and Issuer against the presented \
                     assertion. https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
                ),
            ))
        };
        let text = |claim| assertion.text(claim).unwrap_or_default();
        let (issuer, subject, audience) = (text("iss"), text("sub"), assertion.audience());
        let federated = &self.registration.federated;
        if federated.is_empty() {
            return Err(Refusal::new(70_021));
        }
        if !federated.iter().any(|known| known.issuer == issuer) {
            return refusal(700_211, "issuer", issuer);
        }
        let known = |known: &Federated| known.issuer == issuer && known.subject == subject;
        if !federated.iter().any(known) {
            return refusal(700_213, "subject", subject);
        }
        if ![Some(audience), only(assertion)].contains(&Some(EXCHANGE)) {
            return refusal(700_212, "audience", audience);
        }
        Ok(())
    }
}

/// The audience of a list of one: Kubernetes always writes a list.
fn only<'a>(assertion: &'a Jwt<'_>) -> Option<&'a str> {
    match assertion.claims.get("aud")?.as_array()?.as_slice() {
        [audience] => audience.as_str(),
        _ => None,
    }
}

fn check_time(assertion: &Jwt<'_>, now: i64, max: i64) -> Result<(), Refusal> {
    let expiry = assertion.time("exp").unwrap_or(0);
    let begun = assertion.time("nbf").is_none_or(|begin| begin <= now);
    let in_time = begun && expiry > now && expiry <= now.saturating_add(max);
    if in_time {
        return Ok(());
    }
    Err(Refusal::new(700_024))
}

fn unknown(id: &str) -> Refusal {
    Refusal::saying(
        700_016,
        format!(
            "Application with identifier '{id}' was not found in the directory 'Sandbox'. This can happen if the \
             application has not been installed by the administrator of the tenant or consented to by any user in \
             the tenant. You may have sent your authentication request to the wrong tenant."
        ),
    )
}
