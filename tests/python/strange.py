"""The four clients of `clients/` before a server that breaks every promise: none believes it, and none calls again.

    python tests/python/strange.py

The clients must be built. All four must read the same, and exit alike. Prints one line per check, and one at the end.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import grpc
from clients import EXIT_CODES
from clients_built import CLIENTS, ROOT
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from processes import PATIENCE

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
DETAILS = "grpc-status-details-bin"
LONGEST = 315_576_000_000  # seconds, of a google.protobuf.Duration


def packed(message):
    packed = Any()
    packed.Pack(message)
    return packed


def info(outcome):
    return packed(ErrorInfo(reason="R", domain="incidentgate", metadata={"actionOutcome": outcome}))


def retry(**delay):
    message = RetryInfo()
    message.retry_delay.SetInParent()
    for name, value in delay.items():
        setattr(message.retry_delay, name, value)
    return packed(message)


def broken(detail):
    """The same with a byte too many, which cannot be read."""
    return Any(type_url=detail.type_url, value=detail.value + b"\xff")


def status(*details, code=UNAVAILABLE.value[0]):
    return DETAILS, Status(code=code, message="not now", details=details).SerializeToString()


def errors():
    """Trailers of an UNAVAILABLE; the outcome that is to be read, and the calls that are made."""
    no, unknown, soon = info("NOT_STARTED"), info("UNKNOWN"), retry(nanos=1_000_000)
    yield "a refusal that passes", [status(no, soon)], "NOT_STARTED", 3
    yield "no details", [], "UNKNOWN", 1
    yield "RetryInfo with an unknown outcome", [status(unknown, soon)], "UNKNOWN", 1
    yield "RetryInfo with a started action", [status(info("ALREADY_STARTED"), soon)], "ALREADY_STARTED", 1
    yield "RetryInfo alone", [status(soon)], "UNKNOWN", 1
    yield "an outcome that there is not", [status(info("MAYBE"), soon)], "UNKNOWN", 1
    yield "an outcome in other letters", [status(info("not_started"), soon)], "UNKNOWN", 1
    yield "a success in an error", [status(info("STARTED"), soon)], "UNKNOWN", 1
    yield "details that are none", [(DETAILS, b"\xff\xff\xff\xff")], "UNKNOWN", 1
    yield "details twice", [status(no, soon), status(unknown)], "UNKNOWN", 1
    yield "details of another code", [status(no, soon, code=5)], "UNKNOWN", 1
    yield "details of no error", [status(no, soon, code=0)], "UNKNOWN", 1
    yield "a broken ErrorInfo", [status(broken(no), soon)], "UNKNOWN", 1
    yield "two ErrorInfos", [status(no, unknown, soon)], "UNKNOWN", 1
    yield "two ErrorInfos, the other first", [status(unknown, no, soon)], "UNKNOWN", 1
    yield "a broken RetryInfo", [status(no, broken(soon))], "NOT_STARTED", 1
    yield "a RetryInfo without a delay", [status(no, packed(RetryInfo()))], "NOT_STARTED", 1
    yield "a delay that has passed", [status(no, retry(seconds=-5))], "NOT_STARTED", 3
    yield "the longest delay", [status(no, retry(seconds=LONGEST))], "NOT_STARTED", 1
    # The deadline is in 4 s: too little would be left for an answer.
    yield "a delay nearly until the deadline", [status(no, retry(seconds=3))], "NOT_STARTED", 1
    yield "a foreign detail", [status(no, Any(type_url="type.googleapis.com/acme.Thing"))], "NOT_STARTED", 1


def successes():
    """Bytes of an ExecuteResponseActionResponse; the action was started, whatever else is in them."""
    yield "an empty answer", b""
    yield "a confirmation and an actionStatus of tomorrow", b"\x08\x07\x30\x63"
    yield "the longest latency", warning(seconds=LONGEST)
    yield "a latency of one and a half milliseconds", warning(nanos=1_500_000)


def warning(**latency):
    """ACCEPTED, with a ProviderWarning of this latency."""
    duration = Duration(**latency).SerializeToString()
    message = bytes([0x22, len(duration)]) + duration
    return b"\x08\x01" + bytes([0x2A, len(message)]) + message


class Strange(grpc.GenericRpcHandler):
    """The server. The task's id names the answer, and the client behind a comma."""

    def __init__(self):
        self.errors = {name: trailers for name, trailers, *_ in errors()}
        self.successes = dict(successes())
        self.calls = Counter()

    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(self.answer)

    def answer(self, request, context):
        # Field 1, its length, and the text; no field 2.
        task = request[2:].decode()
        self.calls[task] += 1
        name = task.split("/")[0]
        if name in self.successes:
            return self.successes[name]
        context.set_trailing_metadata(self.errors[name])
        context.abort(UNAVAILABLE, "not now")


