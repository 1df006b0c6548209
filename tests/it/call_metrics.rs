//! What is measured of calls and attempts, and by which attributes it is told apart.

use std::collections::BTreeSet;

use incidentgate::{
    sandbox::{Fault, Task},
    telemetry::names::DURATION_BOUNDARIES,
};
use opentelemetry::trace::Status;

use crate::support::{Gateway, RawCall, boundaries, points, request, within};

const SERVER: &str = "rpc.method=incidentgate.v1.IncidentTaskService/ExecuteResponseAction";

/// There from the start, before anything is throttled.
const NONE_THROTTLED: &str = "incidentgate.throttle.closed {credential} {} 0";

/// What `http.client.request.duration` says of Graph.
fn graph(gateway: &Gateway) -> String {
    let port = gateway.sandbox.addr().port();
    format!("server.address=127.0.0.1,server.port={port}")
}

#[tokio::test]
async fn every_call_and_every_attempt_is_measured_by_closed_words() {
    let gateway = Gateway::single_attempts().start().await;
    gateway.execute("213213").await.unwrap();
    gateway.execute("213213").await.unwrap_err();
    gateway.execute("").await.unwrap_err();
    gateway.sandbox.script("213213", [Fault::reset()]);
    gateway.execute("213213").await.unwrap_err();

    let metrics = gateway.metrics();
    let graph = graph(&gateway);
    let outcomes = "incidentgate.action.outcomes {call}";
    let server = "rpc.server.call.duration s";
    let client = "http.client.request.duration s";
    let post = "http.request.method=POST";
    let mut expected = [
        format!("{server} {{{SERVER},rpc.status_code=OK,rpc.system.name=grpc}} 1"),
        format!("{server} {{{SERVER},rpc.status_code=ALREADY_EXISTS,rpc.system.name=grpc}} 1"),
        format!("{server} {{{SERVER},rpc.status_code=INVALID_ARGUMENT,rpc.system.name=grpc}} 1"),
        format!(
            "{server} {{error.type=UNKNOWN,{SERVER},rpc.status_code=UNKNOWN,rpc.system.name=grpc}} 1"
        ),
        format!(
            "{client} {{{post},http.response.status_code=204,network.protocol.version=1.1,{graph}}} 1"
        ),
        format!(
            "{client} {{error.type=400,{post},http.response.status_code=400,network.protocol.version=1.1,{graph}}} 1"
        ),
        format!("{client} {{error.type=response_lost,{post},{graph}}} 1"),
        format!("{outcomes} {{incidentgate.action.outcome=STARTED,rpc.status_code=OK}} 1"),
        format!(
            "{outcomes} {{incidentgate.action.outcome=ALREADY_STARTED,rpc.status_code=ALREADY_EXISTS}} 1"
        ),
        format!(
            "{outcomes} {{incidentgate.action.outcome=NOT_STARTED,rpc.status_code=INVALID_ARGUMENT}} 1"
        ),
        format!("{outcomes} {{incidentgate.action.outcome=UNKNOWN,rpc.status_code=UNKNOWN}} 1"),
        format!("incidentgate.calls.in_flight {{call}} {{{SERVER}}} 0"),
        NONE_THROTTLED.to_owned(),
    ];
    expected.sort();
    assert_eq!(points(&metrics), expected);
}

#[tokio::test]
async fn both_durations_have_the_boundaries_of_the_conventions() {
    let gateway = Gateway::start().await;
    gateway.execute("213213").await.unwrap();
    let boundaries = boundaries(&gateway.metrics());
    let names: BTreeSet<_> = boundaries.iter().map(|(name, _)| name.as_str()).collect();
    let both = ["http.client.request.duration", "rpc.server.call.duration"];
    assert_eq!(names, both.into());
    for (name, found) in boundaries {
        assert_eq!(found, DURATION_BOUNDARIES, "{name}");
        assert_eq!(found.len(), 14);
    }
}

#[tokio::test]
async fn an_attempt_without_its_caller_counts_as_detached_until_it_ends() {
    let gateway = Gateway::start().await;
    gateway.sandbox.script("213213", [Fault::hold()]);
    let client = gateway.client().await;
    let mut calling = client.clone();
    let calling = async move { calling.execute_response_action(request("213213")).await };
    let calling = tokio::spawn(async { calling.await.map(drop) });
    within(gateway.sandbox.wait_for_posts("213213", 1)).await;
    let in_flight = format!("incidentgate.calls.in_flight {{call}} {{{SERVER}}}");
    assert_eq!(
        points(&gateway.metrics()),
        [format!("{in_flight} 1"), NONE_THROTTLED.to_owned()]
    );

    calling.abort();
    let spans = gateway.wait_for_spans(1).await;
    assert_eq!(spans[0].status, Status::Unset);
    let left = points(&gateway.metrics());
    assert!(left.contains(&"incidentgate.calls.detached {call} {} 1".to_owned()));
    assert!(left.contains(&format!("{in_flight} 0")));
    let cancelled = format!(
        "rpc.server.call.duration s {{{SERVER},rpc.status_code=CANCELLED,rpc.system.name=grpc}} 1"
    );
    assert!(left.contains(&cancelled), "{left:?}");
    // What became of it is not known yet.
    let outcome = "incidentgate.action.outcomes {call} {incidentgate.action.outcome=STARTED,rpc.status_code=CANCELLED} 1";
    assert!(
        !left
            .iter()
            .any(|point| point.contains("incidentgate.action.outcomes"))
    );

    gateway.sandbox.release("213213");
    gateway
        .logged("an action was answered after its caller had left")
        .await;
    let ended = points(&gateway.metrics());
    assert!(ended.contains(&"incidentgate.calls.detached {call} {} 0".to_owned()));
    let answered = format!(
        "http.client.request.duration s {{http.request.method=POST,http.response.status_code=204,network.protocol.version=1.1,{}}} 1",
        graph(&gateway)
    );
    assert!(ended.contains(&answered), "{ended:?}");
    assert!(ended.contains(&outcome.to_owned()), "{ended:?}");
}

#[tokio::test]
async fn what_callers_choose_is_in_no_attribute() {
    let gateway = Gateway::start().await;
    gateway.sandbox.put_task(Task::new("task-of-this-test"));
    gateway.execute("task-of-this-test").await.unwrap();
    gateway.execute("other-of-this-test").await.unwrap_err();
    let uri = format!("http://{}/of-this-test.Service/Do", gateway.addr);
    let request = http::Request::post(uri)
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    RawCall::send(&gateway, request, bytes::Bytes::new()).await;
    let points = points(&gateway.metrics());
    let other = "rpc.method=_OTHER,rpc.status_code=UNIMPLEMENTED";
    assert!(
        points.iter().any(|point| point.contains(other)),
        "{points:?}"
    );
    for point in points {
        assert!(!point.contains("of-this-test"), "{point}");
        assert!(!point.contains("request_id"), "{point}");
    }
}
