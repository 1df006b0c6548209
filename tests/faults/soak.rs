//! Many calls at once, with faults, deadlines and departures drawn by a seed.
//!
//! `SOAK_CALLS` (1,000 by default) and `SOAK_SEED` (1) say how many and which. What is
//! drawn depends on nothing else, so a call that is reported can be made again.

use std::{env, future::Future, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use incidentgate::sandbox::{EntraAct, EntraFault, Entry, Revoke, Sandbox, Task};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::{sleep, timeout};

use crate::{
    claims::claims,
    evidence::{Ended, was_knowable},
    gateway::{Caller, Gateway, in_time, turn},
    plan::{Ground, Patience, Plan},
    told::{Counts, Told},
    truth::Real,
};

/// Calls of one gateway. So few that even if each uses up all its attempts the retry
/// budget, the process's and not the call's, lasts: it would make a call's fate depend on
/// the others'.
const ROUND: u64 = 120;
/// Callers at a time of one gateway, and gateways at a time.
const CALLERS: usize = 60;
const GATEWAYS: usize = 12;

/// A call that was made, and what was told; an error is a breach of the contract.
pub(crate) struct Made {
    n: u64,
    plan: Plan,
    caller: Caller,
    told: Result<Told, String>,
}

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |value| value.parse().unwrap())
}

async fn make(gateway: Arc<Gateway>, seed: u64, round: u64, n: u64, ground: Ground) -> Made {
    let plan = Plan::draw(seed, round, n, ground);
    let caller = Caller::new(seed << 32 | round << 8, n);
    gateway.sandbox.put_task(Task::new(&caller.id));
    gateway.sandbox.script(&caller.id, plan.script());
    let call = caller.call(gateway.client.clone(), plan.deadline());
    let told = match plan.patience {
        Patience::Waits | Patience::Short(_) => Told::of(&in_time(call).await),
        // The stream is reset when the call is dropped.
        Patience::Cancels(after) => match timeout(after, call).await {
            Ok(answer) => Told::of(&answer),
            Err(_) => Ok(Told::Nothing),
        },
    };
    Made {
        n,
        plan,
        caller,
        told,
    }
}

/// Lets go whatever is held, now and then.
async fn release(sandbox: Sandbox) {
    loop {
        sleep(Duration::from_millis(15)).await;
        sandbox.release("*");
    }
}

/// The settings of a round, beside what it is about.
fn settings<'a>(ground: &'a Ground, attempts: &'a str) -> [(&'static str, &'a str); 6] {
    [
        ("reconciliation.mode", ground.mode),
        ("retry.max_attempts", attempts),
        ("retry.max_tokens", "1000"),
        ("retry.initial_backoff", "5ms"),
        ("graph.attempt_timeout", ground.attempt_timeout()),
        ("reconciliation.timeout", "30s"),
    ]
}

/// Makes all calls of a round, and lets what they hang on come to its end.
async fn play(
    gateway: Gateway,
    seed: u64,
    round: u64,
    calls: u64,
    ground: Ground,
) -> (Vec<Made>, Vec<Entry>) {
    let gateway = Arc::new(gateway);
    let releasing = tokio::spawn(release(gateway.sandbox.clone()));
    let made: Vec<Made> = stream::iter(1..=calls)
        .map(|n| {
            let call = make(Arc::clone(&gateway), seed, round, n, ground);
            async { tokio::spawn(call).await.unwrap() }
        })
        .buffer_unordered(CALLERS)
        .collect()
        .await;
    let sandbox = Arc::into_inner(gateway).unwrap().stop().await;
    releasing.abort();
    (made, sandbox.journal())
}

/// Counts the calls, and reports what is wrong with each by the requests of its own.
fn judge(
    (seed, round, ground): (u64, u64, Ground),
    made: &[Made],
    journal: &[Entry],
    wrong: impl Fn(&Made, &[&Entry]) -> Option<String>,
) -> Counts {
    let mut counts = Counts::default();
    for made in made {
        counts.count(made.told.as_ref().ok().copied());
        let requests: Vec<_> = journal
            .iter()
            .filter(|entry| entry.task.as_deref() == Some(&made.caller.id))
            .collect();
        if let Some(wrong) = wrong(made, &requests) {
            counts.wrong += 1;
            report(seed, round, ground, made, &requests, &wrong);
        }
    }
    counts
}

async fn round(seed: u64, round: u64, calls: u64) -> Counts {
    let ground = Ground::draw(seed, round);
    let attempts = ground.attempts.to_string();
    let gateway = Gateway::start(ground.http, &settings(&ground, &attempts)).await;
    let (made, journal) = play(gateway, seed, round, calls, ground).await;
    let ended = Ended::of(&journal);
    judge((seed, round, ground), &made, &journal, |made, requests| {
        made.untrue(ground, requests)
            .or_else(|| made.needless_doubt(ground, requests, &ended))
    })
}

