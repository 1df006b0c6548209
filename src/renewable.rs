//! A value that is fetched from elsewhere, is good for a while, and is renewed in time:
//! an access token, an issuer's signing keys.
//!
//! ```text
//! fresh   -> used
//! stale   -> used, and fetched again in the background
//! expired -> everybody waits for one fetch
//! ```
//!
//! No lock is held while something is fetched. A failed fetch takes nothing away: who has
//! a value that is not expired keeps it. It is remembered for a moment, so that thousands
//! of calls do not ask thousands of times.

mod age;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use futures_util::future::BoxFuture;
use tokio::{sync::watch, time::Instant};

pub use self::age::Fetched;
use self::age::{Age, pause};
use crate::{
    failure::{Failure, Kind},
    telemetry::{FetchOf, Metrics},
};

/// A fetched value, the one fetch that may be under way, and the last failure. Clones
/// share them.
pub struct Renewable<T>(Arc<Shared<T>>);

/// What a fetch is told: the claims that an issuer asks for, if it has asked.
pub type Hint = Option<Arc<str>>;

type Fetch<T> = Box<dyn Fn(Hint) -> BoxFuture<'static, Result<Fetched<T>, Failure>> + Send + Sync>;
type Flight<T> = watch::Receiver<Option<Result<Arc<Fetched<T>>, Failure>>>;

struct Shared<T> {
    /// Read by every call, without a lock.
    current: ArcSwapOption<Fetched<T>>,
    state: Mutex<State<T>>,
    fetch: Fetch<T>,
    /// The least time between two renewals that were asked for.
    renewal_interval: Duration,
    of: FetchOf,
    metrics: Metrics,
}

struct State<T> {
    flight: Option<Flight<T>>,
    failed: Option<Failed>,
    renewed: Option<Instant>,
}

/// The last fetch failed, and this long nobody tries again.
struct Failed {
    failure: Failure,
    until: Instant,
    streak: u32,
}

/// Ends a flight, also when its task panics or is dropped.
struct Landing<T: Send + Sync + 'static> {
    shared: Arc<Shared<T>>,
    result: Option<Result<Fetched<T>, Failure>>,
    told: watch::Sender<Option<Result<Arc<Fetched<T>>, Failure>>>,
}

// === impl Renewable ===

impl<T: Send + Sync + 'static> Renewable<T> {
    /// Nothing is fetched until somebody asks. `fetch` must end by itself.
    pub fn new<F>(
        of: FetchOf,
        renewal_interval: Duration,
        metrics: Metrics,
        fetch: impl Fn(Hint) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Fetched<T>, Failure>> + Send + 'static,
    {
        Self(Arc::new(Shared {
            current: ArcSwapOption::empty(),
            state: Mutex::new(State {
                flight: None,
                failed: None,
                renewed: None,
            }),
            fetch: Box::new(move |hint| Box::pin(fetch(hint))),
            renewal_interval,
            of,
            metrics,
        }))
    }

    /// What tells it from every other one, as long as a clone lives.
    pub fn id(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// The value, fetched if there is none that is good. Fails only if none could be
    /// fetched.
    ///
    /// Cancel-safe: a fetch goes on without those who wait for it.
    pub async fn get(&self) -> Result<Arc<Fetched<T>>, Failure> {
        let now = Instant::now();
        let current = || {
            let current = self.0.current.load_full()?;
            Some((current.age(now), current))
        };
        if let Some((Age::Fresh, current)) = current() {
            return Ok(current);
        }
        let flight = {
            let state = self.0.state();
            // Looked at again: a fetch may have ended since.
            match current() {
                Some((Age::Fresh, current)) => return Ok(current),
                Some((Age::Stale, current)) => {
                    // Whether that works out, the log says.
                    drop(self.0.begin(state, now, None));
                    return Ok(current);
                }
                Some((Age::Expired, _)) | None => self.0.begin(state, now, None)?,
            }
        };
        self.wait(flight).await
    }

    /// A newer value than `known`, which somebody else has refused; with `drop_known`
    /// nobody is given that one any more. Nothing if renewals are asked for too often.
    ///
    /// Cancel-safe, as [`Renewable::get`].
    pub async fn newer(
        &self,
        known: &Arc<Fetched<T>>,
        hint: Hint,
        drop_known: bool,
    ) -> Result<Option<Arc<Fetched<T>>>, Failure> {
        let now = Instant::now();
        let flight = {
            let state = self.0.state();
            if let Some(current) = self.0.current.load_full()
                && !Arc::ptr_eq(&current, known)
                && current.age(now) != Age::Expired
            {
                return Ok(Some(current));
            }
            let is_early = |at: Instant| now < at + self.0.renewal_interval;
            if state.flight.is_none() && state.renewed.is_some_and(is_early) {
                return Ok(None);
            }
            if drop_known {
                self.0.current.store(None);
            }
            self.0.begin(state, now, hint)?
        };
        self.0.state().renewed = Some(now);
        self.wait(flight).await.map(Some)
    }

    async fn wait(&self, mut flight: Flight<T>) -> Result<Arc<Fetched<T>>, Failure> {
        let landed = flight.wait_for(Option::is_some).await;
        let result = landed.ok().and_then(|result| result.clone());
        result.unwrap_or_else(|| Err(ended(self.0.of)))
    }
}

/// The fetch has ended without a word: the process ends, or a fault of ours broke it.
fn ended(of: FetchOf) -> Failure {
    let kind = match of {
        FetchOf::SigningKeys => Kind::IssuerUnavailable,
        FetchOf::ApplicationToken | FetchOf::ExchangedToken => Kind::CredentialUnavailable,
    };
    Failure::new(
        kind,
        "the gateway did not get what it needs for this call; send it again",
    )
}

impl<T> Clone for Renewable<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Renewable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewable")
            .field("of", &self.0.of)
            .finish_non_exhaustive()
    }
}

