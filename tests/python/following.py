"""The four clients of `clients/` read, list, update and follow tasks: all four print the same, and exit alike.

    python tests/python/following.py

Starts everything that it needs; the clients must be built, and `incidentgate` be on the PATH. Prints one line per case,
and one per client.
"""

import contextlib
import copy
import json
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from clients_built import CLIENTS, ROOT
from processes import PATIENCE, Gateway, Sandbox, http, until

# A connection gets old while a task is followed, so that its stream ends.
AGES = {"INCIDENTGATE_SERVER__MAX_CONNECTION_AGE": "500ms"}
QUICK = {"INCIDENTGATE_WATCH__MIN_INTERVAL": "50ms", "INCIDENTGATE_WATCH__MAX_POLLS_PER_MINUTE": "100000"}
ONE_ATTEMPT = {"INCIDENTGATE_RETRY__MAX_ATTEMPTS": "1", "INCIDENTGATE_THROTTLE__GATE": "false"}
UNKNOWN_WORDS = {
    "id": "TASK",
    "status": "paused",
    "actionStatus": "queued",
    "actionType": "wipeDevice",
    "source": "somebody",
    "createdDateTime": "2026-11-30T12:00:00.1234567Z",
    "responseAction": {"identifierValue": "x", "isolationType": "partial"},
}


class Stage:
    """The sandbox, and a gateway in front of it."""

    def __init__(self, running, folder):
        self.folder, self.sandbox = folder, Sandbox(running, folder)
        self.gateway = Gateway(running, folder / "gateway.log", self.sandbox.graph_url, **AGES, **QUICK, **ONE_ATTEMPT)

    def put(self, task, **fields):
        http("PUT", f"{self.sandbox.control}/tasks/{task}", fields)

    def script(self, task, *faults):
        http("POST", f"{self.sandbox.control}/tasks/{task}/faults", faults)

    def start(self, client, command, *words, timeout=()):
        """The client at work, with a token of its own."""
        token = self.folder / f"{client}.token"
        token.write_text(client)
        options = ["--endpoint", self.gateway.address, "--token-file", token, *timeout]
        options += ["--service-config", ROOT / "clients/service_config.json"]
        line = [str(word) for word in [*CLIENTS[client], command, *options, *words]]
        return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)

    def run(self, client, command, *words):
        """What it prints, and its exit code."""
        return ended(self.start(client, command, *words, timeout=["--timeout", PATIENCE]))


def ended(process, before=""):
    output, errors = process.communicate(timeout=PATIENCE)
    try:
        return [json.loads(line) for line in (before + output).splitlines()], process.returncode
    except ValueError:
        return [{"printed": before + output, "error": errors}], process.returncode


def get(stage, client, task):
    stage.put(task, actionStatus="inProgress")
    return stage.run(client, "get", "--", task)


def get_unknown_words(stage, client, task):
    body = json.dumps(UNKNOWN_WORDS)
    stage.put(task)
    stage.script(task, {"on": "read", "do": {"reply": {"status": 200, "body": body}}})
    return stage.run(client, "get", "--", task)


def get_nothing(stage, client, task):
    return stage.run(client, "get", "--", f"no-{task}")


def get_malformed(stage, client, task):
    return stage.run(client, "get", "--client-request-id", "not a GUID", "--", "a\nb")


def get_again(stage, client, task):
    stage.put(task)
    busy = {"on": "read", "do": {"error": {"status": 503, "headers": [["Retry-After", "1"]]}}}
    stage.script(task, busy)
    return stage.run(client, "get", "--", task)


def list_pages(stage, client, task):
    for n in range(3):
        stage.put(f"{task}-{n}", incidentId=task)
    return stage.run(client, "list", "--incident-id", task, "--page-size", 2)


def list_nothing(stage, client, task):
    return stage.run(client, "list", "--incident-id", f"no-{task}", "--status", "NOT_RELEVANT")


def update(stage, client, task):
    stage.put(task)
    return stage.run(client, "update", "--status", "NOT_RELEVANT", "--", task)


def update_lost(stage, client, task):
    stage.put(task)
    stage.script(task, {"on": "update", "commit": True, "do": "reset"})
    return stage.run(client, "update", "--calls", 1, "--status", "COMPLETED", "--", task)


def watch_fails(stage, client, task):
    stage.put(task, actionStatus="failed", status="failed")
    return stage.run(client, "watch", "--", task)


