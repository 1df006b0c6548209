//! What will happen to one call of a soak, drawn by its seed and its number alone.

use std::time::Duration;

use incidentgate::sandbox::Fault;
use rand::{Rng, RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

use crate::hit::{Hit, Http, Look};

/// A caller who waits, waits for all that can happen.
const LONG: Duration = Duration::from_secs(60);

/// The gateway of one round of calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ground {
    pub(crate) http: Http,
    /// Whether a call can end the connection under others: over HTTP/2.
    pub(crate) is_shaky: bool,
    /// Whether some POSTs are never answered.
    pub(crate) hangs: bool,
    /// `reconciliation.mode`.
    pub(crate) mode: &'static str,
    /// `retry.max_attempts`.
    pub(crate) attempts: usize,
}

/// One POST that Graph receives for a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Post {
    pub(crate) hit: Hit,
    pub(crate) starts: bool,
    /// Until somebody releases all that is held.
    pub(crate) is_held: bool,
    delay: Duration,
}

/// How a caller goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    Waits,
    /// Has this deadline.
    Short(Duration),
    /// Leaves after this time.
    Cancels(Duration),
}

/// One call, and what Graph makes of its POSTs and looks, in order; after these all is as
/// usual.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) posts: Vec<Post>,
    pub(crate) looks: Vec<Look>,
    pub(crate) patience: Patience,
}

// === impl Ground ===

impl Ground {
    pub(crate) fn draw(seed: u64, round: u64) -> Self {
        let mut dice = dice(seed, round, 0);
        let http = *[Http::One, Http::Two, Http::Two].choose(&mut dice).unwrap();
        let modes = ["resend", "resend", "resend", "observe", "off"];
        Self {
            http,
            is_shaky: http == Http::Two && dice.random(),
            hangs: dice.random_bool(0.25),
            mode: modes.choose(&mut dice).unwrap(),
            attempts: dice.random_range(1..=4),
        }
    }

    /// Short where it is what ends a POST. Elsewhere no machine is so slow that it is.
    pub(crate) fn attempt_timeout(self) -> &'static str {
        if self.hangs { "500ms" } else { "40s" }
    }
}

// === impl Plan ===

impl Plan {
    /// `n` counts from 1.
    pub(crate) fn draw(seed: u64, round: u64, n: u64, ground: Ground) -> Self {
        let mut dice = dice(seed, round, n);
        let posts = dice.random_range(0..=3);
        let looks = dice.random_range(0..=3);
        Self {
            posts: (0..posts).map(|_| Post::draw(&mut dice, ground)).collect(),
            looks: (0..looks).map(|_| look(&mut dice, ground)).collect(),
            patience: match dice.random_range(0..10) {
                0..6 => Patience::Waits,
                6..8 => Patience::Short(time(&mut dice)),
                _ => Patience::Cancels(time(&mut dice)),
            },
        }
    }

    pub(crate) fn script(&self) -> impl Iterator<Item = Fault> {
        let posts = self.posts.iter().map(|post| {
            let fault = post.hit.fault(post.starts);
            // A reset at the head waits for nothing.
            if post.hit == Hit::ResetAtHead {
                return fault;
            }
            let delay = fault.delay + post.delay;
            Fault {
                hold: post.is_held,
                ..fault.delayed(delay)
            }
        });
        posts.chain(self.looks.iter().map(|look| look.fault()))
    }

    pub(crate) fn deadline(&self) -> Duration {
        match self.patience {
            Patience::Waits | Patience::Cancels(_) => LONG,
            Patience::Short(deadline) => deadline,
        }
    }
}

impl Post {
    fn draw(dice: &mut impl Rng, ground: Ground) -> Self {
        let possible = |hit: &Hit| {
            let is_calm = ground.http == Http::One || !hit.ends_the_connection();
            let is_answered = ground.hangs || !hit.takes_forever();
            hit.is_of(ground.http) && is_answered && (is_calm || ground.is_shaky)
        };
        let hits: Vec<_> = Hit::ALL.into_iter().filter(possible).collect();
        let hit = *hits.choose(dice).unwrap();
        let late = dice.random_bool(0.3);
        Self {
            hit,
            starts: *hit.starts().choose(dice).unwrap(),
            is_held: hit != Hit::ResetAtHead && dice.random_bool(0.15),
            delay: Duration::from_millis(if late { dice.random_range(0..30) } else { 0 }),
        }
    }
}

fn look(dice: &mut impl Rng, ground: Ground) -> Look {
    let is_calm = ground.http == Http::Two && !ground.is_shaky;
    let failures = if is_calm {
        Look::CALM_FAILURES
    } else {
        Look::FAILURES
    };
    match dice.random_range(0..3) {
        0 => Look::Works,
        1 => Look::Stale,
        _ => Look::Fails(dice.random_range(0..failures)),
    }
}

/// From a fraction of what a call takes to more than one takes, all orders of magnitude
/// alike.
fn time(dice: &mut impl Rng) -> Duration {
    Duration::from_secs_f64(0.0002 * f64::powf(5000.0, dice.random()))
}

fn dice(seed: u64, round: u64, n: u64) -> StdRng {
    let mut bytes = [0; 32];
    for (part, number) in bytes.chunks_exact_mut(8).zip([seed, round, n]) {
        part.copy_from_slice(&number.to_le_bytes());
    }
    StdRng::from_seed(bytes)
}
