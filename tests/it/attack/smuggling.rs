//! Requests that mean one thing to whoever checks them and another to whoever acts. All
//! that are written frame by frame carry a good token, where a token is not the point: what
//! is malformed must start nothing for anybody.

use http::Request;
use incidentgate::pb::ExecuteResponseActionRequest;
use prost::Message as _;
use tonic::Code;

use super::{EXTRA, Fort, fort::TARGET, weight::request_with};
use crate::support::{
    Attacker, EXECUTE, execute_message, fields, frame as message_frame,
    frames::{DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, frame},
    head,
    valve::Frame,
};

/// What became of a request that was written by hand.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// HTTP's or gRPC's answer.
    Answered,
    /// `RST_STREAM`, or the end of the connection.
    Cut,
}

async fn send(fort: &Fort, block: &[u8], data: &[Vec<u8>]) -> End {
    let mut attacker = Attacker::connect(fort.addr()).await;
    let head = frame(HEADERS, END_HEADERS, 1, block);
    attacker.say(&[&head[..], &data.concat()].concat()).await;
    let is_end = |frame: &Frame| {
        let kinds = [HEADERS, RST_STREAM];
        frame.is_goaway() && frame.error() != 0 || frame.stream == 1 && kinds.contains(&frame.kind)
    };
    match attacker.hears(is_end).await {
        Some(end) if end.kind == HEADERS => End::Answered,
        _ => End::Cut,
    }
}

fn whole_message() -> Vec<Vec<u8>> {
    vec![frame(DATA, END_STREAM, 1, &execute_message(TARGET))]
}

/// The good caller's request with more fields.
async fn send_with(fort: &Fort, more: &[(&str, &[u8])]) -> End {
    let bearer = fort.bearer();
    let token = ("authorization", bearer.as_bytes());
    let block = fields(request_with(&[&[token], more].concat()));
    send(fort, &block, &whole_message()).await
}

/// Ways to write the method's path that somebody could take for it.
fn other_names() -> Vec<String> {
    let name = EXECUTE.trim_start_matches('/');
    vec![
        format!("//{name}"),
        format!("///{name}"),
        format!("/./{name}"),
        format!("/x/../{name}"),
        format!("/%2e/{name}"),
        format!("/%2f{name}"),
        format!("{EXECUTE}/"),
        format!("{EXECUTE}//"),
        format!("{EXECUTE};x"),
        format!("{EXECUTE}?x"),
        format!("{EXECUTE}?"),
        format!("{EXECUTE}%00"),
        format!("{EXECUTE}%20"),
        EXECUTE.replace('i', "%69"),
        EXECUTE.replace("/E", "%2fE"),
        EXECUTE.replace("Execute", "%45xecute"),
        EXECUTE.to_ascii_lowercase(),
        EXECUTE.to_ascii_uppercase(),
        format!("/grpc.health.v1.Health/../{name}"),
        format!("/grpc.health.v1.Health/{name}"),
        format!("/grpc.health.v1.Health{EXECUTE}"),
        format!("/grpc.reflection.v1.ServerReflection/..{EXECUTE}"),
        format!("/grpc.reflection.{name}"),
    ]
}

#[tokio::test]
async fn the_method_has_one_name_and_nobody_passes_under_another() {
    let fort = Fort::start().await.besieged().await;
    for path in other_names() {
        // Without a token, so that whoever gets through has passed the check.
        let uri = format!("http://gateway.test{path}");
        let mut request = Request::post(uri)
            .header("content-type", "application/grpc")
            .body(())
            .unwrap();
        let code = fort.send(request.clone()).await.grpc_status().code();
        let refusals = [Code::Unimplemented, Code::Unauthenticated];
        assert!(refusals.contains(&code), "{path}: {code:?}");
        // A caller who may gets no further, but by the name itself.
        if path.contains('?') {
            continue;
        }
        let bearer = fort.bearer().parse().unwrap();
        request.headers_mut().insert("authorization", bearer);
        let code = fort.send(request).await.grpc_status().code();
        assert_eq!(code, Code::Unimplemented, "{path}");
    }
    fort.stands(EXTRA).await;
}

#[tokio::test]
async fn what_is_no_path_leads_nowhere() {
    let fort = Fort::start().await.besieged().await;
    let bearer = fort.bearer();
    let name = EXECUTE.trim_start_matches('/');
    for path in [
        name,
        "",
        "*",
        &format!(" {EXECUTE}"),
        &format!("{EXECUTE} "),
        &format!("{EXECUTE}\0"),
        &format!("{EXECUTE}\r\nx: y"),
        &format!("http://gateway.test{EXECUTE}"),
        &format!("\\{name}"),
        &format!("{EXECUTE}#x"),
    ] {
        for authorization in [None, Some(("authorization", bearer.as_bytes()))] {
            // What a URL drops without harm, a caller who may may write.
            if path.ends_with("#x") && authorization.is_some() {
                continue;
            }
            let mut request = request_with(authorization.as_slice());
            request[3].1 = path.into();
            send(&fort, &fields(request), &whole_message()).await;
        }
    }
    fort.stands(EXTRA).await;
}

