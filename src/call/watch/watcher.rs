//! What one follower sees of a task.

use std::{future::pending, sync::Arc};

use tokio::{sync::watch, time::sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Before, Latest, Reading};
use crate::{
    call::places::spread,
    deadline::Deadline,
    failure::{Effect, Failure, Kind},
};

/// One follower of a task.
#[derive(Debug)]
pub struct Watcher {
    latest: watch::Receiver<Latest>,
    /// What is too old to be shown.
    before: Before,
    shown: Option<Arc<Reading>>,
    until: Option<Deadline>,
    closing: CancellationToken,
    /// What is told last.
    last_word: Option<Failure>,
    has_ended: bool,
}

/// The task at one moment, for one follower.
#[derive(Debug, Clone)]
pub struct Showing {
    /// What was read.
    pub reading: Arc<Reading>,
    /// Whether nothing follows.
    pub is_final: bool,
}

// === impl Watcher ===

impl Watcher {
    pub(super) fn new(
        (latest, before): (watch::Receiver<Latest>, Before),
        until: Option<Deadline>,
        closing: CancellationToken,
    ) -> Self {
        Self {
            latest,
            before,
            shown: None,
            until,
            closing,
            last_word: None,
            has_ended: false,
        }
    }

    /// Waits until there is something to show that is new enough. Cancel-safe.
    pub(super) async fn meet(&mut self) -> Result<(), Failure> {
        let Before { readings, failures } = self.before;
        let met = self.latest.wait_for(|latest| {
            latest.readings > readings || latest.failures > failures || latest.is_over
        });
        let latest = met.await.map_err(|_| lost())?;
        if latest.readings > readings {
            drop(latest);
            // To be shown.
            self.latest.mark_changed();
            return Ok(());
        }
        Err(latest.failure.clone().unwrap_or_else(lost))
    }

    /// The next state that differs from the last one; nothing at the end. An error is the
    /// last thing before it. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Showing, Failure>> {
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

    async fn change(&mut self) -> Result<Showing, Failure> {
        loop {
            tokio::select! {
                biased;
                changed = self.latest.changed() => changed.map_err(|_| lost())?,
                () = self.closing.cancelled() => return self.farewell(closed()),
                () = passed(self.until) => return Err(late()),
            }
            let latest = self.latest.borrow_and_update();
            let reading = latest.reading.clone();
            let failure = latest.failure.clone().filter(|_| latest.is_over);
            drop(latest);
            let last = self.shown.as_ref();
            let is_news = |reading: &Arc<Reading>| {
                last.is_none_or(|last| last.task.differs_in_state(&reading.task))
            };
            // A final reading is no failure, whatever there was before it.
            match reading.filter(is_news) {
                Some(reading) => {
                    self.last_word = failure.filter(|_| !reading.task.is_final());
                    return Ok(self.show(reading));
                }
                None => {
                    if let Some(failure) = failure {
                        return Err(failure);
                    }
                }
            }
        }
    }

    /// The last state once more, and then why there are no further ones.
    fn farewell(&mut self, failure: Failure) -> Result<Showing, Failure> {
        let latest = self.latest.borrow().reading.clone();
        match latest {
            Some(reading) => {
                self.last_word = Some(failure);
                Ok(self.show(reading))
            }
            None => Err(failure),
        }
    }

    fn show(&mut self, reading: Arc<Reading>) -> Showing {
        self.shown = Some(Arc::clone(&reading));
        Showing {
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
    Failure::new(
        kind,
        "this gateway is shutting down, or closes this connection for its age; watch the task again",
    )
    .with_retry_after(kind.usual_delay() + spread())
}

fn lost() -> Failure {
    Failure::new(
        Kind::GatewayFault,
        "the gateway failed while it read the task",
    )
}
