//! Every span of every kind of call: its place in the tree, its name, kind and status, and exactly
//! its attributes. What is not listed here must not be there.

use incidentgate::sandbox::{Entry, Fault};
use opentelemetry::trace::Status;
use tonic::Code;

use crate::support::{
    Answer, Gateway, RawCall, TRACEPARENT, Tree, answer, attributes, request, within,
};

const METHOD: &str = "incidentgate.v1.IncidentTaskService/ExecuteResponseAction";

fn method() -> String {
    format!("rpc.method=text:{METHOD}")
}

fn client_request_id(id: &str) -> String {
    format!("incidentgate.graph.client_request_id=text:{id}")
}

fn graph_request_id(id: &str) -> String {
    format!("incidentgate.graph.request_id=text:{id}")
}

/// Calls with the caller's trace context.
async fn call(gateway: &Gateway, id: &str) -> RawCall {
    RawCall::execute(gateway, id, &[TRACEPARENT]).await
}

fn failed(call: &RawCall) -> Answer {
    answer(&call.grpc_status())
}

/// The only POST that Graph received.
fn post(gateway: &Gateway) -> Entry {
    let mut journal = gateway.sandbox.journal();
    assert_eq!(journal.len(), 1);
    journal.remove(0)
}

#[tokio::test]
async fn a_started_action_is_a_server_span_with_one_client_span() {
    let gateway = Gateway::start().await;
    let call = call(&gateway, "213213").await;
    let response = call.message();

    let tree = Tree::of(gateway.spans());
    tree.assert_from_caller();
    assert_eq!(tree.server.name, METHOD);
    assert_eq!(tree.server.status, Status::Unset);
    let expected = [
        &method(),
        "rpc.status_code=text:OK",
        "incidentgate.action.outcome=text:STARTED",
        &client_request_id(&response.client_request_id),
    ];
    tree.assert_server(&gateway, call.port, &expected);

    let client = tree.client();
    assert_eq!(client.status, Status::Unset);
    let expected = [
        "http.response.status_code=int:204",
        "network.protocol.version=text:1.1",
        "incidentgate.action.outcome=text:STARTED",
        &graph_request_id(&response.graph_request_id),
    ];
    tree.assert_client(&gateway, &expected);
    assert!(tree.server.start_time <= client.start_time);
    assert!(client.end_time <= tree.server.end_time);
}

#[tokio::test]
async fn an_action_that_graph_refuses_is_an_error_of_the_client_span_only() {
    let gateway = Gateway::start().await;
    let call = call(&gateway, "213215").await;
    let answer = failed(&call);
    assert_eq!(answer.code, Code::AlreadyExists);

    let tree = Tree::of(gateway.spans());
    tree.assert_from_caller();
    assert_eq!(tree.server.status, Status::Unset);
    let expected = [
        &method(),
        "rpc.status_code=text:ALREADY_EXISTS",
        "incidentgate.action.outcome=text:ALREADY_STARTED",
        "incidentgate.failure.reason=text:ACTION_ALREADY_IN_PROGRESS",
        &client_request_id(&answer.metadata["clientRequestId"]),
    ];
    tree.assert_server(&gateway, call.port, &expected);
    let client = tree.client();
    assert_eq!(client.status, Status::error(""));
    let expected = [
        "http.response.status_code=int:400",
        "error.type=text:400",
        "network.protocol.version=text:1.1",
        "incidentgate.action.outcome=text:ALREADY_STARTED",
        &graph_request_id(&answer.details.request_info().unwrap().request_id),
    ];
    tree.assert_client(&gateway, &expected);
}

#[tokio::test]
async fn an_unknown_outcome_is_an_error_of_both_spans() {
    let gone: &[&str] = &["error.type=text:response_lost"];
    let bad_gateway: &[&str] = &[
        "error.type=text:502",
        "http.response.status_code=int:502",
        "network.protocol.version=text:1.1",
    ];
    for (fault, reason, on_attempt) in [
        (Fault::reset().committed(), "GRAPH_RESPONSE_LOST", gone),
        (Fault::reply(502, "<html>"), "HTTP_502", bad_gateway),
    ] {
        let gateway = Gateway::single_attempts().start().await;
        gateway.sandbox.script("213213", [fault]);
        let call = call(&gateway, "213213").await;
        let answer = failed(&call);
        assert_eq!(answer.code, Code::Unknown);
        assert_eq!(answer.pushback.as_deref(), Some("-1"));

        let tree = Tree::of(gateway.spans());
        tree.assert_from_caller();
        assert_eq!(tree.server.status, Status::error(""));
        let expected = [
            &method(),
            "rpc.status_code=text:UNKNOWN",
            "error.type=text:UNKNOWN",
            "incidentgate.action.outcome=text:UNKNOWN",
            &format!("incidentgate.failure.reason=text:{reason}"),
            &client_request_id(&answer.metadata["clientRequestId"]),
        ];
        tree.assert_server(&gateway, call.port, &expected);
        let client = tree.client();
        assert_eq!(client.status, Status::error(""));
        let unknown = ["incidentgate.action.outcome=text:UNKNOWN"];
        tree.assert_client(&gateway, &[on_attempt, &unknown].concat());
    }
}

