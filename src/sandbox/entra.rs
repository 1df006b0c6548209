//! A simulator of Microsoft Entra ID, the issuer of the tokens that Graph takes: one
//! tenant, its token endpoint, its metadata and its keys, on the same port as Graph.
//!
//! One request, file by file: `authority` reads the path, `serve` takes the request
//! through its life, `form` is what it asks, `client` finds out who asks, `token` grants
//! or refuses, `mint` says what stands in the token, `signing` signs it, `aadsts` words
//! the refusal. `entry` and `ticket` are the journal, `fault` the vocabulary of
//! misbehaviour, `standing` what Graph asks about a token, `control` the API.

mod aadsts;
mod authority;
mod client;
mod control;
mod entry;
mod fault;
mod form;
mod handle;
mod jwt;
mod mint;
mod serve;
mod signing;
mod standing;
mod ticket;
mod token;

#[cfg(test)]
mod authority_tests;
#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod control_tests;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod graph_tests;
#[cfg(test)]
mod token_tests;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};

pub use authority::Endpoint;
pub use client::{Federated, Proof, Registration};
pub use entry::EntraEntry;
pub use fault::{EntraAct, EntraFault};
pub use mint::Mint;
pub use standing::Revoke;

pub(super) use control::router;
pub(super) use serve::serve;
pub(super) use standing::Standing;

use aadsts::Refusal;
use authority::Authority;
use client::Clients;
use form::Form;
use jwt::Jwt;
use signing::{Key, Keys};
use standing::Revocations;
use ticket::{Arrival, Ticket};
use token::{Asked, Shown};

use super::journal::Journal;

/// The one tenant.
const TENANT: &str = "5a4db0c5-7e4a-4000-8000-00000000000a";
/// The tenant's domain, which names it as well.
const DOMAIN: &str = "sandbox.onmicrosoft.com";
/// The gateway's application.
const CLIENT_ID: &str = "9a7e3a11-c11e-4000-8000-00000000000b";
/// Its secret. Well known, so it is none.
const CLIENT_SECRET: &str = "sandbox-secret";
/// Microsoft Graph as a resource, by its URI and by its application's id.
const GRAPH: &str = "https://graph.microsoft.com";
const GRAPH_ID: &str = "00000003-0000-0000-c000-000000000000";
/// What an application is allowed that was registered without a word about it. The
/// documentation names no permission for the action; this one of Graph's fits best.
const PERMISSION: &str = "SecurityIncident.ReadWrite.All";

/// The directory, and everything else that changes, behind its lock.
#[derive(Debug)]
pub(super) struct Entra {
    state: Mutex<State>,
    /// Marked as changed when a request arrives and when it is done with.
    progress: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    clients: Clients,
    /// None before the first one is needed.
    keys: Keys,
    /// How many tokens were issued.
    issued: u64,
    revocations: Revocations,
    script: VecDeque<EntraFault>,
    held: Vec<oneshot::Sender<()>>,
    journal: Journal<EntraEntry>,
}

impl Entra {
    pub(super) fn new() -> Entra {
        Entra {
            state: Mutex::default(),
            progress: watch::Sender::new(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // As for the tasks: no method leaves a half-made change behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Journals a request, gives it its fault and holds it, in one step.
    fn receive(self: &Arc<Self>, entry: EntraEntry) -> Arrival {
        let mut state = self.state();
        let on = entry.endpoint;
        let ticket = Ticket {
            entra: Arc::clone(self),
            seq: state.journal.record(entry),
        };
        let next = state.script.iter().position(|fault| fault.on == on);
        let fault = next.and_then(|next| state.script.remove(next));
        let fault = fault.unwrap_or_default();
        let released = fault.hold.then(|| {
            let (sender, released) = oneshot::channel();
            state.held.retain(|sender| !sender.is_closed());
            state.held.push(sender);
            released
        });
        drop(state);
        self.progress.send_replace(());
        Arrival {
            ticket,
            fault,
            released,
        }
    }

    /// The key that signs, made when it is first needed.
    async fn key(&self) -> io::Result<Arc<Key>> {
        if let Some(key) = self.state().keys.current() {
            return Ok(key);
        }
        let first = Key::first().await?;
        let keys = &mut self.state().keys;
        if let Some(key) = keys.current() {
            return Ok(key);
        }
        keys.add(Arc::clone(&first), false);
        Ok(first)
    }

    async fn published(&self, authority: &Authority) -> io::Result<Value> {
        self.key().await?;
        Ok(self.state().keys.published(&authority.issuer()))
    }

    /// The token endpoint's answer; `expires_in` is a scripted lifetime.
    async fn grant(
        &self,
        form: &Form,
        authority: &Authority,
        expires_in: Option<i64>,
        ticket: &Ticket,
    ) -> Result<Value, Refusal> {
        let key = self.key().await.map_err(|_| Refusal::new(50_000))?;
        let mut shown = Shown::default();
        let decided = {
            let State { clients, keys, .. } = &*self.state();
            let asked = Asked {
                form,
                authority,
                clients,
                keys,
                now: now(),
            };
            asked.decide(&mut shown)
        };
        ticket.show(shown);
        let mut grant = decided?;
        grant.mint.expires_in = expires_in.unwrap_or(grant.mint.expires_in);
        if grant.answers_challenge {
            let state = &mut *self.state();
            let (oid, app) = (grant.mint.object_id(), grant.mint.app.as_str());
            state.revocations.answered(&oid, app, state.issued);
        }
        let token = self.issue(&key, &grant.mint, authority);
        let mut answer = json!({
            "token_type": "Bearer",
            "expires_in": grant.mint.expires_in,
            "ext_expires_in": grant.mint.expires_in,
            "access_token": token.map_err(|_| Refusal::new(50_000))?,
        });
        if let Some(scope) = grant.scope {
            answer["scope"] = scope.into();
        }
        Ok(answer)
    }

    fn issue(&self, key: &Key, mint: &Mint, authority: &Authority) -> io::Result<String> {
        let number = {
            let mut state = self.state();
            state.issued += 1;
            state.issued
        };
        let claims = mint.claims(&authority.issuer(), now(), number);
        key.token(&mint.header(&key.id), &claims)
    }

    async fn mint(&self, mint: &Mint, authority: &Authority) -> io::Result<String> {
        let key = self.key().await?;
        self.issue(&key, mint, authority)
    }

    async fn rotate(&self, keep: bool) -> io::Result<()> {
        // There may be nothing yet that could be kept.
        self.key().await?;
        let key = Key::new().await?;
        self.state().keys.add(key, keep);
        Ok(())
    }

    fn revoke(&self, whose: Revoke) {
        let state = &mut *self.state();
        state.revocations.add(whose, now(), state.issued);
    }

    /// What there is to say about a token that somebody shows to Graph.
    pub(super) fn standing(&self, token: &[u8]) -> Standing {
        let token = std::str::from_utf8(token).ok().and_then(Jwt::parse);
        let Some(token) = token else {
            return Standing::Foreign;
        };
        let state = self.state();
        standing::judge(&token, &state.keys, &state.revocations, now())
    }

    /// Back to the well-known application and the first key; numbers go on.
    pub(super) fn reset(&self) {
        let state = &mut *self.state();
        let mut journal = std::mem::take(&mut state.journal);
        journal.clear();
        *state = State {
            journal,
            keys: std::mem::take(&mut state.keys).first_only(),
            issued: state.issued,
            ..State::default()
        };
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}
