//! What calls cost that hang: the real binary, measured from outside.

use tonic::Code;

use crate::support::{Crowd, Hanging, Wire, program::Server, within};

const CALLS: usize = 10_000;
/// So many calls come at once; the others, when these have reached Graph. So none is
/// late because the machine is slow.
const TOGETHER: usize = 250;
/// What one hanging call may cost, all told: two HTTP/2 streams, two spans, the call
/// itself. Measured: 24 to 28 KiB, optimized or not.
const MAX_KIB_PER_CALL: usize = 40;

#[tokio::test]
async fn ten_thousand_calls_that_hang_cost_little_and_leave_nothing_behind() {
    let graph = Hanging::start().await;
    let places = CALLS.to_string();
    let server = Server::before_graph(
        &graph.url(),
        &[
            ("INCIDENTGATE_SERVER__MAX_IN_FLIGHT", &places),
            ("INCIDENTGATE_SERVER__MAX_WAIT", "1h"),
            ("INCIDENTGATE_GRAPH__HTTP2_PRIOR_KNOWLEDGE", "true"),
            // The line that names the port, and no line for each call.
            ("INCIDENTGATE_LOG__FILTER", "error,incidentgate::cli=info"),
        ],
    );
    let mut crowd = Crowd::connect(server.addr, CALLS).await;
    let mut late = Wire::connect(server.addr).await;
    let before = server.program.resident_kib();
    let mut grown = Vec::new();
    for wave in 0..2 {
        let mut calls = Vec::new();
        while calls.len() < CALLS {
            calls.extend(crowd.call(TOGETHER, &[("grpc-timeout", "2M")]).await);
            // The late call is one more in each wave.
            graph.wait_for_posts(wave * (CALLS + 1) + calls.len()).await;
        }
        grown.push(server.program.resident_kib() - before);
        // All places are taken: this one waits.
        let call = late.execute("late", &[]).await;
        graph.open();
        for sent in calls.into_iter().chain([call]) {
            let call = within(sent.answer()).await.unwrap();
            assert_eq!(call.grpc_status().code(), Code::Ok);
        }
        assert_eq!(graph.posts(), (wave + 1) * (CALLS + 1));
        graph.shut();
    }
    let [first, second] = grown[..] else {
        panic!("{grown:?}");
    };
    assert!(first <= CALLS * MAX_KIB_PER_CALL, "{first} KiB");
    // A place that was lost would have kept the second wave from being complete.
    assert!(
        second <= first + first / 5,
        "{first} KiB, then {second} KiB"
    );
    server.program.signal("TERM");
    let ended = server.program.ended();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}
