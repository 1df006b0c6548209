//! What the tests of Entra share: a client of the token endpoint, and a key with its
//! certificate. Tokens are read and assertions signed by another library than the
//! sandbox's own code.

use std::sync::LazyLock;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};

use super::super::fixture::{Caller, Http, json_of, sandbox, within};
use super::super::{Options, Sandbox};
use super::*;

pub(super) const DEFAULT_SCOPE: &str = "https://graph.microsoft.com/.default";
pub(super) const USER: &str = "3f1c9f3e-5d1b-4a57-9d0c-6f1f4d1f7a10";
pub(super) const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The PKCS #8 frame around a key of 2048 bits (RFC 5958); within is PKCS #1.
const PKCS8_FRAME: usize = 26;

/// A form: later fields replace earlier ones, and an empty one takes them away.
pub(super) type Fields<'a> = &'a [(&'a str, &'a str)];

/// A sandbox, and somebody who asks its Entra.
pub(super) struct Asker {
    pub(super) sandbox: Sandbox,
    pub(super) caller: Caller,
}

impl Asker {
    pub(super) async fn start() -> Asker {
        Asker::with(Options::default(), Http::One).await
    }

    pub(super) async fn with(options: Options, http: Http) -> Asker {
        let sandbox = sandbox(options).await;
        let caller = Caller::new(&sandbox, http);
        Asker { sandbox, caller }
    }

    pub(super) fn token_url(&self) -> String {
        format!("{}/{TENANT}/oauth2/v2.0/token", self.sandbox.authority())
    }

    /// Asks with these fields over the usual ones.
    pub(super) fn request(&self, fields: Fields<'_>) -> reqwest::RequestBuilder {
        let usual = [
            ("grant_type", "client_credentials"),
            ("client_id", CLIENT_ID),
            ("client_secret", CLIENT_SECRET),
            ("scope", DEFAULT_SCOPE),
        ];
        let mut form: Vec<(&str, &str)> = Vec::new();
        for (name, value) in usual.iter().chain(fields) {
            form.retain(|(known, _)| known != name);
            form.push((name, value));
        }
        form.retain(|(_, value)| !value.is_empty());
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        self.caller
            .client
            .post(self.token_url())
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(body)
    }

    pub(super) async fn ask(&self, fields: Fields<'_>) -> (u16, Value) {
        answer(self.request(fields)).await
    }

    /// The same on behalf of whoever has this token.
    pub(super) async fn exchange(&self, assertion: &str, fields: Fields<'_>) -> (u16, Value) {
        let obo = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("requested_token_use", "on_behalf_of"),
            ("assertion", assertion),
        ];
        self.ask(&[&obo, fields].concat()).await
    }

    pub(super) async fn token(&self, fields: Fields<'_>) -> String {
        token_in(&self.ask(fields).await)
    }

    pub(super) async fn mint(&self, mint: Mint) -> String {
        self.sandbox.mint(mint).await.unwrap()
    }

    /// Status and message of Graph's answer to somebody with this token.
    pub(super) async fn graph(&self, token: &str) -> (u16, String, String) {
        let url = format!("{}/security/incidentTasks", self.sandbox.graph_url());
        let request = self.caller.client.get(url).bearer_auth(token);
        let response = within(request.send()).await.unwrap();
        let challenge = response.headers().get("www-authenticate");
        let challenge = challenge
            .map_or("", |value| value.to_str().unwrap())
            .to_owned();
        let status = response.status().as_u16();
        let body = json_of(response).await;
        let message = body["error"]["message"].as_str().unwrap_or_default();
        (status, message.to_owned(), challenge)
    }

    pub(super) async fn get(&self, url: &str) -> (u16, Value) {
        answer(self.caller.client.get(url)).await
    }

    pub(super) async fn keys(&self) -> Vec<Value> {
        let url = format!("{}/{TENANT}/discovery/v2.0/keys", self.sandbox.authority());
        let (status, keys) = self.get(&url).await;
        assert_eq!(status, 200);
        keys["keys"].as_array().unwrap().clone()
    }

    /// The claims of a token, checked against the published keys as a service would.
    pub(super) async fn verified(&self, token: &str, audience: &str) -> Value {
        let kid = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
        let keys = self.keys().await;
        let key = keys.iter().find(|key| key["kid"] == kid.as_str()).unwrap();
        let part = |name: &str| key[name].as_str().unwrap();
        let key = DecodingKey::from_rsa_components(part("n"), part("e")).unwrap();
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_audience(&[audience]);
        validation.set_issuer(&[self.sandbox.issuer()]);
        validation.validate_nbf = true;
        jsonwebtoken::decode::<Value>(token, &key, &validation)
            .unwrap()
            .claims
    }
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = within(request.send()).await.unwrap();
    let status = response.status().as_u16();
    (status, json_of(response).await)
}

pub(super) fn token_in((status, body): &(u16, Value)) -> String {
    assert_eq!(*status, 200, "{body}");
    body["access_token"].as_str().unwrap().to_owned()
}

/// Status, `error`, and the number of a refusal.
pub(super) fn refusal((status, body): &(u16, Value)) -> (u16, String, u64) {
    let code = body["error_codes"][0].as_u64().unwrap_or_default();
    let error = body["error"].as_str().unwrap_or_default();
    (*status, error.to_owned(), code)
}

/// A user's token for the gateway.
pub(super) fn of_user() -> Mint {
    Mint {
        user: Some(USER.to_owned()),
        scopes: vec!["Tasks.Execute".to_owned()],
        ..Mint::default()
    }
}

/// A key and its certificate, as an application's owner has them.
pub(super) struct Identity {
    pub(super) pem: String,
    der: Vec<u8>,
    key: EncodingKey,
}

/// Made once per process, since RSA keys take their time.
pub(super) static IDENTITY: LazyLock<Identity> = LazyLock::new(Identity::new);

impl Identity {
    pub(super) fn new() -> Identity {
        let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let certificate = CertificateParams::new(Vec::new()).unwrap();
        let certificate = certificate.self_signed(&pair).unwrap();
        Identity {
            pem: certificate.pem(),
            der: certificate.der().to_vec(),
            key: EncodingKey::from_rsa_der(&pair.serialize_der()[PKCS8_FRAME..]),
        }
    }

    /// The header that names the certificate by `x5t#S256`.
    pub(super) fn header(&self, algorithm: Algorithm) -> Header {
        let mut header = Header::new(algorithm);
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.der);
        header.x5t_s256 = Some(jwt::encode(hash));
        header
    }

    /// The same by `x5t`, over SHA-1.
    pub(super) fn header_x5t(&self, algorithm: Algorithm) -> Header {
        let mut header = Header::new(algorithm);
        let sha1 = &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY;
        header.x5t = Some(jwt::encode(aws_lc_rs::digest::digest(sha1, &self.der)));
        header
    }

    pub(super) fn sign(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.key).unwrap()
    }
}

/// The usual claims of a client assertion, with changes; `null` takes one out.
pub(super) fn assertion(asker: &Asker, changes: &Value) -> Value {
    let mut claims = json!({
        "aud": asker.token_url(),
        "iss": CLIENT_ID,
        "sub": CLIENT_ID,
        "jti": "7a1c1f2e-4f0e-4a4d-8a0d-0d1f6a6b1a10",
        "nbf": now(),
        "exp": now() + 600,
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    claims
}