class Clients:
    """All four, before that server."""

    def __init__(self, server, port):
        self.server, self.port = server, port
        self.checks = self.wrong = 0

    def run(self, client, *options, **streams):
        usual = {"--endpoint": f"127.0.0.1:{self.port}", "--timeout": "4", "--service-config": "clients/service_config.json"}
        others = [word for flag, value in usual.items() if flag not in options for word in (flag, value)]
        command = [*CLIENTS[client], "execute", *others, *options]
        return subprocess.run(command, cwd=ROOT, timeout=PATIENCE, **streams)

    def check(self, name, seen):
        """Compares what each has come to with the first, which is what is wanted."""
        self.checks += 1
        want, *got = seen.values()
        print("ok" if all(other == want for other in got) else "WRONG", name)
        for client, other in seen.items():
            if other != want:
                self.wrong += 1
                print(f"  {client}: {other}\n  instead of {want}")

    def read(self, name, outcome, calls):
        """What each prints, how it ends, and how often it has called."""

        def ask(client):
            task = f"{name}/{client}"
            done = self.run(client, "--", task, capture_output=True, text=True)
            answer = json.loads(done.stdout or "{}")
            outcome = answer.get("outcome")
            # Where the gateway has said nothing, the libraries have words of their own.
            words = answer if outcome == "STARTED" or "reason" in answer else None
            return outcome, done.returncode, self.server.calls[task], words, done.stderr

        with ThreadPoolExecutor(len(CLIENTS)) as pool:
            answers = dict(zip(CLIENTS, pool.map(ask, CLIENTS)))
        first = answers["go"]
        want = (outcome, EXIT_CODES[outcome], calls, *first[3:])
        self.check(name, {"expected": want, **answers})

    def unheard(self, name, **streams):
        """The exit code tells the outcome, though nobody reads the rest."""
        task = next(successes())[0]
        seen = {client: self.run(client, "--", f"{task}/{client}", **streams).returncode for client in CLIENTS}
        self.check(name, {"expected": 0, **seen})

    def refused(self, name, *options):
        """A mistake in the command: nothing is sent."""
        before = self.server.calls.total()
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        seen = {client: self.run(client, *options, **quiet).returncode for client in CLIENTS}
        self.check(name, {"expected": 64, **seen})
        self.check(f"{name}: calls", {"expected": before, "seen": self.server.calls.total()})


def left_pipe():
    """The writing end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def main():
    server = Strange()
    running = grpc.server(ThreadPoolExecutor(len(CLIENTS)), handlers=[server])
    clients = Clients(server, running.add_insecure_port("127.0.0.1:0"))
    running.start()
    for name, _, outcome, calls in errors():
        clients.read(name, outcome, calls)
    for name, _ in successes():
        clients.read(name, "STARTED", 1)
    for name, stream in {"a pipe that nobody reads": left_pipe(), "a full disk": os.open("/dev/full", os.O_WRONLY)}.items():
        clients.unheard(f"stdout is {name}", stdout=stream, stderr=subprocess.DEVNULL)
        clients.unheard(f"stderr is {name}", stdout=subprocess.DEVNULL, stderr=stream)
    clients.refused("an id that is not UTF-8", "--", b"\xff")
    clients.refused("a client-request-id that is not UTF-8", "--client-request-id", b"\xff", "--", "1")
    clients.refused("a port that there is not", "--endpoint", f"127.0.0.1:{clients.port + 65536}", "--", "1")
    clients.refused("a port that is none", "--endpoint", "127.0.0.1:http", "--", "1")
    clients.refused("a time without end", "--timeout", "inf", "--", "1")
    clients.refused("no call", "--calls", "0", "--", "1")
    clients.refused("a certificate without its key", "--certificate-file", "Cargo.toml", "--", "1")
    running.stop(None)
    print(f"strange answers: {clients.checks} checks of {len(CLIENTS)} clients, wrong: {clients.wrong}", flush=True)
    if clients.wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