#[tokio::test]
async fn a_graph_that_cannot_be_reached_is_an_error_of_both_spans() {
    // Bound and not listening: the port stays ours, and refuses.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = socket.local_addr().unwrap();
    let graph = format!("http://{addr}/beta");
    let gateway = Gateway::single_attempts().with_graph(&graph).start().await;
    let call = call(&gateway, "213213").await;
    let answer = failed(&call);

    let tree = Tree::of(gateway.spans());
    assert_eq!(tree.server.status, Status::error(""));
    let expected = [
        &method(),
        "rpc.status_code=text:UNAVAILABLE",
        "error.type=text:UNAVAILABLE",
        "incidentgate.action.outcome=text:NOT_STARTED",
        "incidentgate.failure.reason=text:GRAPH_UNREACHABLE",
        &client_request_id(&answer.metadata["clientRequestId"]),
    ];
    tree.assert_server(&gateway, call.port, &expected);
    let client = tree.client();
    assert_eq!(client.status, Status::error(""));
    let expected = [
        "error.type=text:connect",
        "incidentgate.action.outcome=text:NOT_STARTED",
    ];
    tree.assert_client_to(&graph, addr.port(), &expected);
}

#[tokio::test]
async fn what_the_gateway_refuses_by_itself_has_no_client_span() {
    for (id, header, code, reason) in [
        ("", None, "INVALID_ARGUMENT", "INVALID_REQUEST"),
        (
            "213213",
            Some(("grpc-timeout", "soon")),
            "INVALID_ARGUMENT",
            "INVALID_REQUEST",
        ),
        (
            "213213",
            Some(("authorization", "Basic dTpw")),
            "UNAUTHENTICATED",
            "CALLER_UNAUTHENTICATED",
        ),
    ] {
        let gateway = Gateway::start().await;
        let headers: Vec<_> = [TRACEPARENT].into_iter().chain(header).collect();
        let call = RawCall::execute(&gateway, id, &headers).await;
        let answer = failed(&call);
        assert_eq!(
            (answer.domain.as_str(), answer.reason.as_str()),
            ("incidentgate", reason)
        );

        let tree = Tree::of(gateway.spans());
        assert!(tree.client.is_none());
        tree.assert_from_caller();
        assert_eq!(tree.server.name, METHOD);
        assert_eq!(tree.server.status, Status::Unset);
        let expected = [
            &method(),
            &format!("rpc.status_code=text:{code}"),
            "incidentgate.action.outcome=text:NOT_STARTED",
            &format!("incidentgate.failure.reason=text:{reason}"),
        ];
        tree.assert_server(&gateway, call.port, &expected);
    }
}

#[tokio::test]
async fn an_unknown_method_is_named_in_an_attribute_and_not_in_the_name() {
    let gateway = Gateway::start().await;
    let uri = format!("http://{}/other.v1.Service/Do", gateway.addr);
    let call = RawCall::send_nothing_to(&gateway, &uri).await;
    assert_eq!(call.grpc_status().code(), Code::Unimplemented);

    let tree = Tree::of(gateway.spans());
    assert!(tree.client.is_none());
    assert_eq!(tree.server.name, "grpc");
    assert_eq!(tree.server.status, Status::error(""));
    let expected = [
        "rpc.method=text:_OTHER",
        "rpc.method_original=text:other.v1.Service/Do",
        "rpc.status_code=text:UNIMPLEMENTED",
        "error.type=text:UNIMPLEMENTED",
    ];
    tree.assert_server(&gateway, call.port, &expected);
}

