//! `grpc.health.v1`, as the protocol and gRFC A90 have it.

use std::{collections::BTreeMap, time::Duration};

use futures_util::StreamExt as _;
use incidentgate::{
    authorization::{Authorization, TokenOwner},
    pb::health::{
        HealthCheckRequest, HealthListRequest, health_check_response::ServingStatus,
        health_server::Health as _,
    },
    sandbox::Fault,
    server::health::Health,
    telemetry::Metrics,
    throttle::Gates,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request};

use crate::support::{Gateway, within};

const SERVICE: &str = "incidentgate.v1.IncidentTaskService";
const THROTTLE: &str = "incidentgate.graph.throttle";

fn check(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

#[tokio::test]
async fn the_server_and_its_service_serve_and_others_are_not_known() {
    let mut gateway = Gateway::start().await;
    let mut health = gateway.health().await;
    for service in ["", SERVICE] {
        let status = within(health.check(check(service))).await.unwrap();
        assert_eq!(status.into_inner().status(), ServingStatus::Serving);
    }
    for service in [
        "no.such.Service",
        "grpc.health.v1.Health",
        "incidentgate.v1",
    ] {
        let status = within(health.check(check(service))).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound, "{service}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_list_names_every_service() {
    let mut gateway = Gateway::start().await;
    let mut health = gateway.health().await;
    let list = within(health.list(HealthListRequest {})).await.unwrap();
    let statuses: BTreeMap<_, _> = list
        .into_inner()
        .statuses
        .into_iter()
        .map(|(service, health)| (service, health.status()))
        .collect();
    let serving = |service: &str| (service.to_owned(), ServingStatus::Serving);
    assert_eq!(
        statuses,
        ["", SERVICE, THROTTLE].map(serving).into_iter().collect()
    );
    gateway.stop().await;
}

#[tokio::test]
async fn a_watch_of_an_unknown_service_says_so_and_stays_open() {
    let mut gateway = Gateway::start().await;
    let mut health = gateway.health().await;
    let mut watch = within(health.watch(check("no.such.Service")))
        .await
        .unwrap()
        .into_inner();
    let first = within(watch.next()).await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::ServiceUnknown);
    tokio::select! {
        end = watch.next() => panic!("{end:?}"),
        // Another call is answered meanwhile.
        status = within(health.check(check(""))) => { status.unwrap(); }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_watch_with_a_deadline_ends_with_it() {
    for service in ["", SERVICE, THROTTLE, "no.such.Service"] {
        let mut gateway = Gateway::start().await;
        let mut health = gateway.health().await;
        let mut request = Request::new(check(service));
        request
            .metadata_mut()
            .insert("grpc-timeout", "150m".parse().unwrap());
        let mut watch = within(health.watch(request)).await.unwrap().into_inner();
        within(watch.next()).await.unwrap().unwrap();
        let end = within(watch.next()).await.unwrap().unwrap_err();
        assert_eq!(end.code(), Code::DeadlineExceeded, "{service}: {end:?}");
        assert!(within(watch.next()).await.is_none());
        gateway.stop().await;
    }
}

#[tokio::test]
async fn nothing_serves_before_it_is_ready_or_once_it_stops() {
    let closing = CancellationToken::new();
    let gates = Gates::new(true, Metrics::disabled());
    let health = Health::new(gates.closed_until(), closing.clone());
    let status = async |health: &Health, service: &str| {
        let response = health.check(Request::new(check(service))).await.unwrap();
        response.into_inner().status()
    };
    let mut watch = health
        .watch(Request::new(check("")))
        .await
        .unwrap()
        .into_inner();
    let mut next = async || within(watch.next()).await.unwrap().map(|now| now.status());
    for service in ["", SERVICE] {
        assert_eq!(status(&health, service).await, ServingStatus::NotServing);
    }
    assert_eq!(next().await.unwrap(), ServingStatus::NotServing);
    health.start_serving();
    assert_eq!(status(&health, SERVICE).await, ServingStatus::Serving);
    assert_eq!(next().await.unwrap(), ServingStatus::Serving);
    // However soon the end comes, the change before it is told.
    health.stop_serving();
    closing.cancel();
    assert_eq!(status(&health, "").await, ServingStatus::NotServing);
    assert_eq!(next().await.unwrap(), ServingStatus::NotServing);
    assert_eq!(next().await.unwrap_err().code(), Code::Unavailable);
    assert!(within(watch.next()).await.is_none());
}

fn credential(token: &str) -> Authorization {
    Authorization::bearer(token, TokenOwner::Caller).unwrap()
}

#[tokio::test]
async fn a_throttled_credential_shows_in_the_detail_and_in_no_service() {
    let mut gateway = Gateway::start().await;
    let mut health = gateway.health().await;
    let mut watch = async |service: &str| {
        let watch = within(health.watch(check(service))).await.unwrap();
        let mut watch = watch.into_inner();
        let first = within(watch.next()).await.unwrap().unwrap();
        assert_eq!(first.status(), ServingStatus::Serving, "{service}");
        watch
    };
    let mut detail = watch(THROTTLE).await;
    let mut services = [watch("").await, watch(SERVICE).await];

    let throttled = Fault::error(429, "TooManyRequests", "").header("Retry-After", "3600");
    gateway.sandbox.script("213213", [throttled]);
    gateway.execute("213213").await.unwrap_err();
    let told = within(detail.next()).await.unwrap().unwrap();
    assert_eq!(told.status(), ServingStatus::NotServing);
    let list = within(health.list(HealthListRequest {})).await.unwrap();
    for (service, listed) in list.into_inner().statuses {
        let wanted = if service == THROTTLE {
            ServingStatus::NotServing
        } else {
            ServingStatus::Serving
        };
        assert_eq!(listed.status(), wanted, "{service}");
        let checked = within(health.check(check(&service))).await.unwrap();
        assert_eq!(checked.into_inner().status(), wanted, "{service}");
    }

    // The next that a service tells is the drain, and the detail only ends with it.
    gateway.shutdown.graceful.cancel();
    for watch in &mut services {
        let told = within(watch.next()).await.unwrap().unwrap();
        assert_eq!(told.status(), ServingStatus::NotServing);
    }
    let end = within(detail.next()).await.unwrap().unwrap_err();
    assert_eq!(end.code(), Code::Unavailable);
    gateway.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_the_detail_hears_of_the_closing_and_of_the_last_opening() {
    let gates = Gates::new(true, Metrics::disabled());
    let health = Health::new(gates.closed_until(), CancellationToken::new());
    let watch = health.watch(Request::new(check(THROTTLE))).await.unwrap();
    let mut watch = watch.into_inner();
    let mut next = async || within(watch.next()).await.unwrap().unwrap().status();
    let second = Duration::from_secs(1);
    assert_eq!(next().await, ServingStatus::Serving);
    for _ in 0..2 {
        let start = Instant::now();
        gates.close(&credential("one"), start, 4 * second);
        assert_eq!(next().await, ServingStatus::NotServing);
        assert_eq!(start.elapsed(), Duration::ZERO);
        // Another one for longer: it stays closed when the first is opened.
        gates.close(&credential("other"), start, 9 * second);
        gates.close(&credential("other"), start, 2 * second);
        assert_eq!(next().await, ServingStatus::Serving);
        let closed_for = start.elapsed();
        assert!(
            (9 * second..10 * second).contains(&closed_for),
            "{closed_for:?}"
        );
    }
}
