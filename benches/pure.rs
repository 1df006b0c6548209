//! The pure parts of a call, in nanoseconds.
//!
//! `cargo bench --bench pure`

use std::{hint::black_box, time::SystemTime};

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, StatusCode};
use incidentgate::{
    authorization::TokenOwner,
    failure::{Failure, Kind},
    graph::classify::{BodyEnd, Reply, classify},
    rpc::status,
    server::parse_grpc_timeout,
};

const IN_PROGRESS: &[u8] = br#"{"error":{"code":"ActionAlreadyInProgress","message":"Response action is already in progress.","innerError":{"date":"2023-09-04T06:57:56","request-id":"43064123-b43a-4df8-a4d1-30660b99ac76","client-request-id":"5451e97f-24d2-236a-1731-1e0de686464c"}}}"#;

fn reply<'a>(status: StatusCode, headers: &'a HeaderMap, body: &'a [u8]) -> Reply<'a> {
    Reply {
        status,
        headers,
        body,
        body_end: BodyEnd::Complete,
        token_owner: TokenOwner::Caller,
        now: SystemTime::UNIX_EPOCH,
    }
}

fn pure(c: &mut Criterion) {
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
    c.bench_function("parse grpc-timeout", |b| {
        b.iter(|| parse_grpc_timeout(black_box(b"29999m")));
    });
}

criterion_group!(benches, pure);
criterion_main!(benches);
