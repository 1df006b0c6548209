//! Every fault, before and after the start, with every look and every caller: one row, one
//! gateway, so that no row disturbs another.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use incidentgate::sandbox::{Fault, Task};

use crate::{
    claims::{Claim, claims},
    gateway::{Caller, Gateway, in_time, turn},
    hit::{Hit, Http, Look, Says},
    told::{Counts, Told},
    truth::Real,
};

/// Rows at a time; most of them wait.
const AT_A_TIME: usize = 96;
/// Patience of a caller who waits.
const LONG: Duration = Duration::from_secs(60);
/// Longer than a machine that does all this needs for a look, which has a quarter of it.
const SHORT: Duration = Duration::from_secs(3);
/// `retry.max_attempts`.
const ATTEMPTS: usize = 3;
/// More looks than any call makes.
const LOOKS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    Waits,
    /// Leaves while its POST is held at Graph, which goes on only then.
    Cancels,
    /// Has a deadline that passes while its POST is held.
    Short,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    n: u64,
    http: Http,
    hit: Hit,
    starts: bool,
    look: Look,
    patience: Patience,
    /// Whether the next POSTs fare no better.
    lasts: bool,
}

/// What must come of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outcome {
    told: Told,
    posts: usize,
    started: bool,
    /// What the log says, once nobody hears it.
    later: Option<Told>,
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for http in [Http::One, Http::Two] {
        for hit in Hit::ALL.into_iter().filter(|hit| hit.is_of(http)) {
            for &starts in hit.starts() {
                for patience in [Patience::Waits, Patience::Cancels, Patience::Short] {
                    // What is held has been read, so it is no longer at its head.
                    if hit == Hit::ResetAtHead && patience != Patience::Waits {
                        continue;
                    }
                    let fails = Look::Fails(rows.len() / 9 % Look::FAILURES);
                    let may_last = patience == Patience::Waits && hit.says() != Says::Started;
                    for look in [Look::Works, Look::Stale, fails] {
                        for lasts in [false, true].into_iter().filter(|lasts| may_last || !lasts) {
                            let n = rows.len() as u64;
                            rows.push(Row {
                                n,
                                http,
                                hit,
                                starts,
                                look,
                                patience,
                                lasts,
                            });
                        }
                    }
                }
            }
        }
    }
    rows
}

// === impl Row ===

impl Row {
    /// What the row's faults let anybody know: the whole expectation, in one table.
    #[expect(clippy::match_same_arms, reason = "each row has its own reason")]
    fn outcome(self) -> Outcome {
        use Told::{No, Nothing, Unknown, Yes};
        let (says, starts) = (self.hit.says(), self.starts);
        let seen = starts && self.look == Look::Works;
        let unseen = matches!(self.look, Look::Fails(_));
        let (told, posts, later) = match (self.patience, says) {
            (Patience::Waits, Says::Started) => (Yes, 1, None),
            // It passes by itself, and the next POST is answered as usual; or the one after.
            (Patience::Waits, Says::NotStarted) if self.lasts => (No, ATTEMPTS, None),
            (Patience::Waits, Says::NotStarted) => (Yes, 2, None),
            (Patience::Waits, Says::Nothing) if unseen => (Unknown, 1, None),
            (Patience::Waits, Says::Nothing) if seen => (Yes, 1, None),
            // One more POST, and no third: it starts the action, or Graph says that it is
            // started, or it is lost too.
            (Patience::Waits, Says::Nothing) if self.lasts => (Unknown, 2, None),
            (Patience::Waits, Says::Nothing) => (Yes, 2, None),
            // The answer is not there yet; the look beside it may be.
            (Patience::Short, _) if seen => (Yes, 1, None),
            (Patience::Short, _) => (Unknown, 1, Some(later(says, seen))),
            (Patience::Cancels, _) => (Nothing, 1, Some(later(says, seen))),
        };
        Outcome {
            told,
            posts,
            started: starts || says == Says::Started || posts == 2 && !self.lasts,
            later,
        }
    }

    fn settings(self) -> [(&'static str, &'static str); 2] {
        // Those that hang cost this much time; the others must not end by it, nor those
        // that are held beyond a deadline.
        let timeout = match (self.hit.takes_forever(), self.patience) {
            (true, Patience::Waits | Patience::Cancels) => "2s",
            (true, Patience::Short) => "5s",
            (false, _) => "30s",
        };
        [
            ("graph.attempt_timeout", timeout),
            ("retry.initial_backoff", "20ms"),
        ]
    }

    fn script(self) -> impl Iterator<Item = Fault> {
        let hit = self.hit.fault(self.starts);
        let hit = match self.patience {
            Patience::Waits => hit,
            Patience::Cancels | Patience::Short => hit.held(),
        };
        let hits = std::iter::repeat_n(hit, if self.lasts { ATTEMPTS } else { 1 });
        let looks = std::iter::repeat_n(self.look.fault(), LOOKS);
        hits.chain(looks)
    }

