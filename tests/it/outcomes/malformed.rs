//! Calls that end before their message is one.

use bytes::Bytes;
use tonic::Code;

use super::read;
use crate::support::{Contract, Gateway, RawCall, frame};

const MALFORMED: &str =
    "INVALID_ARGUMENT | INVALID_REQUEST (incidentgate) | NOT_STARTED | BadRequest";

#[tokio::test]
async fn every_violation_is_named_at_once() {
    let gateway = Gateway::start().await;
    let message = incidentgate::pb::ExecuteResponseActionRequest {
        incident_task_id: "x".repeat(257),
        client_request_id: "{a2f0b4a6-7d3c-4c5e-9a52-0f6f2f6d9d11}".to_owned(),
    };
    let call = RawCall::execute_message(&gateway, &message, &[]).await;
    read(&call);
    let details = tonic_types::StatusExt::get_error_details(&call.grpc_status());
    let violations = details.bad_request().unwrap().field_violations.iter();
    let fields: Vec<&str> = violations.map(|violation| &*violation.field).collect();
    assert_eq!(fields, ["incident_task_id", "client_request_id"]);
    assert_eq!(gateway.sandbox.journal().len(), 0);
}

#[tokio::test]
async fn what_is_no_message_starts_nothing_and_says_so() {
    let gateway = Gateway::start().await;
    for (what, bytes) in [
        ("no message", Bytes::new()),
        ("not a field", frame(b"\xff\xff\xff")),
        ("an id that is not UTF-8", frame(b"\x0a\x01\xff")),
        ("a message that is too large", frame(&vec![b'x'; 64 * 1024])),
        (
            "compressed, says nothing but the prefix",
            Bytes::from_static(b"\x01\0\0\0\x02xx"),
        ),
        ("half a prefix", Bytes::from_static(b"\0\0")),
    ] {
        let call = RawCall::send(&gateway, RawCall::request(&gateway), bytes).await;
        let row = read(&call).to_string();
        assert_eq!(row, MALFORMED, "{what}");
    }
    assert_eq!(gateway.sandbox.journal().len(), 0);
}

#[tokio::test]
async fn an_encoding_that_is_not_spoken_is_answered_with_those_that_are() {
    let gateway = Gateway::start().await;
    for encoding in ["snappy", &"x".repeat(8000)] {
        let headers = [("grpc-encoding", encoding)];
        let call = RawCall::execute(&gateway, "213213", &headers).await;
        let contract: Contract = read(&call);
        assert_eq!(contract.code, Code::Unimplemented);
        let spoken = call.block()["grpc-accept-encoding"].to_str().unwrap();
        assert!(spoken.contains("gzip"), "{spoken}");
    }
    assert_eq!(gateway.sandbox.journal().len(), 0);
}
