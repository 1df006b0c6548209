//! A request's place in Entra's journal.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::Entra;
use super::entry::EntraEntry;
use super::fault::EntraFault;
use super::token::Shown;
use crate::sandbox::journal::Answer;

/// What a request gets on its arrival.
pub(super) struct Arrival {
    pub(super) ticket: Ticket,
    pub(super) fault: EntraFault,
    /// Ends when a held request is released.
    pub(super) released: Option<oneshot::Receiver<()>>,
}

/// Whoever holds it is not done with the request.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) entra: Arc<Entra>,
    pub(super) seq: u64,
}

impl Ticket {
    fn note(&self, note: impl FnOnce(&mut EntraEntry)) {
        if let Some(entry) = self.entra.state().journal.entry(self.seq) {
            note(entry);
        }
    }

    pub(super) fn answer(&self, answer: Answer) {
        self.note(|entry| entry.answer = Some(answer));
    }

    pub(super) fn refuse(&self, aadsts: Option<u32>) {
        self.note(|entry| entry.aadsts = aadsts);
    }

    pub(super) fn show(&self, shown: Shown) {
        self.note(|entry| {
            entry.proof = shown.proof;
            entry.user = shown.user;
        });
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.note(|entry| {
            entry.answer.get_or_insert(Answer::Abandoned);
            entry.finished = true;
        });
        self.entra.progress.send_replace(());
    }
}
