"""A client of the gateway in Python, which reads everything that an answer says.

    python tests/python/client.py [GATEWAY] [SANDBOX]

Needs a fresh `serve --sandbox`, by default at 127.0.0.1:50051 with its sandbox at 127.0.0.1:8080. The stubs are made
from `proto/` alone, into a temporary folder. Prints one line per case; the first one that is wrong ends the program.
"""

import json
import pathlib
import sys
import tempfile
import urllib.request

import grpc
import grpc_tools
from google.rpc import error_details_pb2 as details
from grpc_status import rpc_status
from grpc_tools import protoc

PROTO = pathlib.Path(__file__).parents[2] / "proto"
WELL_KNOWN = pathlib.Path(grpc_tools.__file__).parent / "_proto"
GRAPH, GATE = "graph.microsoft.com", "incidentgate"


def stubs(folder):
    """Compiles the protos and makes them importable."""
    files = [str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto")]
    options = [f"-I{PROTO}", f"-I{WELL_KNOWN}", f"--python_out={folder}", f"--grpc_python_out={folder}"]
    if protoc.main(["protoc", *options, *files]) != 0:
        raise SystemExit("the protos do not compile")
    # The package `grpc.health.v1` would hide grpcio's own `grpc`; its files are found by this name.
    grpc.__path__.append(f"{folder}/grpc")
    sys.path.insert(0, folder)
    from grpc.health.v1 import health_pb2, health_pb2_grpc
    from incidentgate.v1 import incident_task_service_pb2, incident_task_service_pb2_grpc

    return incident_task_service_pb2, incident_task_service_pb2_grpc, health_pb2, health_pb2_grpc


class Refused:
    """An error with its details, by type."""

    def __init__(self, error):
        self.code = error.code()
        self.pushback = dict(error.trailing_metadata()).get("grpc-retry-pushback-ms")
        status = rpc_status.from_call(error)
        assert status is not None, f"no details: {error}"
        assert (status.code, status.message) == (self.code.value[0], error.details())
        self.details = {}
        for packed in status.details:
            name = packed.type_url.removeprefix("type.googleapis.com/google.rpc.")
            message = getattr(details, name)()
            assert packed.Unpack(message) and name not in self.details, name
            self.details[name] = message
        self.info = self.details["ErrorInfo"]
        self.outcome = self.info.metadata["actionOutcome"]

    def check(self, code, reason, domain, outcome, *others):
        """Compares with the row of the status table; `others` are the further details."""
        got = (self.code.name, self.info.reason, self.info.domain, self.outcome)
        assert got == (code, reason, domain, outcome), got
        assert set(self.details) == {"ErrorInfo", "RequestInfo", *others}, self.details
        assert ("RetryInfo" in self.details) == (self.pushback not in (None, "-1")), self.pushback
        assert (outcome == "UNKNOWN") == (self.pushback == "-1"), self.pushback
        if domain == GRAPH:
            assert self.details["RequestInfo"].request_id == self.info.metadata["graphRequestId"] != ""
            assert self.info.metadata["attempts"] == "1"
        return self


class Cases:
    """The calls, one method each."""

    def __init__(self, gateway, sandbox, modules):
        self.pb, pb_grpc, self.health, health_grpc = modules
        self.sandbox = sandbox
        channel = grpc.insecure_channel(gateway)
        self.tasks = pb_grpc.IncidentTaskServiceStub(channel)
        self.health_stub = health_grpc.HealthStub(channel)

    def execute(self, task, client_request_id=""):
        request = self.pb.ExecuteResponseActionRequest(incident_task_id=task, client_request_id=client_request_id)
        return self.tasks.ExecuteResponseAction(request, timeout=10)

    def refused(self, *arguments):
        try:
            answer = self.execute(*arguments)
        except grpc.RpcError as error:
            return Refused(error)
        raise AssertionError(f"not refused: {answer}")

    def add(self, task):
        self.control("PUT", task, {})

    def script(self, task, *faults):
        self.control("POST", f"{task}/faults", faults)

    def control(self, method, path, body):
        url = f"http://{self.sandbox}/sandbox/tasks/{path}"
        request = urllib.request.Request(url, json.dumps(body).encode(), method=method)
        urllib.request.urlopen(request, timeout=10).close()

    def health_is_serving(self):
        answer = self.health_stub.Check(self.health.HealthCheckRequest(), timeout=10)
        assert answer.status == self.health.HealthCheckResponse.SERVING

    def first_call_starts_the_action(self):
        marker = "a2f0b4a6-7d3c-4c5e-9a52-0f6f2f6d9d11"
        answer = self.execute("213213", marker)
        assert answer.confirmation == self.pb.EXECUTION_CONFIRMATION_ACCEPTED
        assert (answer.attempts, answer.client_request_id) == (1, marker)
        assert answer.graph_request_id and not answer.provider_warnings
        assert answer.action_status == self.pb.ACTION_STATUS_UNSPECIFIED

    def second_call_finds_it_started(self):
        refused = self.refused("213213")
        refused.check("ALREADY_EXISTS", "ACTION_ALREADY_IN_PROGRESS", GRAPH, "ALREADY_STARTED", "ResourceInfo")
        assert refused.details["ResourceInfo"].resource_type == "microsoft.graph.security.incidentTask"

    def unsupported_action_is_a_failed_precondition(self):
        refused = self.refused("213214")
        code, reason = "FAILED_PRECONDITION", "UNSUPPORTED_ACTION_TYPE"
        refused.check(code, reason, GRAPH, "NOT_STARTED", "PreconditionFailure")
        [violation] = refused.details["PreconditionFailure"].violations
        assert (violation.type, violation.subject) == ("ACTION_TYPE", "text")
        assert refused.info.metadata["httpStatus"] == "400"

    def unknown_task_is_not_found(self):
        refused = self.refused("999").check("NOT_FOUND", "NOT_FOUND", GRAPH, "NOT_STARTED", "ResourceInfo")
        assert refused.info.metadata["httpStatus"] == "404"

    def malformed_request_names_every_field(self):
        refused = self.refused("a\nb", "not a GUID")
        refused.check("INVALID_ARGUMENT", "INVALID_REQUEST", GATE, "NOT_STARTED", "BadRequest")
        fields = [violation.field for violation in refused.details["BadRequest"].field_violations]
        assert fields == ["incident_task_id", "client_request_id"], fields

    def lost_answer_is_looked_for_in_the_task(self):
        self.add("7")
        self.script("7", {"commit": True, "do": "reset"})
        answer = self.execute("7")
        assert answer.confirmation == self.pb.EXECUTION_CONFIRMATION_OBSERVED
        assert (answer.attempts, answer.action_status) == (1, self.pb.ACTION_STATUS_IN_PROGRESS)

    def lost_answer_is_unknown_and_not_to_be_replayed(self):
        self.script("213216", {"commit": True, "do": "reset"}, {"on": "read", "do": "reset"})
        self.refused("213216").check("UNKNOWN", "GRAPH_RESPONSE_LOST", GATE, "UNKNOWN")
        self.refused("213216").check(
            "ALREADY_EXISTS", "ACTION_ALREADY_IN_PROGRESS", GRAPH, "ALREADY_STARTED", "ResourceInfo"
        )

    def throttling_says_when_to_call_again(self):
        # Longer than the call may take: a shorter wait is the gateway's own.
        self.script("213213", {"do": {"throttle": {"retryAfter": 20}}})
        refused = self.refused("213213")
        refused.check("RESOURCE_EXHAUSTED", "GRAPH_THROTTLED", GRAPH, "NOT_STARTED", "QuotaFailure", "RetryInfo")
        assert refused.details["RetryInfo"].retry_delay.ToTimedelta().total_seconds() == 20
        assert refused.pushback == "20000"


def main():
    gateway = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051"
    sandbox = sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1:8080"
    with tempfile.TemporaryDirectory() as folder:
        cases = Cases(gateway, sandbox, stubs(folder))
    for case in [
        cases.health_is_serving,
        cases.first_call_starts_the_action,
        cases.second_call_finds_it_started,
        cases.unsupported_action_is_a_failed_precondition,
        cases.unknown_task_is_not_found,
        cases.malformed_request_names_every_field,
        cases.lost_answer_is_looked_for_in_the_task,
        cases.lost_answer_is_unknown_and_not_to_be_replayed,
        cases.throttling_says_when_to_call_again,
    ]:
        case()
        print("ok", case.__name__.replace("_", " "))


if __name__ == "__main__":
    main()
