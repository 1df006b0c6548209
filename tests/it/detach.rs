//! A caller who leaves: what has left goes on, what has not left never will.

use std::time::Duration;

use incidentgate::sandbox::Fault;
use opentelemetry::trace::SpanKind;

use tokio::net::TcpStream;

use crate::support::{
    Authority, EXECUTE, Gateway, Stub, Valve, Wire, answer, execute_message, head, request, stub,
    within,
};

const ID: &str = "213213";
const ANSWERED: &str = "an action was answered after its caller had left";
const LEFT: &str = "the caller left before the action was answered";

/// The ways to leave.
#[derive(Debug, Clone, Copy)]
enum Leaves {
    DropsTheCall,
    ResetsTheStream,
    ClosesTheConnection,
    LosesTheNetwork,
}

const LEAVES: [Leaves; 4] = [
    Leaves::DropsTheCall,
    Leaves::ResetsTheStream,
    Leaves::ClosesTheConnection,
    Leaves::LosesTheNetwork,
];

/// Calls, and leaves once `departed` has come true.
async fn call_and_leave(gateway: &Gateway, leaves: Leaves, departed: impl Future<Output = ()>) {
    match leaves {
        Leaves::DropsTheCall => {
            let mut client = gateway.client().await;
            tokio::select! {
                result = client.execute_response_action(request(ID)) => panic!("{result:?}"),
                () = within(departed) => {}
            }
        }
        Leaves::ResetsTheStream => {
            let mut wire = Wire::connect(gateway.addr).await;
            let sent = wire.execute(ID, &[]).await;
            within(departed).await;
            sent.reset();
            gateway.logged(LEFT).await;
            assert!(wire.is_open());
        }
        Leaves::ClosesTheConnection => {
            let mut wire = Wire::connect(gateway.addr).await;
            let _sent = wire.execute(ID, &[]).await;
            within(departed).await;
            wire.vanish().await;
        }
        Leaves::LosesTheNetwork => {
            let valve = Valve::to(gateway.addr).await;
            let mut wire = Wire::connect(valve.addr).await;
            let _sent = wire.execute(ID, &[]).await;
            within(departed).await;
            valve.cut().await;
        }
    }
    let line = gateway.logged(LEFT).await;
    assert!(line["trace_id"].is_string());
}

/// The outcome that the span of the one POST has.
fn outcome_in_span(gateway: &Gateway) -> String {
    let spans = gateway.spans();
    let attempts: Vec<_> = spans
        .iter()
        .filter(|span| span.span_kind == SpanKind::Client)
        .collect();
    assert_eq!(attempts.len(), 1, "{attempts:?}");
    let outcome = attempts[0]
        .attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == "incidentgate.action.outcome")
        .expect("the outcome is in the span");
    outcome.value.to_string()
}

#[tokio::test]
async fn a_post_that_has_left_is_finished_once_and_its_outcome_is_logged() {
    for http2 in ["false", "true"] {
        for leaves in LEAVES {
            let mut gateway = Gateway::single_attempts()
                .with("graph.http2_prior_knowledge", http2)
                .start()
                .await;
            gateway.sandbox.script(ID, [Fault::hold()]);
            call_and_leave(&gateway, leaves, gateway.sandbox.wait_for_posts(ID, 1)).await;
            assert_eq!(gateway.logged(LEFT).await["departed"], "yes");
            assert_eq!(gateway.sandbox.commits(ID), 0);

            gateway.sandbox.release(ID);
            let line = gateway.logged(ANSWERED).await;
            assert_eq!(line["outcome"], "STARTED", "{leaves:?}");
            assert!(line["graph_request_id"].is_string());
            assert!(line["trace_id"].is_string());
            assert_eq!(outcome_in_span(&gateway), "STARTED");
            assert_eq!(gateway.sandbox.posts(ID), 1, "{leaves:?}");
            assert_eq!(gateway.sandbox.commits(ID), 1);
            gateway.stop().await;
            assert_eq!(gateway.sandbox.posts(ID), 1, "{leaves:?}");
        }
    }
}

#[tokio::test]
async fn what_graph_makes_of_a_post_without_a_caller_is_logged_as_it_is() {
    for (fault, outcome, level) in [
        (Fault::hold(), "STARTED", "INFO"),
        (
            Fault::error(404, "notFound", "").held(),
            "NOT_STARTED",
            "WARN",
        ),
        (Fault::reset().committed().held(), "UNKNOWN", "WARN"),
        (Fault::hang().committed().held(), "UNKNOWN", "WARN"),
    ] {
        let mut gateway = Gateway::single_attempts()
            .with("graph.attempt_timeout", "1s")
            .start()
            .await;
        gateway.sandbox.script(ID, [fault]);
        let posted = gateway.sandbox.wait_for_posts(ID, 1);
        call_and_leave(&gateway, Leaves::ResetsTheStream, posted).await;
        gateway.sandbox.release(ID);
        let line = gateway.logged(ANSWERED).await;
        assert_eq!(line["outcome"], outcome);
        assert_eq!(line["level"], level);
        assert_eq!(outcome_in_span(&gateway), outcome);
        assert_eq!(gateway.sandbox.posts(ID), 1);
        gateway.stop().await;
    }
}

