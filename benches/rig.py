"""What is measured and what it needs: Graph (an nginx), a collector, gateways and Envoys, each on its own core."""

import contextlib
import importlib.resources
import json
import os
import pathlib
import socket
import string
import sys
from dataclasses import dataclass

from google.api import annotations_pb2
from google.protobuf import descriptor_pb2
from grpc_tools import protoc

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT / "tests" / "python"))

from certificates import Authority, Certificate  # noqa: E402
from processes import Envoy, Process, cluster, http, socket_address, until  # noqa: E402

PATH = "/incidentgate.v1.IncidentTaskService/ExecuteResponseAction"
GRAPH_PATH = "/beta/security/incidentTasks/{incident_task_id}/executeResponseAction"
REFUSAL = (
    '{"error":{"code":"ActionAlreadyInProgress","message":"Response action is already in progress.",'
    '"innerError":{"date":"2023-09-04T06:57:56","request-id":"43064123-b43a-4df8-a4d1-30660b99ac76",'
    '"client-request-id":"5451e97f-24d2-236a-1731-1e0de686464c"}}}'
)
UPSTREAMS = ["HTTP/2", "HTTP/1.1", "TLS"]
GATEWAY = os.environ.get("GATEWAY") or ROOT / "target" / "pgo" / "incidentgate"
# So many spans are exported at once by both: the gateway's default, as OpenTelemetry's specification has it.
BATCH = 512
# So long a span waits for others at most, in both, so that those of one measurement are sent before the next.
FLUSH_MS = 250

# The measured process has a core for itself, and everything else shares another.
OTHERS, *_, MEASURED = sorted(os.sched_getaffinity(0))


def pinned(core, *command):
    return ["taskset", "-c", str(core), *command]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Graph(Process):
    """An nginx that answers 204 about the task 213213, and 400 about 213215."""

    def __init__(self, running, folder):
        self.ports = {upstream: free_port() for upstream in UPSTREAMS}
        self.authority = Authority(folder / "nginx-certificates")
        certificate, key = self.authority.issue("graph", Certificate(common_name="graph"), addresses=["127.0.0.1"])
        http2, http1, tls = self.ports.values()
        values = {"http2": http2, "http1": http1, "tls": tls, "refusal": REFUSAL}
        values |= {"folder": folder, "certificate": certificate, "key": key}
        template = string.Template((HERE / "nginx.conf").read_text())
        config = folder / "nginx.conf"
        config.write_text(template.safe_substitute(values))
        super().__init__(running, folder / "nginx.log", *pinned(OTHERS, "nginx", "-e", "stderr", "-c", config))
        for port in self.ports.values():
            until(f"nginx on port {port}", lambda port=port: is_open(port))

    def url(self, upstream):
        scheme = "https" if upstream == "TLS" else "http"
        return f"{scheme}://127.0.0.1:{self.ports[upstream]}/beta"


def is_open(port):
    """Whether somebody listens there."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    except ConnectionRefusedError:
        return False


class Peer(Process):
    """A program of `peers/`."""

    def __init__(self, running, folder, core, name, *options):
        binary = ROOT / "target" / "release" / "peers"
        super().__init__(running, folder / f"{name}.log", *pinned(core, binary, name, *options))
        self.port = int(self.says(r"listening on 127.0.0.1:(\d+)")[1])
        self.address = f"http://127.0.0.1:{self.port}"
        self.pid = self.child.pid


class Collector(Peer):
    """Counts the spans that it is sent."""

    def __init__(self, running, folder):
        super().__init__(running, folder, OTHERS, "collector")

    def spans(self):
        return int(http("GET", f"{self.address}/spans"))


class SlowGraph(Peer):
    """Answers after so many milliseconds, or never."""

    def __init__(self, running, folder, *options):
        super().__init__(running, folder, OTHERS, "graph", *options)

    def url(self, upstream):
        assert upstream == "HTTP/2"
        return f"{self.address}/beta"

    def received(self):
        """The requests that have come, but for those that were answered."""
        return int(http("GET", f"{self.address}/requests"))


def cpu(pid):
    """Seconds of processor time so far, of all threads that there are, in user and in kernel mode."""
    used = 0
    for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # one that has just ended
            used += int((thread / "schedstat").read_text().split()[0])
    return used / 1e9


def rss(pid):
    """Bytes of resident memory."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)


@dataclass(frozen=True)
class Tracing:
    """How many of the calls are traced."""

    name: str
    share: float


UNTRACED = Tracing("untraced", 0.0)
ONE_PERCENT = Tracing("1 % sampled", 0.01)
TRACED = Tracing("100 % traced", 1.0)


