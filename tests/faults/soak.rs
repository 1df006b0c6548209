//! Many calls at once, with faults, deadlines and departures drawn by a seed.
//!
//! `SOAK_CALLS` (1,000 by default) and `SOAK_SEED` (1) say how many and which. What is
//! drawn depends on nothing else, so a call that is reported can be made again.

use std::{env, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use incidentgate::sandbox::{Entry, Sandbox, Task};
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
struct Made {
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

async fn round(seed: u64, round: u64, calls: u64) -> Counts {
    let ground = Ground::draw(seed, round);
    let attempts = ground.attempts.to_string();
    let settings = [
        ("reconciliation.mode", ground.mode),
        ("retry.max_attempts", attempts.as_str()),
        ("retry.max_tokens", "1000"),
        ("retry.initial_backoff", "5ms"),
        ("graph.attempt_timeout", ground.attempt_timeout()),
        ("reconciliation.timeout", "30s"),
    ];
    let gateway = Arc::new(Gateway::start(ground.http, &settings).await);
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
    let journal = sandbox.journal();
    let ended = Ended::of(&journal);
    let mut counts = Counts::default();
    for made in made {
        counts.count(made.told.as_ref().ok().copied());
        let requests: Vec<_> = journal
            .iter()
            .filter(|entry| entry.task.as_deref() == Some(&made.caller.id))
            .collect();
        if let Some(wrong) = made.wrong(ground, &requests, &ended) {
            counts.wrong += 1;
            report(seed, round, ground, &made, &requests, &wrong);
        }
    }
    counts
}

impl Made {
    /// What is wrong with it, when nothing more can happen.
    fn wrong(&self, ground: Ground, requests: &[&Entry], ended: &Ended) -> Option<String> {
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
        let waited = self.plan.patience == Patience::Waits;
        if let Some(contradiction) = real.contradiction(told, &claims) {
            Some(contradiction)
        } else if posts > ground.attempts {
            Some(format!("{posts} POSTs"))
        } else if waited && told == Told::Unknown {
            was_knowable(&self.plan, ground, requests, ended).map(str::to_owned)
        } else if waited && told == Told::Nothing {
            Some("a caller who waits hears nothing".to_owned())
        } else {
            None
        }
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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_happens_at_once_what_is_told_is_true() {
    let _turn = turn().await;
    let (calls, seed) = (number("SOAK_CALLS", 1000), number("SOAK_SEED", 1));
    let rounds = (0..calls.div_ceil(ROUND)).map(|n| (n, ROUND.min(calls - n * ROUND)));
    let all = stream::iter(rounds)
        .map(|(n, calls)| async move { tokio::spawn(round(seed, n, calls)).await.unwrap() })
        .buffer_unordered(GATEWAYS)
        .fold(Counts::default(), async |all, counts| all + counts)
        .await;
    println!("soak: seed {seed}  calls {}  {all}", all.rows);
    assert_eq!(all.wrong, 0);
    assert_eq!(all.rows as u64, calls);
    // It was one.
    let Counts {
        yes,
        no,
        unknown,
        nothing,
        ..
    } = all;
    assert!(yes > 0 && no > 0 && unknown > 0 && nothing > 0);
}
