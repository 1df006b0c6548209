//! The spans of one call, and what they have in common with those of every other.

use std::collections::BTreeSet;

use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::trace::SpanData;

use super::{Gateway, attributes};

/// The trace of a caller, its span, and how it sends both.
pub(crate) const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
pub(crate) const CALLER: &str = "b7ad6b7169203331";
pub(crate) const TRACEPARENT: (&str, &str) = (
    "traceparent",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
);

/// `url.template`.
const TEMPLATE: &str = "/security/incidentTasks/{incidentTaskId}/executeResponseAction";
const ATTEMPT: &str = "POST /security/incidentTasks/{incidentTaskId}/executeResponseAction";

/// The spans of one call.
pub(crate) struct Tree {
    pub(crate) server: SpanData,
    pub(crate) client: Option<SpanData>,
}

impl Tree {
    /// The only call's spans. Checks all that the spans of every call have in common.
    #[track_caller]
    pub(crate) fn of(spans: Vec<SpanData>) -> Self {
        for span in &spans {
            assert!(span.events.is_empty(), "{span:?}");
            assert!(span.links.is_empty(), "{span:?}");
            assert_eq!(span.dropped_attributes_count, 0);
            assert!(span.span_context.is_sampled());
            assert!(span.start_time <= span.end_time);
        }
        let (mut servers, mut clients): (Vec<_>, Vec<_>) = spans
            .into_iter()
            .partition(|span| span.span_kind == SpanKind::Server);
        let server = servers.pop().expect("a server span");
        let client = clients.pop();
        assert!(servers.is_empty() && clients.is_empty(), "more spans");
        if let Some(client) = &client {
            assert_eq!(client.span_kind, SpanKind::Client);
            assert_eq!(client.name, ATTEMPT);
            assert_eq!(client.parent_span_id, server.span_context.span_id());
            assert!(!client.parent_span_is_remote);
            let trace = server.span_context.trace_id();
            assert_eq!(client.span_context.trace_id(), trace);
        }
        Self { server, client }
    }

    pub(crate) fn client(&self) -> &SpanData {
        self.client.as_ref().expect("a client span")
    }

    /// The server span belongs to the caller of [`TRACEPARENT`].
    #[track_caller]
    pub(crate) fn assert_from_caller(&self) {
        let server = &self.server;
        assert_eq!(server.span_context.trace_id().to_string(), TRACE);
        assert_eq!(server.parent_span_id.to_string(), CALLER);
        assert!(server.parent_span_is_remote);
    }

    /// The server span has what every one has, these attributes, and no others.
    #[track_caller]
    pub(crate) fn assert_server(&self, gateway: &Gateway, caller_port: u16, own: &[&str]) {
        let common = [
            "rpc.system.name=text:grpc".to_owned(),
            "server.address=text:127.0.0.1".to_owned(),
            format!("server.port=int:{}", gateway.addr.port()),
            "network.peer.address=text:127.0.0.1".to_owned(),
            format!("network.peer.port=int:{caller_port}"),
        ];
        assert_attributes(&self.server, common, own);
    }

    /// The same of the client span, and of a request to the gateway's sandbox.
    #[track_caller]
    pub(crate) fn assert_client(&self, gateway: &Gateway, own: &[&str]) {
        let sandbox = &gateway.sandbox;
        self.assert_client_to(&sandbox.graph_url(), sandbox.addr().port(), own);
    }

    /// The same of a request to any Graph on this machine.
    #[track_caller]
    pub(crate) fn assert_client_to(&self, graph: &str, port: u16, own: &[&str]) {
        let common = [
            "http.request.method=text:POST".to_owned(),
            format!("url.full=text:{graph}{TEMPLATE}"),
            format!("url.template=text:{TEMPLATE}"),
            "server.address=text:127.0.0.1".to_owned(),
            format!("server.port=int:{port}"),
        ];
        assert_attributes(self.client(), common, own);
    }
}

#[track_caller]
fn assert_attributes(span: &SpanData, common: [String; 5], own: &[&str]) {
    let own = own.iter().map(|&pair| pair.to_owned());
    let expected: BTreeSet<_> = common.into_iter().chain(own).collect();
    assert_eq!(attributes(&span.attributes), expected);
}