#[tokio::test]
async fn what_still_waits_for_a_connection_is_never_sent() {
    let authority = Authority::new();
    let ca_file = authority.file();
    for leaves in LEAVES {
        let acceptor = authority.acceptor("127.0.0.1", &[b"http/1.1"]);
        let (go, going) = tokio::sync::watch::channel(false);
        let stub = Stub::start(move |_, stream, heard| {
            let (acceptor, mut going) = (acceptor.clone(), going.clone());
            async move {
                going.wait_for(|go| *go).await.unwrap();
                // The handshake is finished only after the caller has left.
                if let Ok(mut tls) = acceptor.accept(stream).await {
                    while heard.request(&mut tls).await {
                        stub::no_content(&mut tls).await;
                    }
                }
            }
        })
        .await;
        let mut gateway = Gateway::single_attempts()
            .with_graph(stub.https_url())
            .with("graph.ca_file", ca_file.to_str().unwrap())
            .start()
            .await;
        call_and_leave(&gateway, leaves, stub.heard.connection(1)).await;
        assert_eq!(gateway.logged(LEFT).await["departed"], "never");

        // A later call goes through, and it is the only one that Graph ever sees.
        go.send(true).unwrap();
        gateway.execute("later").await.unwrap();
        assert_eq!(stub.heard.posts(), 1, "{leaves:?}");
        let heard = String::from_utf8(stub.heard.bytes()).unwrap();
        assert!(!heard.contains(ID), "{leaves:?}");
        gateway.stop().await;
        assert!(!gateway.log_text().contains(ANSWERED));
    }
}

#[tokio::test]
async fn an_attempt_without_a_caller_keeps_its_place_until_it_ends() {
    let mut gateway = Gateway::single_attempts()
        .with("server.max_in_flight", "1")
        .with("server.max_waiting", "0")
        .start()
        .await;
    for n in 1..=3 {
        gateway
            .sandbox
            .script(ID, [Fault::error(404, "notFound", "").held()]);
        let mut wire = Wire::connect(gateway.addr).await;
        let sent = wire.execute(ID, &[]).await;
        within(gateway.sandbox.wait_for_posts(ID, n)).await;
        sent.reset();
        // Else callers who leave early would pile up attempts without a limit.
        let refused = wire.execute("999", &[]).await.answer().await.unwrap();
        assert_eq!(refused.error().reason, "GATEWAY_OVERLOADED");
        gateway.sandbox.release(ID);
        gateway.logged_times(ANSWERED, n).await;
        let taken = wire.execute("999", &[]).await.answer().await.unwrap();
        assert_eq!(taken.error().reason, "NOT_FOUND");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_caller_who_leaves_before_anything_was_sent_gives_its_place_back() {
    let silent = Stub::start(|_, stream, _| async move {
        let _silent = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let mut gateway = Gateway::single_attempts()
        .with("server.max_in_flight", "1")
        .with_graph(silent.https_url())
        .start()
        .await;
    let mut wire = Wire::connect(gateway.addr).await;
    for n in 1..=3 {
        let sent = wire.execute(ID, &[]).await;
        within(silent.heard.connection(n)).await;
        sent.reset();
        gateway.logged_times(LEFT, n).await;
    }
    let unread = wire.begin(head(EXECUTE, &[])).await;
    unread.reset();
    let last = wire.execute(ID, &[("grpc-timeout", "50m")]).await;
    let error = last.answer().await.unwrap().error();
    assert_eq!(error.reason, "DEADLINE_EXCEEDED");
    gateway.stop().await;
}

#[tokio::test]
async fn a_caller_who_never_takes_its_answer_keeps_no_place() {
    let mut gateway = Gateway::single_attempts()
        .with("server.max_in_flight", "1")
        .with("drain.timeout", "300ms")
        .start()
        .await;
    let socket = TcpStream::connect(gateway.addr).await.unwrap();
    let (client, connection) = h2::client::Builder::new()
        .initial_window_size(0)
        .handshake(socket)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let (response, mut stream) = client.send_request(head(EXECUTE, &[]), false).unwrap();
    stream.send_data(execute_message(ID), true).unwrap();
    // The headers come, and the message finds no room.
    let _response = within(response).await.unwrap();
    let error = answer(&gateway.execute("999").await.unwrap_err());
    assert_eq!(error.reason, "NOT_FOUND");
    // Nor does it hold the drain up for longer than it may take.
    gateway.stop().await;
    connection.abort();
}

#[tokio::test]
async fn an_attempt_without_a_caller_ends_with_its_own_timeout() {
    let mut gateway = Gateway::single_attempts()
        .with("graph.attempt_timeout", "300ms")
        .start()
        .await;
    gateway.sandbox.script(ID, [Fault::hang()]);
    let mut client = gateway.client().await;
    let mut call = request(ID);
    call.set_timeout(Duration::from_millis(100));
    within(client.execute_response_action(call))
        .await
        .unwrap_err();
    assert_eq!(gateway.logged(ANSWERED).await["outcome"], "UNKNOWN");
    // The drain has nothing to wait for.
    gateway.stop().await;
    assert_eq!(gateway.sandbox.posts(ID), 1);
}
