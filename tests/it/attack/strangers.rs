//! What is open to strangers, and what they may not reach through it.

use bytes::Bytes;
use prost::Message as _;
use tonic::Code;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_request::MessageRequest,
};

use super::{EXTRA, Fort};
use crate::support::{RawCall, frame, head};

/// What names the service's description in an answer.
const DESCRIBED: &[u8] = b"IncidentTaskService";

async fn ask(fort: &Fort, path: &str, authorization: Option<&str>, body: Bytes) -> RawCall {
    let mut request = head(path, &[]);
    request.headers_mut().remove("authorization");
    if let Some(authorization) = authorization {
        let value = authorization.parse().unwrap();
        request.headers_mut().insert("authorization", value);
    }
    let mut wire = fort.wire().await;
    let mut sent = wire.begin(request).await;
    sent.data(body, true);
    sent.answer().await.unwrap()
}

#[tokio::test]
async fn who_may_not_use_reflection_learns_nothing_by_any_of_its_names() {
    let policy = &[("INCIDENTGATE_POLICY__REFLECTION", "role:Admin")];
    let fort = Fort::with(policy).await.besieged().await;
    let question = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let question = frame(&question.encode_to_vec());
    let bearer = fort.bearer();
    for version in ["v1", "v1alpha"] {
        let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
        let stranger = ask(&fort, &path, None, question.clone()).await;
        Fort::assert_nobody(&stranger, &path);
        let other = ask(&fort, &path, Some(&bearer), question.clone())
            .await
            .error();
        assert_eq!(
            (other.code, &*other.reason),
            (Code::PermissionDenied, "CALLER_NOT_ALLOWED")
        );
        for path in [
            format!("/{path}"),
            format!("{path}/"),
            format!("{path}//"),
            path.replace('g', "%67"),
            path.replace("/Server", "/%53erver"),
            path.to_ascii_lowercase(),
            format!("/grpc.health.v1.Health/..{path}"),
            format!("/grpc.health.v1.Health{path}"),
            format!("/x/..{path}"),
            format!("{path};x"),
            format!("{path}?x"),
        ] {
            for authorization in [None, Some(bearer.as_str())] {
                let call = ask(&fort, &path, authorization, question.clone()).await;
                assert_ne!(call.grpc_status().code(), Code::Ok, "{path}");
                let told = call
                    .body
                    .windows(DESCRIBED.len())
                    .any(|part| part == DESCRIBED);
                assert!(!told, "{path}");
            }
        }
    }
    fort.stands(EXTRA).await;
}

#[tokio::test]
async fn health_needs_no_credential_and_minds_none() {
    let fort = Fort::start().await.besieged().await;
    for authorization in [None, Some("Bearer nonsense"), Some("")] {
        for method in ["Check", "List"] {
            let path = format!("/grpc.health.v1.Health/{method}");
            let call = ask(&fort, &path, authorization, frame(b"")).await;
            assert_eq!(call.grpc_status().code(), Code::Ok, "{method}");
        }
    }
    fort.stands(EXTRA).await;
}