#[tokio::test]
async fn a_deadline_before_anything_was_sent_has_no_client_span() {
    let gateway = Gateway::start().await;
    let headers = [TRACEPARENT, ("grpc-timeout", "1n")];
    let call = RawCall::execute(&gateway, "213213", &headers).await;
    let answer = failed(&call);
    assert_eq!(answer.outcome, "NOT_STARTED");
    let tree = Tree::of(gateway.spans());
    assert!(tree.client.is_none());
    assert_eq!(tree.server.status, Status::error(""));
    let expected = [
        &method(),
        "rpc.status_code=text:DEADLINE_EXCEEDED",
        "error.type=text:DEADLINE_EXCEEDED",
        "incidentgate.action.outcome=text:NOT_STARTED",
        "incidentgate.failure.reason=text:DEADLINE_EXCEEDED",
        &client_request_id(&answer.metadata["clientRequestId"]),
    ];
    tree.assert_server(&gateway, call.port, &expected);
    assert_eq!(gateway.sandbox.posts("213213"), 0);
}

#[tokio::test]
async fn a_call_whose_caller_left_ends_then_and_its_attempt_when_graph_answers() {
    let gateway = Gateway::start().await;
    gateway.sandbox.script("213213", [Fault::hold()]);
    let mut client = gateway.client().await;
    let mut call = request("213213");
    call.metadata_mut()
        .insert(TRACEPARENT.0, TRACEPARENT.1.parse().unwrap());
    // The connection stays, so that it is the call that is cancelled.
    let mut other = client.clone();
    let calling = tokio::spawn(async move { other.execute_response_action(call).await.map(drop) });
    within(gateway.sandbox.wait_for_posts("213213", 1)).await;
    calling.abort();
    let left = Tree::of(gateway.wait_for_spans(1).await);
    assert!(left.client.is_none());
    assert_eq!(gateway.sandbox.commits("213213"), 0);

    let released = std::time::SystemTime::now();
    gateway.sandbox.release("213213");
    let tree = Tree::of(gateway.wait_for_spans(2).await);
    assert_eq!(tree.server, left.server);
    tree.assert_from_caller();
    assert!(tree.server.end_time <= released);
    assert!(tree.client().end_time >= released);
    assert_eq!(tree.server.status, Status::Unset);
    let attributes_of_call = attributes(&tree.server.attributes);
    let sent = post(&gateway);
    let ids = client_request_id(sent.header("client-request-id").unwrap());
    let expected = [&method(), "rpc.status_code=text:CANCELLED", &ids];
    let port = |pair: &&String| pair.starts_with("network.peer.port=int:");
    let port = attributes_of_call.iter().find(port).unwrap();
    let port = port.rsplit(':').next().unwrap().parse().unwrap();
    tree.assert_server(&gateway, port, &expected);

    let attempt = tree.client();
    assert_eq!(attempt.status, Status::Unset);
    let ids = attributes(&attempt.attributes);
    let id = ids
        .iter()
        .find(|pair| pair.starts_with("incidentgate.graph"));
    let expected = [
        "http.response.status_code=int:204",
        "network.protocol.version=text:1.1",
        "incidentgate.action.outcome=text:STARTED",
        id.expect("Graph's request-id"),
    ];
    tree.assert_client(&gateway, &expected);
    // The connection is as good as before.
    let again = within(client.execute_response_action(request("213213"))).await;
    assert_eq!(again.unwrap_err().code(), Code::AlreadyExists);
}

#[tokio::test]
async fn a_deadline_ends_the_call_and_leaves_the_attempt_to_its_own_end() {
    let gateway = Gateway::single_attempts().start().await;
    gateway.sandbox.script("213213", [Fault::hold()]);
    let headers = [TRACEPARENT, ("grpc-timeout", "1S")];
    let call = RawCall::execute(&gateway, "213213", &headers).await;
    let answer = failed(&call);
    assert_eq!(answer.code, Code::DeadlineExceeded);
    let ended = Tree::of(gateway.spans());
    assert!(ended.client.is_none());
    assert_eq!(ended.server.status, Status::error(""));
    let expected = [
        &method(),
        "rpc.status_code=text:DEADLINE_EXCEEDED",
        "error.type=text:DEADLINE_EXCEEDED",
        "incidentgate.action.outcome=text:UNKNOWN",
        "incidentgate.failure.reason=text:DEADLINE_EXCEEDED",
        &client_request_id(&answer.metadata["clientRequestId"]),
    ];
    ended.assert_server(&gateway, call.port, &expected);

    gateway.sandbox.release("213213");
    let tree = Tree::of(gateway.wait_for_spans(2).await);
    assert_eq!(tree.server, ended.server);
    assert_eq!(tree.client().status, Status::Unset);
    let outcome = "incidentgate.action.outcome=text:STARTED";
    assert!(attributes(&tree.client().attributes).contains(outcome));
}
