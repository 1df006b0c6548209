"""A collector of traces: OTLP over gRPC and over HTTP, and Zipkin's JSON over HTTP, on ports of the operating system's
choice."""

import base64
import gzip
import http.server
import json
import threading
from concurrent import futures
from dataclasses import dataclass

import grpc
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as otlp_grpc
from opentelemetry.proto.trace.v1 import trace_pb2


@dataclass(frozen=True, eq=False)
class Span:
    """What both formats say about a span; ids are hexadecimal, that of a trace has 32 digits."""

    trace: str
    id: str
    parent: str
    service: str
    kind: str
    name: str
    attributes: dict
    start: int
    is_error: bool
    # Everything that was sent, its resource included.
    text: str

    def __str__(self):
        return f"{self.service} {self.kind}"


class Collector:
    """Keeps all that it is sent."""

    def __init__(self, running):
        self.spans = []
        server = grpc.server(futures.ThreadPoolExecutor(4))
        otlp_grpc.add_TraceServiceServicer_to_server(Service(self), server)
        self.grpc_port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        running.callback(server.stop, None)
        web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        web.collector = self
        self.http_port = web.server_port
        threading.Thread(target=web.serve_forever, daemon=True).start()
        running.callback(web.shutdown)

    def trace(self, trace):
        """The trace's spans so far."""
        return [span for span in list(self.spans) if span.trace == trace]

    def receive(self, export):
        for of_resource in export.resource_spans:
            resource = attributes(of_resource.resource)
            for scope in of_resource.scope_spans:
                self.spans += [from_otlp(span, resource) for span in scope.spans]

    def receive_zipkin(self, spans):
        self.spans += map(from_zipkin, spans)


class Service(otlp_grpc.TraceServiceServicer):
    """OTLP over gRPC."""

    def __init__(self, collector):
        self.collector = collector

    def Export(self, request, context):
        self.collector.receive(request)
        return otlp.ExportTraceServiceResponse()


class Handler(http.server.BaseHTTPRequestHandler):
    """OTLP and Zipkin over HTTP."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        length = self.headers["Content-Length"]
        body = self.rfile.read(int(length)) if length else self.chunks()
        if self.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        status = 200
        if self.path == "/v1/traces":
            is_json = self.headers["Content-Type"] == "application/json"
            read = from_json if is_json else otlp.ExportTraceServiceRequest.FromString
            self.server.collector.receive(read(body))
        elif self.path == "/api/v2/spans":
            self.server.collector.receive_zipkin(json.loads(body))
        else:
            status = 404
        self.send_response(status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def chunks(self):
        """A body of unknown length, as Envoy sends it: RFC 9112, section 7.1."""
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, *_):
        """Not on the terminal."""


def from_json(body):
    """OTLP's JSON has ids in hexadecimal, where that of Protobuf has bytes in Base64."""

    def encoded(of):
        for key in of.keys() & {"traceId", "spanId", "parentSpanId"}:
            of[key] = base64.b64encode(bytes.fromhex(of[key])).decode()
        return of

    return json_format.ParseDict(json.loads(body, object_hook=encoded), otlp.ExportTraceServiceRequest())


def from_otlp(span, resource):
    return Span(
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        service=resource["service.name"],
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        name=span.name,
        attributes=attributes(span),
        start=span.start_time_unix_nano,
        is_error=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        text=f"{resource} {span}",
    )


def from_zipkin(span):
    return Span(
        trace=span["traceId"].rjust(32, "0"),
        id=span["id"],
        # Both sides of a call may have the same id: then the server's span is the child of the client's.
        parent=span["id"] if span.get("shared") else span.get("parentId", ""),
        service=span["localEndpoint"]["serviceName"],
        kind=span["kind"],
        name=span["name"],
        attributes=span["tags"],
        start=1000 * span["timestamp"],
        is_error="error" in span["tags"],
        text=str(span),
    )


def attributes(of):
    return {pair.key: value(pair.value) for pair in of.attributes}


def value(any_value):
    kind = any_value.WhichOneof("value")
    if kind == "array_value":
        return [value(each) for each in any_value.array_value.values]
    return getattr(any_value, kind) if kind else None