// === impl Shared ===

impl<T: Send + Sync + 'static> Shared<T> {
    /// The fetch that is under way, or a new one; or why none is tried now.
    ///
    /// The lock is given back before a task is spawned: a runtime that ends drops the task
    /// at once, and its [`Landing`] takes the lock.
    fn begin(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State<T>>,
        now: Instant,
        hint: Hint,
    ) -> Result<Flight<T>, Failure> {
        if let Some(flight) = &state.flight {
            return Ok(flight.clone());
        }
        if let Some(failed) = &state.failed
            && now < failed.until
        {
            let wait = failed.until - now;
            return Err(failed.failure.clone().with_retry_after(wait));
        }
        let (told, flight) = watch::channel(None);
        state.flight = Some(flight.clone());
        drop(state);
        let mut landing = Landing {
            shared: Arc::clone(self),
            result: None,
            told,
        };
        let fetched = (self.fetch)(hint);
        // A task of its own: who asked first may leave, and others wait for it too.
        tokio::spawn(async move {
            let result = fetched.await;
            let shared = &landing.shared;
            shared.report(result.as_ref().err(), now.elapsed());
            landing.result = Some(result);
            drop(landing);
        });
        Ok(flight)
    }

    fn report(&self, failure: Option<&Failure>, duration: Duration) {
        self.metrics
            .fetch(self.of, failure.map(|failure| failure.kind), duration);
        if let Some(failure) = failure {
            tracing::warn!(
                of = self.of.as_str(),
                error = failure as &dyn std::error::Error,
                "a fetch failed"
            );
        }
    }
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        // What it holds is complete at any time.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Landing ===

impl<T: Send + Sync + 'static> Drop for Landing<T> {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut state = self.shared.state();
        state.flight = None;
        let result = self.result.take();
        let result = match result.unwrap_or_else(|| Err(ended(self.shared.of))) {
            Ok(fetched) => {
                let fetched = Arc::new(fetched);
                self.shared.current.store(Some(Arc::clone(&fetched)));
                if state.failed.take().is_some() {
                    tracing::info!(of = self.shared.of.as_str(), "fetching works again");
                }
                Ok(fetched)
            }
            Err(failure) => {
                let streak = state.failed.as_ref().map_or(0, |failed| failed.streak);
                state.failed = Some(Failed {
                    until: now + pause(streak, failure.named_delay()),
                    failure: failure.clone(),
                    streak: streak.saturating_add(1),
                });
                Err(failure)
            }
        };
        self.told.send_replace(Some(result));
    }
}

#[cfg(test)]
mod tests;
