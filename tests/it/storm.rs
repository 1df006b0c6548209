//! Everything at once, on several threads: whatever is told is true.

use std::time::Duration;

use incidentgate::sandbox::{Fault, Task};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tonic::Code;

use crate::support::{Answer, Gateway, RawCall, Wire, within};

/// Callers at a time, and calls of each.
const CALLERS: usize = 12;
const CALLS: usize = 25;

/// How a call is made, and what Graph makes of it.
struct Plan {
    id: String,
    deadline: String,
    leaves_after: Option<Duration>,
    fault: Fault,
}

impl Plan {
    fn draw(n: usize, dice: &mut StdRng) -> Self {
        // A reset ends every call on its connection, hence few.
        let fault = match dice.random_range(0..40) {
            0 => Fault::reset(),
            1 => Fault::reset().committed(),
            2..8 => Fault::error(504, "UnknownError", "").committed(),
            8..12 => Fault::hang(),
            _ => Fault::default(),
        };
        let leaves = dice.random_bool(0.3);
        Self {
            id: format!("storm-{n}"),
            deadline: format!("{}u", dice.random_range(100..60_000)),
            leaves_after: leaves.then(|| Duration::from_micros(dice.random_range(0..20_000))),
            fault: fault.delayed(Duration::from_millis(dice.random_range(0..20))),
        }
    }
}

async fn call(wire: &mut Wire, plan: &Plan) -> Option<RawCall> {
    let sent = wire
        .execute(&plan.id, &[("grpc-timeout", &plan.deadline)])
        .await;
    let Some(patience) = plan.leaves_after else {
        return sent.answer().await.ok();
    };
    // The stream is reset when this is dropped.
    tokio::time::timeout(patience, sent.answer())
        .await
        .ok()?
        .ok()
}

async fn storm(http2: &str, seed: u64) {
    let mut gateway = Gateway::single_attempts()
        .with("graph.http2_prior_knowledge", http2)
        .with("graph.attempt_timeout", "200ms")
        .with("server.max_in_flight", "16")
        .with("drain.timeout", "1h")
        .start()
        .await;
    let mut dice = StdRng::seed_from_u64(seed);
    let mut callers = Vec::new();
    for caller in 0..CALLERS {
        let plans: Vec<_> = (0..CALLS)
            .map(|n| Plan::draw(caller * CALLS + n, &mut dice))
            .collect();
        for plan in &plans {
            gateway.sandbox.put_task(Task::new(&plan.id));
            gateway.sandbox.script(&plan.id, [plan.fault.clone()]);
        }
        let addr = gateway.addr;
        callers.push(tokio::spawn(async move {
            let mut told = Vec::new();
            for plan in plans {
                let mut wire = Wire::connect(addr).await;
                let call = call(&mut wire, &plan).await;
                told.push((plan.id, call));
            }
            told
        }));
    }
    let mut told = Vec::new();
    for caller in callers {
        told.extend(within(caller).await.unwrap());
    }
    // Nothing is left behind that a drain would wait for.
    gateway.stop().await;
    let sandbox = &gateway.sandbox;
    let (mut started, mut unknown) = (0, 0);
    for (id, call) in told {
        let (posts, commits) = (sandbox.posts(&id), sandbox.commits(&id));
        assert!(posts <= 1, "{id}: {posts} POSTs");
        // Who has left has been told nothing.
        let Some(call) = call else { continue };
        let status = call.grpc_status();
        if status.code() == Code::Ok {
            started += 1;
            assert_eq!(commits, 1, "{id}");
            continue;
        }
        let error: Answer = call.error();
        match error.outcome.as_str() {
            "NOT_STARTED" => assert_eq!((posts, commits), (0, 0), "{id}: {error:?}"),
            "UNKNOWN" => {
                unknown += 1;
                assert!(call.trailers.is_some(), "{id}: {error:?}");
                assert_eq!(error.pushback.as_deref(), Some("-1"));
            }
            outcome => panic!("{id}: {outcome}"),
        }
    }
    // It was one.
    assert!(started > 0 && unknown > 0, "{started} {unknown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_is_told_in_a_storm_is_true_over_http_1() {
    storm("false", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_is_told_in_a_storm_is_true_over_http_2() {
    storm("true", 2).await;
}