class Gateway(Process):
    """`incidentgate serve` with everything on that is on by default, and the audit log in a file, without fsync."""

    def __init__(self, running, folder, graph, upstream, tracing, collector, name="gateway", **more):
        folder = folder / f"{name} {upstream} {tracing.name}".replace("/", "")
        folder.mkdir()
        environment = {
            "INCIDENTGATE_SERVER__LISTEN": "127.0.0.1:0",
            "INCIDENTGATE_GRAPH__URL": graph.url(upstream),
            "INCIDENTGATE_AUDIT__SINK": "file",
            "INCIDENTGATE_AUDIT__FILE": str(folder / "audit.jsonl"),
            "INCIDENTGATE_AUDIT__FSYNC": "interval",
            "INCIDENTGATE_AUDIT__FSYNC_INTERVAL": "1h",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.address,
            "OTEL_BSP_SCHEDULE_DELAY": str(FLUSH_MS),
            **more,
        }
        if upstream == "HTTP/2":
            environment["INCIDENTGATE_GRAPH__HTTP2_PRIOR_KNOWLEDGE"] = "true"
        if upstream == "TLS":
            environment["INCIDENTGATE_GRAPH__CA_FILE"] = str(graph.authority.file)
        if tracing.share == 0:
            environment["OTEL_TRACES_EXPORTER"] = "none"
        else:
            environment["OTEL_TRACES_SAMPLER"] = "parentbased_traceidratio"
            environment["OTEL_TRACES_SAMPLER_ARG"] = str(tracing.share)
        super().__init__(running, folder / "log", *pinned(MEASURED, GATEWAY, "serve"), **environment)
        self.port = int(self.says(r'"listen":"[^"]+:(\d+)"')[1])
        self.pid = self.child.pid


class EnvoyGateway(Envoy):
    """Envoy with its reverse transcoder."""

    def __init__(self, running, folder, graph, upstream, tracing, collector):
        folder = folder / f"envoy {upstream} {tracing.name}".replace("/", "")
        folder.mkdir()
        clusters = [upstream_cluster(graph, upstream), cluster("collector", [socket_address(collector.port)])]
        # A server's span and a client's, as the gateway has.
        spans = {"random_sampling": {"value": 100 * tracing.share}, "spawn_upstream_span": True, "provider": TRACER}
        wanted = spans if tracing.share else None
        filled = {
            "tracing": json.dumps(wanted),
            "descriptors": json.dumps(str(descriptors(folder))),
            "batch": BATCH,
            "flush": FLUSH_MS,
        }
        super().__init__(running, folder, HERE / "envoy.yaml", {}, clusters, before=pinned(MEASURED), **filled)
        self.port = self.ports["grpc"]
        self.pid = self.child.pid


TRACER = {
    "name": "envoy.tracers.opentelemetry",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
        "service_name": "envoy",
        "grpc_service": {"envoy_grpc": {"cluster_name": "collector"}},
    },
}


def upstream_cluster(graph, upstream):
    made = cluster("graph", [socket_address(graph.ports[upstream])])
    [options] = made["typed_extension_protocol_options"].values()
    # As many requests as there are; by default there may be 1024.
    made["circuit_breakers"] = {"thresholds": [{"max_requests": 100_000, "max_connections": 100_000, "max_pending_requests": 100_000}]}
    if upstream == "HTTP/1.1":
        options["explicit_http_config"] = {"http_protocol_options": {}}
    if upstream == "TLS":
        del options["explicit_http_config"]
        options["auto_config"] = {"http2_protocol_options": {}}
        made["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "common_tls_context": {
                    "validation_context": {"trusted_ca": {"filename": str(graph.authority.file)}},
                },
            },
        }
    return made


def descriptors(folder):
    """The gateway's own proto, with Graph's path as its HTTP rule."""
    file = folder / "descriptors.bin"
    proto = "incidentgate/v1/incident_task_service.proto"
    well_known = importlib.resources.files("grpc_tools") / "_proto"
    arguments = [f"-I{ROOT / 'proto'}", f"-I{well_known}", "--include_imports", f"--descriptor_set_out={file}", proto]
    assert protoc.main(["protoc", *arguments]) == 0
    found = descriptor_pb2.FileDescriptorSet.FromString(file.read_bytes())
    [own] = [each for each in found.file if each.name == proto]
    [service] = own.service
    [method] = [each for each in service.method if each.name == "ExecuteResponseAction"]
    method.options.Extensions[annotations_pb2.http].post = GRAPH_PATH
    file.write_bytes(found.SerializeToString())
    return file
