//! Server reflection: tools find the service without its proto files.

use futures_util::{StreamExt as _, stream};
use prost::Message as _;
use prost_types::FileDescriptorProto;
use tonic::Code;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_request::MessageRequest,
};

use crate::support::{Gateway, Wire, frame, head, within};

const SERVICE: &str = "incidentgate.v1.IncidentTaskService";
const SERVICES: [&str; 2] = ["grpc.health.v1.Health", SERVICE];

/// The same questions to one version of the protocol, whose types have the same names.
macro_rules! describes_itself {
    ($version:ident, $gateway:expr) => {{
        use tonic_reflection::pb::$version::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };
        let mut client = ServerReflectionClient::new($gateway.channel().await);
        let ask = |question| ServerReflectionRequest {
            host: String::new(),
            message_request: Some(question),
        };
        let questions = [
            MessageRequest::ListServices(String::new()),
            MessageRequest::FileContainingSymbol(SERVICE.to_owned()),
            MessageRequest::FileContainingSymbol(
                "incidentgate.v1.ExecuteResponseActionRequest".to_owned(),
            ),
            MessageRequest::FileByFilename(
                "incidentgate/v1/incident_task_service.proto".to_owned(),
            ),
            MessageRequest::FileContainingSymbol("no.such.Symbol".to_owned()),
        ];
        let mut answers = within(client.server_reflection_info(stream::iter(questions.map(ask))))
            .await
            .unwrap()
            .into_inner();
        let listed = within(answers.next()).await.unwrap().unwrap();
        let Some(MessageResponse::ListServicesResponse(list)) = listed.message_response else {
            panic!("{listed:?}");
        };
        let names: Vec<_> = list.service.into_iter().map(|found| found.name).collect();
        for service in SERVICES {
            assert!(names.iter().any(|name| name == service), "{names:?}");
        }
        for _ in 0..3 {
            let described = within(answers.next()).await.unwrap().unwrap();
            let Some(MessageResponse::FileDescriptorResponse(files)) = described.message_response
            else {
                panic!("{described:?}");
            };
            let files: Vec<_> = files
                .file_descriptor_proto
                .iter()
                .map(|file| FileDescriptorProto::decode(&file[..]).unwrap())
                .collect();
            let service = files
                .iter()
                .flat_map(|file| &file.service)
                .find(|service| service.name() == "IncidentTaskService")
                .expect("the service is described");
            assert!(
                service
                    .method
                    .iter()
                    .any(|method| method.name() == "ExecuteResponseAction")
            );
        }
        let end = within(answers.next()).await.unwrap();
        assert_eq!(end.unwrap_err().code(), Code::NotFound);
    }};
}

#[tokio::test]
async fn the_service_describes_itself_in_both_versions() {
    let mut gateway = Gateway::start().await;
    describes_itself!(v1, gateway);
    describes_itself!(v1alpha, gateway);
    gateway.stop().await;
}

#[tokio::test]
async fn it_can_be_switched_off() {
    let mut gateway = Gateway::builder()
        .with("server.reflection", "false")
        .start()
        .await;
    let mut client =
        tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient::new(
            gateway.channel().await,
        );
    let status = within(client.server_reflection_info(stream::iter([])))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    let mut client =
        tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient::new(
            gateway.channel().await,
        );
    let status = within(client.server_reflection_info(stream::iter([])))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    // The service itself is there.
    gateway.execute("213213").await.unwrap();
    gateway.stop().await;
}

#[tokio::test]
async fn streams_whose_answers_nobody_reads_hold_no_other_up() {
    let mut gateway = Gateway::start().await;
    // Their answers must not fill the connection, or the peer would hold itself up.
    let mut wire = Wire::connect_with_window(gateway.addr, 1024).await;
    let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let asked = ServerReflectionRequest {
        host: "h".repeat(16 * 1024),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut unread = Vec::new();
    for _ in 0..4 {
        let mut sent = wire.begin(head(reflection, &[])).await;
        for _ in 0..128 {
            sent.data(frame(&asked.encode_to_vec()), false);
        }
        unread.push(sent);
    }
    // By the last of these, all has been sent that the windows allow.
    for _ in 0..100 {
        let call = wire.execute("unknown", &[]).await.answer().await.unwrap();
        assert_eq!(call.grpc_status().code(), Code::NotFound);
    }
    gateway.stop().await;
}
