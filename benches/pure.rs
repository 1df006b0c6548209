//! The pure parts of a call, in nanoseconds.
//!
//! `cargo bench --bench pure`

use std::{
    hint::black_box,
    time::{Duration, SystemTime},
};

use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, StatusCode, header::AUTHORIZATION};
use incidentgate::{
    authorization::{Authorization, TokenOwner},
    caller::Caller,
    credentials::{Application, Credentials},
    failure::{Effect, Failure, Kind},
    graph::classify::{BodyEnd, Reply, classify},
    renewable::{Fetched, Renewable},
    retry::{Course, Doubt, Finding, Next, Policy, Reconciliation},
    rpc::status,
    server::parse_grpc_timeout,
    telemetry::{FetchOf, Metrics},
};
use tokio::{runtime::Runtime, time::Instant};

const IN_PROGRESS: &[u8] = br#"{"error":{"code":"ActionAlreadyInProgress","message":"Response action is already in progress.","innerError":{"date":"2023-09-04T06:57:56","request-id":"43064123-b43a-4df8-a4d1-30660b99ac76","client-request-id":"5451e97f-24d2-236a-1731-1e0de686464c"}}}"#;

fn reply<'a>(status: StatusCode, headers: &'a HeaderMap, body: &'a [u8]) -> Reply<'a> {
    Reply {
        status,
        headers,
        body,
        body_end: BodyEnd::Complete,
        token_owner: TokenOwner::Caller,
        effect: Effect::Action,
        now: SystemTime::UNIX_EPOCH,
    }
}

fn answers(c: &mut Criterion) {
    let mut headers = HeaderMap::new();
    headers.insert(
        "request-id",
        HeaderValue::from_static("43064123-b43a-4df8-a4d1-30660b99ac76"),
    );
    c.bench_function("classify 204", |b| {
        b.iter(|| classify(black_box(&reply(StatusCode::NO_CONTENT, &headers, b""))));
    });
    c.bench_function("classify 400", |b| {
        b.iter(|| {
            classify(black_box(&reply(
                StatusCode::BAD_REQUEST,
                &headers,
                IN_PROGRESS,
            )))
        });
    });
    let refused: Failure =
        classify(&reply(StatusCode::BAD_REQUEST, &headers, IN_PROGRESS)).expect_err("a refusal");
    c.bench_function("status of a refusal", |b| {
        b.iter(|| status::from_failure(black_box(refused.clone())));
    });
    let lost = Failure::new(Kind::ResponseLost, "the answer was lost");
    c.bench_function("status of an unknown outcome", |b| {
        b.iter(|| status::from_failure(black_box(lost.clone())));
    });
}

fn decisions(c: &mut Criterion) {
    let policy = Policy {
        max_attempts: 3,
        initial_backoff: Duration::from_millis(500),
        max_backoff: Duration::from_secs(10),
        reconciliation: Reconciliation::Resend,
    };
    let course = Course {
        tries: 1,
        doubt: Doubt::None,
        remaining: Duration::from_secs(30),
        within_budget: true,
        may_renew: false,
    };
    for (kind, next) in [
        (Kind::Unreachable, "again"),
        (Kind::ResponseLost, "reconcile"),
        (Kind::ActionAlreadyInProgress, "stop"),
    ] {
        let failure = Failure::new(kind, "it failed");
        let decide = || policy.decide(Finding::Failed(black_box(&failure)), &course, 0.5);
        let decided = match decide() {
            Next::Wait(_) => "again",
            Next::Reconcile => "reconcile",
            Next::Stop => "stop",
            Next::Renew => "renew",
        };
        assert_eq!(decided, next, "the name of the benchmark is true");
        c.bench_function(&format!("decide: {next}"), |b| b.iter(decide));
    }
    c.bench_function("parse grpc-timeout", |b| {
        b.iter(|| parse_grpc_timeout(black_box(b"29999m")));
    });
}

fn tokens(c: &mut Criterion) {
    // As long as one of Entra's.
    let token = "t".repeat(1500);
    let mut metadata = HeaderMap::new();
    let header = HeaderValue::try_from(format!("Bearer {token}")).expect("a header");
    metadata.insert(AUTHORIZATION, header);
    let granted = |credentials: &Credentials| {
        let credential = credentials.of(&Caller::anonymous(), &metadata)?;
        credential
            .grant()
            .now_or_never()
            .expect("nothing to wait for")
    };

    let runtime = Runtime::new().expect("a runtime");
    let cache = Renewable::new(
        FetchOf::ApplicationToken,
        Duration::from_secs(1),
        Metrics::disabled(),
        move |_| {
            let own = Authorization::bearer(&token, TokenOwner::Gateway).expect("a header");
            let fetched = Fetched::living(own, Instant::now(), Duration::from_secs(3600));
            async { Ok(fetched.expect("alive")) }
        },
    );
    runtime.block_on(cache.get()).expect("a token");
    let own = Credentials::Application(Application::new(cache));
    c.bench_function("the gateway's own token, cached", |b| {
        b.iter(|| granted(&own));
    });
    c.bench_function("the caller's token, passed through", |b| {
        b.iter(|| granted(&Credentials::Passthrough));
    });
}

criterion_group!(benches, answers, decisions, tokens);
criterion_main!(benches);
