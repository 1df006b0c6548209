//! What the journal keeps of a request to Entra: never a secret, never a token.

use http::Method;
use serde::Serialize;

use super::authority::Endpoint;
use super::client::Proof;
use super::form::Form;
use crate::sandbox::journal::{Answer, Numbered, cut};

/// What one entry keeps of a parameter.
const MAX_PARAMETER_BYTES: usize = 1024;

/// One request to the Entra half.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EntraEntry {
    /// Counts up from 1 in order of arrival, over [`Sandbox::reset`](super::super::Sandbox::reset) too.
    pub seq: u64,
    /// Which connection it came over, counting up from 1.
    pub connection: u64,
    /// Which endpoint it was for.
    pub endpoint: Endpoint,
    /// The method.
    pub method: String,
    /// The tenant as the path names it.
    pub tenant: String,
    /// `grant_type`; this and the next three are bounded.
    pub grant_type: Option<String>,
    /// `client_id`, from the form or from HTTP Basic.
    pub client_id: Option<String>,
    /// `scope`.
    pub scope: Option<String>,
    /// `claims`: the client's capabilities, and its answer to a challenge.
    pub claims: Option<String>,
    /// How the client has proved who it is; nothing when it has not.
    pub proof: Option<Proof>,
    /// `oid` of the assertion that was exchanged, once its signature was found good.
    pub user: Option<String>,
    /// What it was answered, from the moment that this is decided.
    pub answer: Option<Answer>,
    /// The number after `AADSTS`, of a refusal.
    pub aadsts: Option<u32>,
    /// Whether the sandbox has nothing more to do for it.
    pub finished: bool,
}

impl EntraEntry {
    pub(super) fn new(
        connection: u64,
        endpoint: Endpoint,
        method: &Method,
        tenant: &str,
        form: &Form,
    ) -> EntraEntry {
        let kept = |value: &str| cut(value.as_bytes().to_vec(), MAX_PARAMETER_BYTES);
        let parameter = |name| form.get(name).map(kept);
        EntraEntry {
            seq: 0,
            connection,
            endpoint,
            method: method.to_string(),
            tenant: kept(tenant),
            grant_type: parameter("grant_type"),
            client_id: form.client_id().map(kept),
            scope: parameter("scope"),
            claims: parameter("claims"),
            proof: None,
            user: None,
            answer: None,
            aadsts: None,
            finished: false,
        }
    }
}

impl Numbered for EntraEntry {
    fn seq(&self) -> u64 {
        self.seq
    }

    fn number(&mut self, seq: u64) {
        self.seq = seq;
    }
}
