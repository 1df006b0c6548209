//! What the handle on a sandbox can do with its Entra.

use std::io;

use super::authority::{Authority, Endpoint};
use super::client::Registration;
use super::entry::EntraEntry;
use super::fault::EntraFault;
use super::mint::Mint;
use super::standing::Revoke;
use super::{CLIENT_ID, CLIENT_SECRET, Entra, TENANT};
use crate::sandbox::Sandbox;

impl Sandbox {
    /// The base URL of Entra, as `https://login.microsoftonline.com` would be.
    pub fn authority(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// The id of the one tenant.
    pub fn tenant(&self) -> &'static str {
        TENANT
    }

    /// The id of the gateway's application, and the audience of its callers' tokens.
    pub fn client_id(&self) -> &'static str {
        CLIENT_ID
    }

    /// The secret of the gateway's application: well known, so it is none.
    pub fn client_secret(&self) -> &'static str {
        CLIENT_SECRET
    }

    /// `iss` of the tokens that are minted here. Those that are asked for over HTTP carry
    /// the host that was called.
    pub fn issuer(&self) -> String {
        Authority::at(self.addr()).issuer()
    }

    /// Registers an application, or replaces the one with its id. An error says what is
    /// wrong with its certificates, and changes nothing.
    pub fn put_client(&self, id: &str, registration: Registration) -> Result<(), String> {
        self.entra().state().clients.put(id, registration)
    }

    /// A token that this Entra has issued, without anybody having to ask for it. The
    /// first one of a process waits for an RSA key; cancelling that loses nothing.
    pub async fn mint(&self, mint: Mint) -> io::Result<String> {
        self.entra().mint(&mint, &Authority::at(self.addr())).await
    }

    /// Signs with another key from now on. The earlier ones leave `jwks_uri`, and what
    /// they have signed is no longer good, unless they are kept.
    pub async fn rotate_keys(&self, keep: bool) -> io::Result<()> {
        self.entra().rotate(keep).await
    }

    /// From now on Graph refuses the tokens that were issued so far. A token that was
    /// minted with a `uti` of its own counts as issued before any other.
    pub fn revoke_tokens(&self, whose: Revoke) {
        self.entra().revoke(whose);
    }

    /// Queues faults for Entra. Each request consumes the next one of its endpoint.
    pub fn script_entra(&self, faults: impl IntoIterator<Item = EntraFault>) {
        // Collected first: the iterator is the caller's code, which may itself ask the
        // sandbox something.
        let faults: Vec<_> = faults.into_iter().collect();
        self.entra().state().script.extend(faults);
    }

    /// Lets every request to Entra go on that is held now.
    pub fn release_entra(&self) {
        self.entra().release();
    }

    /// Every request to the Entra half in order of arrival; the last 100,000 of them.
    pub fn entra_journal(&self) -> Vec<EntraEntry> {
        self.entra().entries()
    }

    /// Forgets the requests to Entra received so far. Sequence numbers go on.
    pub fn clear_entra_journal(&self) {
        self.entra().state().journal.clear();
    }

    /// How many requests the token endpoint has received.
    pub fn token_requests(&self) -> usize {
        let state = self.entra().state();
        let entries = state.journal.entries();
        entries
            .filter(|entry| entry.endpoint == Endpoint::Token)
            .count()
    }

    /// Returns once the token endpoint has received `n` requests. Answered they need not
    /// be; a held one is already held.
    pub async fn wait_for_token_requests(&self, n: usize) {
        // Subscribed before looking, so nothing that happens in between is missed. The
        // sender lives as long as `self`.
        let mut progress = self.entra().progress.subscribe();
        while self.token_requests() < n && progress.changed().await.is_ok() {}
    }
}

impl Entra {
    pub(super) fn release(&self) {
        // Dropping the senders is the signal.
        self.state().held.clear();
    }

    pub(super) fn entries(&self) -> Vec<EntraEntry> {
        self.state().journal.entries().cloned().collect()
    }
}