/// The same with a token of the gateway's own, which is revoked, short-lived or not to be
/// had now and then, as the seed has it. What could have been known is another question
/// then: a look, too, needs a token.
async fn round_with_tokens(seed: u64, round: u64, calls: u64) -> Counts {
    // None of the other test's: traces are told apart by it.
    let round = round | 1 << 20;
    let ground = Ground::draw(seed, round);
    let attempts = ground.attempts.to_string();
    // One token for all: who is told to wait would hold up all others.
    let settings = [
        &settings(&ground, &attempts)[..],
        &[("throttle.gate", "false")],
    ]
    .concat();
    let gateway = Gateway::start_as_application(ground.http, &settings).await;
    let troubles = tokio::spawn(trouble(gateway.sandbox.clone(), seed ^ round));
    let (made, journal) = play(gateway, seed, round, calls, ground).await;
    troubles.abort();
    judge((seed, round, ground), &made, &journal, |made, requests| {
        made.untrue(ground, requests)
    })
}

/// Whatever can happen to tokens, one thing after the other.
async fn trouble(sandbox: Sandbox, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    loop {
        let before = sandbox.commits("*");
        sleep(Duration::from_millis(random.random_range(20..300))).await;
        // On a busy machine trouble must not come faster than calls do.
        sandbox.wait_for_commits("*", before + 1).await;
        let challenge = random.random();
        sandbox.revoke_tokens(Revoke {
            challenge,
            ..Revoke::default()
        });
        let fault = match random.random_range(0..10) {
            0 => EntraFault::reply(503, ""),
            1 => EntraFault::aadsts(7_000_215),
            2 => EntraFault::of(EntraAct::Reset),
            3 => EntraFault::of(EntraAct::NotJson),
            4 => EntraFault::delay(Duration::from_millis(200)),
            5 => EntraFault::lifetime(0),
            _ => EntraFault::lifetime(1),
        };
        sandbox.script_entra([fault]);
    }
}

impl Made {
    /// What of it is not true, when nothing more can happen.
    fn untrue(&self, ground: Ground, requests: &[&Entry]) -> Option<String> {
        let told = match &self.told {
            Ok(told) => *told,
            Err(breach) => return Some(breach.clone()),
        };
        let posts = requests.iter().filter(|entry| entry.is_post()).count();
        let real = Real {
            posts,
            commits: requests.iter().filter(|entry| entry.committed).count(),
        };
        let claims = claims().of(&self.caller.trace);
        if let Some(contradiction) = real.contradiction(told, &claims) {
            Some(contradiction)
        } else if posts > ground.attempts {
            Some(format!("{posts} POSTs"))
        } else if self.waited() && told == Told::Nothing {
            Some("a caller who waits hears nothing".to_owned())
        } else {
            None
        }
    }

    /// What could have been known, and was told to be unknown.
    fn needless_doubt(&self, ground: Ground, requests: &[&Entry], ended: &Ended) -> Option<String> {
        if !self.waited() || self.told != Ok(Told::Unknown) {
            return None;
        }
        was_knowable(&self.plan, ground, requests, ended).map(str::to_owned)
    }

    fn waited(&self) -> bool {
        self.plan.patience == Patience::Waits
    }
}

/// All that is needed to see why, and to make it again.
fn report(seed: u64, round: u64, ground: Ground, made: &Made, requests: &[&Entry], wrong: &str) {
    let Made {
        n,
        plan,
        caller,
        told,
    } = made;
    println!("wrong: seed {seed}, round {round}, call {n}: {wrong}");
    println!("  {ground:?}");
    println!("  {plan:?}");
    println!("  told: {told:?}");
    for line in claims().lines(&caller.trace) {
        println!("  {line}");
    }
    for entry in requests {
        let Entry {
            seq,
            connection,
            method,
            committed,
            answer,
            ..
        } = entry;
        println!("  {seq} on {connection}: {method} committed: {committed} answer: {answer:?}");
    }
}

/// Plays as many rounds as the environment asks for; at least one call has come to each end.
async fn soak<F>(name: &str, round: fn(u64, u64, u64) -> F)
where
    F: Future<Output = Counts> + Send + 'static,
{
    let _turn = turn().await;
    let (calls, seed) = (number("SOAK_CALLS", 1000), number("SOAK_SEED", 1));
    let rounds = (0..calls.div_ceil(ROUND)).map(|n| (n, ROUND.min(calls - n * ROUND)));
    let all = stream::iter(rounds)
        .map(|(n, calls)| async move { tokio::spawn(round(seed, n, calls)).await.unwrap() })
        .buffer_unordered(GATEWAYS)
        .fold(Counts::default(), async |all, counts| all + counts)
        .await;
    println!("{name}: seed {seed}  calls {}  {all}", all.rows);
    assert_eq!(all.wrong, 0);
    assert_eq!(all.rows as u64, calls);
    let Counts {
        yes,
        no,
        unknown,
        nothing,
        ..
    } = all;
    assert!(yes > 0 && no > 0 && unknown > 0 && nothing > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_happens_at_once_what_is_told_is_true() {
    soak("soak", round).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_happens_to_tokens_what_is_told_is_true() {
    soak("soak with tokens", round_with_tokens).await;
}
