"""The four clients of `clients/` over every row of the status table: all four read the same, and it is what the table says.

    python tests/python/clients.py

Starts everything that it needs; the clients must be built, and `incidentgate` be on the PATH. The rows are provoked as
`clients/expectations.json` says, and compared with the README's table. Prints one line per case, and one per client.
"""

import contextlib
import json
import pathlib
import re
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from clients_built import CLIENTS, ROOT
from processes import PATIENCE
from stage import Stage

# A panic has no way in from outside.
OUT_OF_REACH = {"a fault of the gateway itself"}
EXIT_CODES = {"STARTED": 0, "NOT_STARTED": 1, "ALREADY_STARTED": 3, "UNKNOWN": 4}


def status_table():
    """The README's rows, by what happened: the answer's part that each gives."""
    text = (ROOT / "README.md").read_text()
    [table] = re.findall(r"<!-- status table -->\n(.*?)<!-- /status table -->", text, re.DOTALL)
    rows = {}
    for line in table.splitlines()[2:]:
        when, code, reason, outcome, details = line.strip("|").split("|")
        reason, domain = re.fullmatch(r" (.+) \((.+)\) ", reason).groups()
        row = {"outcome": outcome.strip(), "code": code.strip(), "domain": domain}
        if reason.startswith("`"):
            row["reason"] = reason.strip("`")
        others = [name.strip() for name in details.split(",") if name.strip()]
        rows[when.strip()] = {**row, "details": sorted(["ErrorInfo", "RequestInfo", *others])}
    return rows


class Case:
    """One line of the expectations, played by every client."""

    def __init__(self, number, told, rows):
        self.number, self.told = number, told
        self.name = told.get("name") or told["row"]
        self.expected = {**rows.get(told.get("row"), {}), **told.get("answer", {}), **told.get("also", {})}

    def play(self, stage):
        """What is wrong, by client."""
        stage.script_entra(self.told.get("entraFaults", []) * len(CLIENTS))
        with stage.call(self.told["at"]) as reach, ThreadPoolExecutor(len(CLIENTS)) as pool:
            answers = dict(zip(CLIENTS, pool.map(lambda client: self.ask(stage, client, reach(client)), CLIENTS)))
        wrong = {client: list(self.complaints(stage, client, *answer)) for client, answer in answers.items()}
        reference = self.comparable("go", answers["go"][0])
        for client, (answer, _) in answers.items():
            seen = self.comparable(client, answer)
            if seen != reference:
                wrong[client].append(f"reads {seen} where the Go client reads {reference}")
        return wrong

    def task(self, client):
        return f"{self.number}-{client}"

    def ask(self, stage, client, reach):
        """What the client prints, and its exit code."""
        task = self.told.get("id", self.task(client))
        if self.told["at"] != "nobody" and "id" not in self.told:
            stage.sandbox.put(task, self.told.get("faults", []))
        token = stage.folder / f"{self.task(client)}.token"
        token.write_text(self.token(stage, client))
        options = [*reach, "--timeout", PATIENCE, "--calls", self.told.get("calls", 1)]
        # The one who sends no credential.
        if token.read_text():
            options += ["--token-file", token]
        if "clientRequestId" in self.told:
            options += ["--client-request-id", self.told["clientRequestId"]]
        options += ["--service-config", ROOT / "clients/service_config.json"]
        command = [str(word) for word in [*CLIENTS[client], "execute", *options, "--", task]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE, cwd=ROOT)
        try:
            return json.loads(done.stdout), done.returncode
        except ValueError:
            return {"printed": done.stdout, "error": done.stderr}, done.returncode

    def token(self, stage, client):
        """One of its own for each: what Graph asks of one credential is nothing to the others."""
        what = self.told.get("token")
        if what is None:
            return "" if self.told["at"] == "callers" else self.task(client)
        user = {"user": self.task(client)} if "user" in what else {}
        return stage.token({**what, **user})

    def complaints(self, stage, client, answer, exit_code):
        for key, expected in self.expected.items():
            seen = answer.get(key)
            fits = expected.items() <= seen.items() if isinstance(expected, dict) and seen else expected == seen
            if not fits:
                yield f"{key}: {seen!r} instead of {expected!r}"
        if exit_code != EXIT_CODES[self.expected["outcome"]]:
            yield f"exit code {exit_code}: {answer}"
        posts = len(stage.sandbox.posts(self.task(client)))
        if posts != self.told.get("posts", 0):
            yield f"{posts} POSTs"
        if answer.get("calls") != self.expected.get("calls", 1):
            yield f"{answer.get('calls')} calls"
        if "reason" in answer:
            yield from self.promises(answer)

    def promises(self, answer):
        """What holds for every error of the gateway."""
        outcome, metadata = answer["outcome"], answer["metadata"]
        if metadata["actionOutcome"] != outcome:
            yield f"another outcome than {metadata}"
        pushback = -1 if outcome == "UNKNOWN" else answer.get("retryAfterMs")
        if answer.get("pushbackMs") != pushback:
            yield f"pushback {answer.get('pushbackMs')} instead of {pushback}"
        request_id = metadata.get("graphRequestId", metadata.get("clientRequestId"))
        if answer.get("requestId") != request_id:
            yield f"request id {answer.get('requestId')} instead of {request_id}"

    def comparable(self, client, answer):
        """The answer without what differs from call to call."""
        text = json.dumps(answer).replace(self.task(client), "TASK")
        text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "GUID", text)
        answer = json.loads(text)
        for key in self.told.get("vary", []):
            assert answer.pop(key, None), f"{self.name}: {client} tells no {key}"
        if "retryAfterMs" in self.told.get("vary", []):
            del answer["pushbackMs"]
        return answer


def main():
    rows = status_table()
    told = json.loads((ROOT / "clients/expectations.json").read_text())
    cases = [Case(number, case, rows) for number, case in enumerate(told)]
    provoked = {case.told["row"] for case in cases if "row" in case.told}
    assert provoked == rows.keys() - OUT_OF_REACH, provoked ^ rows.keys() ^ OUT_OF_REACH
    right, wrong = Counter(), Counter()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as running:
        stage = Stage(running, pathlib.Path(name))
        for case in cases:
            complaints = case.play(stage)
            print("WRONG" if any(complaints.values()) else "ok", case.name)
            for client, what in complaints.items():
                (wrong if what else right)[client] += 1
                for complaint in what:
                    print(f"  {client}: {complaint}")
    for client in CLIENTS:
        print(f"client {client}: {right[client]} cases as the table says, wrong: {wrong[client]}", flush=True)
    print(f"rows of the status table: {len(rows)}, provoked: {len(provoked)}; out of reach: {', '.join(OUT_OF_REACH)}")
    if wrong.total():
        sys.exit(1)


if __name__ == "__main__":
    main()
