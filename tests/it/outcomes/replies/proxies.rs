//! Replies of what stands between the gateway and Graph.

use super::{Fixture, json, raw, reply};

const PAGE: &str = "<!DOCTYPE html><html><title>Sign in to the network</title></html>";

pub(super) fn fixtures() -> Vec<Fixture> {
    vec![
        reply("a captive portal's page", 200, PAGE)
            .with("Content-Type", "text/html; charset=utf-8")
            .is("UNKNOWN | UNEXPECTED_GRAPH_RESPONSE (incidentgate) | UNKNOWN | ")
            .hides("Sign in"),
        reply("a page that calls itself JSON", 200, PAGE)
            .with("Content-Type", "application/json")
            .is("UNKNOWN | UNEXPECTED_GRAPH_RESPONSE (incidentgate) | UNKNOWN | "),
        reply("a page for an accepted request", 202, "Accepted\n")
            .is("UNKNOWN | UNEXPECTED_GRAPH_RESPONSE (incidentgate) | UNKNOWN | "),
        reply("a page for a bad gateway", 502, "<html>502 Bad Gateway</html>")
            .is("UNKNOWN | HTTP_502 (graph.microsoft.com) | UNKNOWN | ")
            .hides("<html>"),
        reply("a mesh's local answer", 503, "upstream connect error or disconnect/reset before headers. reset reason: connection termination")
            .with("server", "envoy")
            .is("UNKNOWN | HTTP_503 (graph.microsoft.com) | UNKNOWN | "),
        reply("a front door's overload", 503, PAGE)
            .with("Retry-After", "7")
            .is("UNAVAILABLE | GRAPH_UNAVAILABLE (graph.microsoft.com) | NOT_STARTED | RetryInfo 7s"),
        reply("an overload until a date long ahead", 503, "")
            .with("Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT")
            .is("UNAVAILABLE | GRAPH_UNAVAILABLE (graph.microsoft.com) | NOT_STARTED | RetryInfo 3600s"),
        reply("an overload with a time that nobody can read", 503, "")
            .with("Retry-After", "1.5")
            .is("UNKNOWN | HTTP_503 (graph.microsoft.com) | UNKNOWN | "),
        reply("throttled until a date that has passed", 429, "")
            .with("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT")
            .is("RESOURCE_EXHAUSTED | GRAPH_THROTTLED (graph.microsoft.com) | NOT_STARTED | QuotaFailure, RetryInfo 0ns"),
        reply("throttled for longer than numbers go", 429, "")
            .with("Retry-After", "99999999999999999999")
            .is("RESOURCE_EXHAUSTED | GRAPH_THROTTLED (graph.microsoft.com) | NOT_STARTED | QuotaFailure, RetryInfo 3600s"),
        reply("the client gave up, says nginx", 499, "")
            .is("UNKNOWN | HTTP_499 (graph.microsoft.com) | UNKNOWN | "),
        reply("the client gave up, says a load balancer", 460, "")
            .is("UNKNOWN | HTTP_460 (graph.microsoft.com) | UNKNOWN | "),
        reply("a status that nobody has registered", 599, "")
            .is("UNKNOWN | HTTP_599 (graph.microsoft.com) | UNKNOWN | "),
        reply("a status beyond all classes", 777, "")
            .is("UNKNOWN | HTTP_777 (graph.microsoft.com) | UNKNOWN | "),
        reply("a teapot", 418, "")
            .is("INTERNAL | UNEXPECTED_GRAPH_RESPONSE (incidentgate) | NOT_STARTED | "),
        reply("a proxy wants to be logged in to", 407, "")
            .with("Proxy-Authenticate", "Basic realm=\"x\"")
            .is("INTERNAL | UNEXPECTED_GRAPH_RESPONSE (incidentgate) | NOT_STARTED | "),
        reply("headers that are too large for a proxy", 431, "")
            .is("INTERNAL | UNEXPECTED_GRAPH_RESPONSE (incidentgate) | NOT_STARTED | "),
        reply("moved for good", 301, "")
            .with("Location", "/beta/security/incidentTasks/213213/executeResponseAction")
            .is("INTERNAL | UNEXPECTED_GRAPH_RESPONSE (incidentgate) | NOT_STARTED | ")
            .hides("incidentTasks/"),
        reply("sent to log in", 302, PAGE)
            .with("Location", "https://login.example/?token=x")
            .is("INTERNAL | UNEXPECTED_GRAPH_RESPONSE (incidentgate) | NOT_STARTED | ")
            .hides("login.example"),
        reply("to be sent again elsewhere", 308, "")
            .with("Location", "/beta/security/incidentTasks/213215/executeResponseAction")
            .is("INTERNAL | UNEXPECTED_GRAPH_RESPONSE (incidentgate) | NOT_STARTED | "),
        reply("not modified", 304, "")
            .is("INTERNAL | UNEXPECTED_GRAPH_RESPONSE (incidentgate) | NOT_STARTED | "),
        json(
            "a gateway's error in another envelope",
            403,
            r#"{"statusCode":403,"message":"Access denied due to invalid subscription key."}"#,
        )
        .is("PERMISSION_DENIED | HTTP_403 (graph.microsoft.com) | NOT_STARTED | ")
        .hides("subscription"),
        raw(
            "early hints before the answer",
            "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 204 No Content\r\nrequest-id: late\r\n\r\n",
        )
        .is("OK late | "),
        raw(
            "a continuation that nobody asked for",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        )
        .is("NOT_FOUND | HTTP_404 (graph.microsoft.com) | NOT_STARTED | ResourceInfo"),
        raw("another protocol", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
            .is("UNKNOWN | HTTP_101 (graph.microsoft.com) | UNKNOWN | "),
        raw(
            "no content, and a length all the same",
            "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
        )
        .is("OK  | "),
        raw("a head that breaks off", "HTTP/1.1 204 No Content\r\nrequest-id: 4306")
            .is("UNKNOWN | GRAPH_RESPONSE_LOST (incidentgate) | UNKNOWN | "),
        raw(
            "two lengths that contradict each other",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
        )
        .is("UNKNOWN | GRAPH_RESPONSE_LOST (incidentgate) | UNKNOWN | "),
        raw(
            "chunks that are none",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        )
        .is("UNKNOWN | GRAPH_RESPONSE_LOST (incidentgate) | UNKNOWN | "),
        raw("the server speaks TLS", "\u{15}\u{3}\u{1}\u{0}\u{2}\u{2}(")
            .is("UNKNOWN | GRAPH_RESPONSE_LOST (incidentgate) | UNKNOWN | "),
    ]
}