#[tokio::test]
async fn pseudo_headers_come_once_and_first() {
    let fort = Fort::start().await.besieged().await;
    let bearer = fort.bearer();
    let good = request_with(&[("authorization", bearer.as_bytes())]);
    let execute = EXECUTE.as_bytes().to_vec();
    let check = b"/grpc.health.v1.Health/Check".to_vec();
    let mut requests = Vec::new();
    for (what, at, field) in [
        ("a second path", 4, (":path", execute.clone())),
        ("a second path before", 3, (":path", check.clone())),
        ("a path behind", good.len(), (":path", execute)),
        ("a second method", 1, (":method", b"GET".to_vec())),
        (
            "a second authority",
            3,
            (":authority", b"evil.test".to_vec()),
        ),
        ("an answer's", 4, (":status", b"200".to_vec())),
        ("an unknown one", 4, (":x", b"y".to_vec())),
        ("a regular one before", 0, ("x", b"y".to_vec())),
        ("a protocol", 4, (":protocol", b"websocket".to_vec())),
    ] {
        let mut request = good.clone();
        request.insert(at, field);
        requests.push((what, request));
    }
    for (what, at) in [("no method", 0), ("no scheme", 1), ("no path", 3)] {
        let mut request = good.clone();
        request.remove(at);
        requests.push((what, request));
    }
    for (what, request) in requests {
        let end = send(&fort, &fields(request), &whole_message()).await;
        assert_eq!(end, End::Cut, "{what}");
    }
    // Whom a request is sent to is no proof of anything.
    for (authority, host) in [("evil.test", "gateway.test"), ("gateway.test", "evil.test")] {
        let mut request = head(EXECUTE, &[("host", host)]);
        *request.uri_mut() = format!("http://{authority}{EXECUTE}").parse().unwrap();
        Fort::assert_nobody(&fort.send(request).await, host);
    }
    fort.stands(EXTRA).await;
}

#[tokio::test]
async fn bytes_that_another_protocol_would_cut_at_cut_the_request() {
    let fort = Fort::start().await.besieged().await;
    for (name, value) in [
        ("x", &b"a\r\nauthorization: Bearer x"[..]),
        ("x", b"a\rb"),
        ("x", b"a\nb"),
        ("x", b"a\0b"),
        ("x", b"\x7f"),
        ("x\r\ny", b"z"),
        ("x y", b"z"),
        ("x:", b"z"),
        ("", b"z"),
        ("X-Upper", b"z"),
        ("Authorization", b"Bearer x"),
        ("te", b"gzip"),
        ("te", b"trailers, deflate"),
        ("connection", b"close"),
        ("keep-alive", b"timeout=5"),
        ("proxy-connection", b"close"),
        ("transfer-encoding", b"chunked"),
        ("upgrade", b"h2c"),
    ] {
        let end = send_with(&fort, &[(name, value)]).await;
        assert_eq!(end, End::Cut, "{name:?}: {}", value.escape_ascii());
    }
    // A second token, however it is spelled.
    let bearer = fort.bearer();
    assert_eq!(
        send_with(&fort, &[("authorization", bearer.as_bytes())]).await,
        End::Answered
    );
    // In the message itself, where it would become a header of Graph's.
    for client_request_id in ["a\r\nx: y", "a\nb", "a\0b", "{x}\r\n", "\u{85}"] {
        let message = ExecuteResponseActionRequest {
            incident_task_id: TARGET.to_owned(),
            client_request_id: client_request_id.to_owned(),
        };
        let mut wire = fort.wire().await;
        let mut sent = wire
            .begin(head(EXECUTE, &[("authorization", &bearer)]))
            .await;
        sent.data(message_frame(&message.encode_to_vec()), true);
        let error = sent.answer().await.unwrap().error();
        assert_eq!(
            (error.code, &*error.reason),
            (Code::InvalidArgument, "INVALID_REQUEST")
        );
        assert_eq!(error.outcome, "NOT_STARTED");
    }
    fort.stands(EXTRA).await;
}

#[tokio::test]
async fn a_length_that_is_a_lie_starts_nothing() {
    let fort = Fort::start().await.besieged().await;
    let message = execute_message(TARGET);
    let bearer = fort.bearer();
    let whole = frame(DATA, END_STREAM, 1, &message);
    let open = [frame(DATA, 0, 1, &message), frame(DATA, END_STREAM, 1, b"")];
    for length in [
        "0",
        "1",
        "12",
        "14",
        "1000",
        "99999999999999999999",
        "-1",
        "x",
        "0x0d",
        "13,13",
        "+13",
        "",
    ] {
        for data in [&[whole.clone()][..], &open] {
            let more = [
                ("authorization", bearer.as_bytes()),
                ("content-length", length.as_bytes()),
            ];
            let block = fields(request_with(&more));
            let end = send(&fort, &block, data).await;
            assert_eq!(end, End::Cut, "{length}");
        }
    }
    // Two lengths of which one is true.
    for lengths in [["13", "12"], ["12", "13"]] {
        let [one, two] = lengths.map(|length| ("content-length", length.as_bytes()));
        let end = send_with(&fort, &[one, two]).await;
        assert_eq!(end, End::Cut, "{lengths:?}");
    }
    assert_eq!(message.len(), 13);
    fort.stands(EXTRA).await;
}