    /// Makes the call, and returns what was told, or how that is wrong.
    async fn run(self, round: u64) -> Result<Told, Wrong> {
        let gateway = Gateway::start(self.http, &self.settings()).await;
        let caller = Caller::new(round, self.n);
        gateway.sandbox.put_task(Task::new(&caller.id));
        gateway.sandbox.script(&caller.id, self.script());
        let client = gateway.client.clone();
        let told = match self.patience {
            Patience::Waits => Told::of(&in_time(caller.call(client, LONG)).await)?,
            Patience::Short => Told::of(&in_time(caller.call(client, SHORT)).await)?,
            Patience::Cancels => {
                tokio::select! {
                    answer = caller.call(client, LONG) => Told::of(&answer)?,
                    () = in_time(gateway.sandbox.wait_for_posts(&caller.id, 1)) => Told::Nothing,
                }
            }
        };
        let trace = caller.trace.as_str();
        if told == Told::Nothing {
            let departed = Claim::Left("yes".to_owned());
            if !claims().until(trace, |claim| *claim == departed).await {
                return Err(Wrong::Other(format!("no word of {departed:?}")));
            }
        }
        gateway.sandbox.release(&caller.id);
        let later = |claim: &Claim| matches!(claim, Claim::Later(_));
        if self.outcome().later.is_some() && !claims().until(trace, later).await {
            return Err(Wrong::Other("no word of what came later".to_owned()));
        }
        let sandbox = gateway.stop().await;
        let real = Real {
            posts: sandbox.posts(&caller.id),
            commits: sandbox.commits(&caller.id),
        };
        self.check(told, real, &claims().of(trace))?;
        Ok(told)
    }

    fn check(self, told: Told, real: Real, claims: &[Claim]) -> Result<(), Wrong> {
        if let Some(contradiction) = real.contradiction(told, claims) {
            return Err(Wrong::Untrue(format!(
                "{contradiction}: {told:?} {real:?} {claims:?}"
            )));
        }
        let later = claims.iter().find_map(|claim| match claim {
            Claim::Later(outcome) => Some(match outcome.as_str() {
                "NOT_STARTED" => Told::No,
                "UNKNOWN" => Told::Unknown,
                _ => Told::Yes,
            }),
            Claim::Ended(_) | Claim::Left(_) | Claim::Aside => None,
        });
        let came = Outcome {
            told,
            posts: real.posts,
            started: real.commits == 1,
            later,
        };
        let want = self.outcome();
        if came == want {
            Ok(())
        } else if came.posts > want.posts {
            Err(Wrong::Untrue(format!(
                "too many POSTs: {came:?}; {claims:?}"
            )))
        } else {
            Err(Wrong::Other(format!(
                "{came:?} instead of {want:?}; {claims:?}"
            )))
        }
    }
}

/// How a row is wrong.
#[derive(Debug)]
enum Wrong {
    /// Somebody was told what is not so, or more was sent than may be.
    Untrue(String),
    /// Nothing of that, but it is not what the row says either: less is known.
    Other(String),
}

impl From<String> for Wrong {
    fn from(unreadable: String) -> Self {
        Self::Untrue(unreadable)
    }
}

/// What becomes known of a POST that nobody waits for; it is not sent again.
fn later(says: Says, seen: bool) -> Told {
    match says {
        Says::Started => Told::Yes,
        Says::NotStarted => Told::No,
        Says::Nothing if seen => Told::Yes,
        Says::Nothing => Told::Unknown,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn every_row_of_the_product_tells_the_truth() {
    let _turn = turn().await;
    let rows = rows();
    assert!(rows.len() >= 200, "{}", rows.len());
    let results: Vec<_> = stream::iter(rows)
        .map(|row| async move { (row, tokio::spawn(row.run(0)).await.unwrap()) })
        .buffer_unordered(AT_A_TIME)
        .then(async |(row, result)| match result {
            // On a machine that stands still, less may be known in time. That is not untrue,
            // but it must not be so where the row has the machine for itself.
            Err(Wrong::Other(_)) => (row, row.run(1).await),
            result => (row, result),
        })
        .collect()
        .await;
    let mut all = Counts::default();
    for (http, patience) in [Http::One, Http::Two]
        .into_iter()
        .flat_map(|http| [Patience::Waits, Patience::Cancels, Patience::Short].map(|p| (http, p)))
    {
        let mut counts = Counts::default();
        for (row, result) in &results {
            if (row.http, row.patience) != (http, patience) {
                continue;
            }
            for counts in [&mut counts, &mut all] {
                counts.count(result.as_ref().ok().copied());
                counts.wrong += usize::from(result.is_err());
            }
            match result {
                Ok(_) => {}
                Err(Wrong::Untrue(what)) => println!("wrong, untrue: {row:?}: {what}"),
                Err(Wrong::Other(what)) => println!("wrong: {row:?}: {what}"),
            }
        }
        println!(
            "HTTP {http:?}, {patience:?}: rows: {}  {counts}",
            counts.rows
        );
    }
    println!("rows: {}  {all}", all.rows);
    assert_eq!(all.wrong, 0);
}
