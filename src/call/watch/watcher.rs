//! What one follower sees of a task.

use std::{future::pending, sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Latest, Reading};
use crate::{
    deadline::Deadline,
    failure::{Effect, Failure, Kind},
};

/// Those whose watches end together are not to come back together: as much again as the
/// usual delay, in milliseconds.
const MAX_SPREAD_MS: u64 = 1000;

/// One follower of a task.
#[derive(Debug)]
pub struct Watcher {
    latest: watch::Receiver<Latest>,
    /// So many readings of the loop are too old to be shown.
    stale: u64,
    shown: Option<Arc<Reading>>,
    until: Option<Deadline>,
    closing: CancellationToken,
    /// What is told last.
    last_word: Option<Failure>,
    has_ended: bool,
}

/// The task at one moment, for one follower.
#[derive(Debug, Clone)]
pub struct Update {
    /// What was read.
    pub reading: Arc<Reading>,
    /// Whether nothing follows.
    pub is_final: bool,
}

// === impl Watcher ===

impl Watcher {
    pub(super) fn new(
        (latest, stale): (watch::Receiver<Latest>, u64),
        until: Option<Deadline>,
        closing: CancellationToken,
    ) -> Self {
        Self {
            latest,
            stale,
            shown: None,
            until,
            closing,
            last_word: None,
            has_ended: false,
        }
    }

    /// Waits until there is something to show. Cancel-safe.
    pub(super) async fn meet(&mut self) -> Result<(), Failure> {
        let stale = self.stale;
        let met = self.latest.wait_for(|latest| {
            latest.ended.is_some() || (latest.polls > stale && latest.reading.is_some())
        });
        let latest = met.await.map_err(|_| lost())?.clone();
        match (latest.reading, latest.ended) {
            // Whoever comes just then sees what was read last, and why there is no more.
            (None, Some(failure)) => Err(failure),
            (_, Some(failure)) if latest.polls <= stale => Err(failure),
            _ => {
                // To be shown.
                self.latest.mark_changed();
                Ok(())
            }
        }
    }

    /// The next state that differs from the last one; nothing at the end. An error is the
    /// last thing before it. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Update, Failure>> {
        if self.has_ended {
            return None;
        }
        let next = match self.last_word.take() {
            Some(failure) => Err(failure),
            None => self.change().await,
        };
        self.has_ended = match &next {
            Ok(update) => update.is_final,
            Err(_) => true,
        };
        Some(next.map_err(|failure| failure.with_effect(Effect::Nothing)))
    }

    async fn change(&mut self) -> Result<Update, Failure> {
        loop {
            tokio::select! {
                biased;
                changed = self.latest.changed() => changed.map_err(|_| lost())?,
                () = self.closing.cancelled() => return self.farewell(closed()),
                () = passed(self.until) => return Err(late()),
            }
            let latest = self.latest.borrow_and_update();
            let (reading, ended) = (latest.reading.clone(), latest.ended.clone());
            drop(latest);
            let last = self.shown.as_ref();
            let news = reading.filter(|reading| {
                last.is_none_or(|last| last.task.differs_in_state(&reading.task))
            });
            match (news, ended) {
                (Some(reading), ended) => {
                    self.last_word = ended;
                    return Ok(self.show(reading));
                }
                (None, Some(failure)) => return Err(failure),
                (None, None) => {}
            }
        }
    }

    /// The last state once more, and then why there are no further ones.
    fn farewell(&mut self, failure: Failure) -> Result<Update, Failure> {
        let latest = self.latest.borrow().reading.clone();
        match latest {
            Some(reading) => {
                self.last_word = Some(failure);
                Ok(self.show(reading))
            }
            None => Err(failure),
        }
    }

    fn show(&mut self, reading: Arc<Reading>) -> Update {
        self.shown = Some(Arc::clone(&reading));
        Update {
            is_final: reading.task.is_final(),
            reading,
        }
    }
}

async fn passed(until: Option<Deadline>) {
    match until {
        Some(until) => sleep_until(until.answer_by()).await,
        None => pending().await,
    }
}

fn late() -> Failure {
    Failure::new(
        Kind::DeadlineAfterSend,
        "the deadline passed before the action was at its end",
    )
}

fn closed() -> Failure {
    let kind = Kind::GatewayDraining;
    let spread = Duration::from_millis(rand::random_range(0..MAX_SPREAD_MS));
    Failure::new(
        kind,
        "this gateway is shutting down, or closes this connection for its age; watch the task again",
    )
    .with_retry_after(kind.usual_delay() + spread)
}

fn lost() -> Failure {
    Failure::new(
        Kind::GatewayFault,
        "the gateway failed while it read the task",
    )
}