def watch_over_streams(stage, client, task):
    """Its connection gets old, and the next one, too, before its action is at its end."""
    mark = str(uuid.uuid4())
    stage.put(task, actionStatus="inProgress")
    watching = stage.start(client, "watch", "--client-request-id", mark, "--", task)
    first = watching.stdout.readline()

    def streams_ended():
        lines = stage.gateway.log.read_text().splitlines()
        return sum(ENDED in line and mark in line for line in lines)

    until(f"two streams of {task} that have ended", lambda: streams_ended() >= 2)
    stage.put(task, actionStatus="completed")
    return ended(watching, first)


class Deaf:
    """A gateway that falls silent while all four watch, its connections open: nothing but a ping finds that out."""

    TASK = "deaf"

    def __init__(self, running, stage, folder):
        folder.mkdir()
        gateway = Gateway(running, folder / "gateway.log", stage.sandbox.graph_url)
        stage.put(self.TASK, actionStatus="inProgress")
        deaf = copy.copy(stage)
        deaf.gateway = gateway
        self.watching = {client: deaf.start(client, "watch", "--", self.TASK) for client in CLIENTS}
        for process in self.watching.values():
            process.stdout.readline()
        gateway.child.send_signal(signal.SIGSTOP)
        running.callback(gateway.child.send_signal, signal.SIGCONT)

    def complaints(self, client):
        lines, exit_code = ended(self.watching[client])
        if exit_code != 4 or lines[-1]["code"] != "UNAVAILABLE":
            yield f"does not notice that the gateway is gone: exit code {exit_code}, {lines}"


# What the gateway's log says of each stream that ends before its task.
ENDED = "a watch has ended before its task"

# What is played, the exit code, and what the last line says.
CASES = {
    get: (0, {"code": "OK", "calls": 1}),
    get_unknown_words: (0, {"code": "OK"}),
    get_nothing: (1, {"code": "NOT_FOUND", "outcome": "NOT_STARTED"}),
    get_malformed: (1, {"code": "INVALID_ARGUMENT", "fieldViolations": ["incident_task_id", "client_request_id"]}),
    get_again: (0, {"code": "OK", "calls": 2}),
    list_pages: (0, {"code": "OK"}),
    list_nothing: (0, {"code": "OK", "tasks": []}),
    update: (0, {"code": "OK"}),
    update_lost: (1, {"code": "UNAVAILABLE", "outcome": "NOT_STARTED", "reason": "GRAPH_RESPONSE_LOST"}),
    watch_fails: (5, {"code": "OK", "final": True}),
    watch_over_streams: (0, {"code": "OK", "final": True}),
}
LINES = {list_pages: 2, watch_over_streams: 2}


def comparable(task, lines):
    """The lines without what differs from call to call."""
    text = json.dumps(lines).replace(task, "TASK")
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "GUID", text)
    lines = json.loads(re.sub(r'"20\d\d-1\d[-\dT:.]+Z"', '"TIME"', text))
    for line in lines:
        # Spread, so that those who are sent away together do not come back together.
        line.pop("retryAfterMs", None)
        line.pop("pushbackMs", None)
    return lines


def complaints(case, task, lines, exit_code, reference):
    wanted, last = CASES[case]
    if exit_code != wanted:
        yield f"exit code {exit_code} instead of {wanted}: {lines}"
    if len(lines) != LINES.get(case, 1):
        yield f"{len(lines)} lines: {lines}"
    if not lines or not last.items() <= lines[-1].items():
        yield f"{lines} does not end with {last}"
    seen = comparable(task, lines)
    if seen != reference:
        yield f"prints {seen} where the Go client prints {reference}"


def record(name, told, right, wrong):
    print("WRONG" if any(told.values()) else "ok", name, flush=True)
    for client, what in told.items():
        (wrong if what else right)[client] += 1
        for complaint in what:
            print(f"  {client}: {complaint}")


def main():
    right, wrong = Counter(), Counter()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as running:
        stage = Stage(running, pathlib.Path(name))
        deaf = Deaf(running, stage, pathlib.Path(name) / "deaf")
        for case in CASES:
            tasks = {client: f"{case.__name__}-{client}" for client in CLIENTS}
            with ThreadPoolExecutor(len(CLIENTS)) as pool:
                play = lambda client: case(stage, client, tasks[client])
                answers = dict(zip(CLIENTS, pool.map(play, CLIENTS)))
            reference = comparable(tasks["go"], answers["go"][0])
            told = {client: list(complaints(case, tasks[client], *answers[client], reference)) for client in CLIENTS}
            record(case.__name__, told, right, wrong)
        record("watch_deaf", {client: list(deaf.complaints(client)) for client in CLIENTS}, right, wrong)
    for client in CLIENTS:
        print(f"client {client}: {right[client]} cases alike, wrong: {wrong[client]}", flush=True)
    if wrong.total():
        sys.exit(1)


if __name__ == "__main__":
    main()
