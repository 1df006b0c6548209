//! The spans of one call, and what they have in common with those of every other.

use std::collections::BTreeSet;

use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::trace::SpanData;

use super::Gateway;

/// `url.template`.
pub(crate) const TEMPLATE: &str = "/security/incidentTasks/{incidentTaskId}/executeResponseAction";
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
}

/// The attributes of every server span of the action, and `own`.
pub(crate) fn on_server(gateway: &Gateway, caller_port: u16, own: &[&str]) -> BTreeSet<String> {
    let common = [
        "rpc.system.name=text:grpc".to_owned(),
        "server.address=text:127.0.0.1".to_owned(),
        format!("server.port=int:{}", gateway.addr.port()),
        "network.peer.address=text:127.0.0.1".to_owned(),
        format!("network.peer.port=int:{caller_port}"),
    ];
    let own = own.iter().map(|&pair| pair.to_owned());
    common.into_iter().chain(own).collect()
}

/// The attributes of every client span, and `own`.
pub(crate) fn on_client(gateway: &Gateway, own: &[&str]) -> BTreeSet<String> {
    let common = [
        "http.request.method=text:POST".to_owned(),
        format!("url.full=text:{}{TEMPLATE}", gateway.sandbox.graph_url()),
        format!("url.template=text:{TEMPLATE}"),
        "server.address=text:127.0.0.1".to_owned(),
        format!("server.port=int:{}", gateway.sandbox.addr().port()),
    ];
    let own = own.iter().map(|&pair| pair.to_owned());
    common.into_iter().chain(own).collect()
}
