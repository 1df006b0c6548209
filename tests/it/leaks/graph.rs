//! What Graph echoes of a token, and what callers send beside the message.
//!
//! Every secret of these tests holds [`MARK`], and so does everything that Graph echoes of it.

use incidentgate::sandbox::{End, Fault, Pace, Task};

use super::{LOUD, Marks, assert_nothing_leaked as nothing_leaked, told};
use crate::support::{Gateway, GatewayBuilder, RawCall, TOKEN, points, request, within};

const MARK: &str = "marked-as-secret";
const GATEWAY_TOKEN: &str = "gateway-token-marked-as-secret";
/// Held by spans, metrics, but not necessarily by log lines.
const TASK: &str = "marked-task-id";

/// Every way in which Graph can answer, with `token` wherever it can put one.
fn echoes(token: &str) -> Vec<Fault> {
    let sentence = format!("The token {token} is not good.");
    let page = format!("<html>{token}</html>");
    let drip = |then| Pace {
        chunk: 16,
        every: std::time::Duration::ZERO,
        then,
    };
    let headers = |fault: Fault| {
        fault
            .header("request-id", token)
            .header("client-request-id", token)
            .header("x-ms-ags-diagnostic", token)
            .header("Warning", &format!("199 - {token}/{token}/200/10"))
            .header("Warning", &format!("199 - \"{token}/provider/504/10\""))
            .header("WWW-Authenticate", &format!("Bearer claims=\"{token}\""))
    };
    let mut faults = vec![headers(Fault::default())];
    for status in [
        400, 401, 403, 404, 405, 409, 412, 418, 422, 429, 500, 501, 502, 503, 504, 507, 599,
    ] {
        faults.push(headers(Fault::error(status, token, &sentence)));
        faults.push(Fault::error(status, "someCode", &sentence).header("Retry-After", token));
        faults.push(headers(Fault::reply(status, page.clone())));
    }
    let inner = format!(
        r#"{{"error":{{"code":"badRequest","message":"{sentence}","innerError":{{"code":"{token}","request-id":"{token}","message":"{token}"}}}}}}"#
    );
    faults.extend([
        Fault::reply(400, inner),
        Fault::reply(200, page.clone()),
        headers(Fault::reply(200, format!("\"{token}\""))),
        Fault::reply(302, "").header("Location", &format!("http://127.0.0.1/?t={token}")),
        Fault::garbage(token),
        Fault::truncate(200, 1000, sentence.clone()),
        Fault::truncate(400, 1000, sentence.clone()),
        Fault::drip(500, sentence, drip(End::Break)),
        Fault::reset(),
        Fault::reset().committed(),
        Fault::close(),
    ]);
    faults
}

#[track_caller]
fn assert_nothing_leaked(gateway: &Gateway) {
    nothing_leaked(gateway, &Marks::of([MARK]));
    assert!(gateway.log_text().contains("call failed"));
    let spans = format!("{:?}", gateway.spans());
    assert!(!spans.contains(TASK), "{spans}");
    for point in points(&gateway.metrics()) {
        assert!(!point.contains(TASK), "{point}");
    }
}

fn builder() -> GatewayBuilder {
    Gateway::builder().with_log_filter(LOUD)
}

async fn start(builder: GatewayBuilder) -> Gateway {
    let gateway = builder.start().await;
    gateway.sandbox.put_task(Task::new(TASK));
    gateway
}

#[tokio::test]
async fn what_graph_echoes_of_the_token_goes_nowhere() {
    for (builder, token) in [
        (builder(), TOKEN),
        (builder().with_own_token(), GATEWAY_TOKEN),
    ] {
        let gateway = start(builder).await;
        let faults = echoes(token);
        for fault in faults {
            let shown = format!("{fault:?}");
            gateway.sandbox.script(TASK, [fault]);
            let call = RawCall::execute(&gateway, TASK, &[]).await;
            let told = told(&call);
            assert!(!told.contains(MARK), "{shown}\n{told}");
        }
        assert_nothing_leaked(&gateway);
    }
}

#[tokio::test]
async fn what_callers_send_beside_the_message_goes_nowhere() {
    let gateway = start(builder()).await;
    let bearer = format!("Bearer {TOKEN}");
    for headers in [
        &[("baggage", "user=baggage-marked-as-secret;p=1")][..],
        &[("authorization", "marked-as-secret")],
        &[("authorization", "marked-as-secret abc")],
        &[("authorization", "Basic marked-as-secret")],
        &[("authorization", "Bearer a marked-as-secret")],
        &[("grpc-timeout", "marked-as-secret")],
        &[("traceparent", "00-marked-as-secret-01")],
        &[("x-forwarded-for", "marked-as-secret")],
        &[("x-forwarded-client-cert", "URI=spiffe://marked-as-secret")],
        &[("cookie", "session=marked-as-secret")],
        &[("proxy-authorization", "Basic marked-as-secret")],
        &[("user-agent", "grpc-go/1 marked-as-secret")],
        &[("x-ms-client-principal", "marked-as-secret")],
        &[("grpc-timeout", "1n"), ("authorization", &bearer)],
    ] {
        let call = RawCall::execute(&gateway, TASK, headers).await;
        let told = told(&call);
        assert!(!told.contains(MARK), "{headers:?}\n{told}");
    }
    for id in ["", "..", "a\nmarked-as-secret"] {
        let call = RawCall::execute(&gateway, id, &[]).await;
        assert!(!told(&call).contains(MARK));
    }
    assert_nothing_leaked(&gateway);
}

#[tokio::test]
async fn calls_that_end_before_their_attempt_leak_nothing_either() {
    let gateway = start(builder()).await;
    let sentence = format!("The token {TOKEN} is not good.");
    let answers = [
        Fault::error(404, TOKEN, &sentence).held(),
        Fault::error(500, TOKEN, &sentence)
            .header("request-id", TOKEN)
            .held(),
    ];
    gateway.sandbox.script(TASK, answers);
    let mut client = gateway.client().await;
    let cancelled = async move {
        client
            .execute_response_action(request(TASK))
            .await
            .map(drop)
    };
    let cancelled = tokio::spawn(cancelled);
    within(gateway.sandbox.wait_for_posts(TASK, 1)).await;
    cancelled.abort();
    gateway.wait_for_spans(1).await;
    gateway.sandbox.release(TASK);
    gateway.wait_for_spans(2).await;

    let late = RawCall::execute(&gateway, TASK, &[("grpc-timeout", "1S")]).await;
    assert!(!told(&late).contains(MARK));
    gateway.sandbox.release(TASK);
    gateway.wait_for_spans(4).await;
    assert_nothing_leaked(&gateway);
}
