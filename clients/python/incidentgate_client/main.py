"""Starts the response action of an incident task, and says whether it was started; shows and follows such tasks."""

import contextlib
import json
import math
import sys
import time
import traceback

import grpc
from google.protobuf.field_mask_pb2 import FieldMask
from grpc_health.v1 import health_pb2, health_pb2_grpc

from incidentgate.v1 import incident_task_service_pb2 as pb
from incidentgate.v1 import incident_task_service_pb2_grpc as pb_grpc
from incidentgate_client import action, command_line, task, telemetry, watch
from incidentgate_client.channel import ConfigurationError, bearer, open_channel
from incidentgate_client.console import tell

SERVICE = pb.DESCRIPTOR.services_by_name["IncidentTaskService"].full_name
STATUSES = health_pb2.HealthCheckResponse.ServingStatus.DESCRIPTOR
EXIT_CODES = {"STARTED": 0, "NOT_STARTED": 1, "ALREADY_STARTED": 3, "UNKNOWN": 4}
# Of a watch: the action is at its end, but has not been completed.
NOT_COMPLETED = 5


def execute(arguments, deadline, intercept):
    """Prints what the answer says; returns the exit code, and a line for people."""
    request = pb.ExecuteResponseActionRequest(
        incident_task_id=arguments.id, client_request_id=arguments.client_request_id
    )
    with gateway(arguments, intercept) as (stub, metadata):
        said = action.execute(stub, request, metadata, deadline, arguments.calls)
    show(said)
    return EXIT_CODES[said["outcome"]], f"{said['outcome']}: {next_step(said)}"


def next_step(said):
    match said:
        case {"outcome": "STARTED"}:
            return "follow the task's actionStatus"
        case {"outcome": "ALREADY_STARTED"}:
            return "there is nothing to send again; look at the task's actionStatus"
        case {"outcome": "NOT_STARTED", "retryAfterMs": delay}:
            return f"send the same call again in {math.ceil(delay / 1000)} s"
        case {"outcome": "NOT_STARTED"}:
            return "mend the cause; the same call fails again"
        case _:
            return "do not send the call again before you have looked at the task's actionStatus"


def tasks(arguments, deadline, intercept):
    """Prints what each answer says; returns the exit code of the last, and a line for people if it has one."""
    with gateway(arguments, intercept) as (stub, metadata):
        for said in answers(arguments, stub, metadata, deadline):
            show(said)
    match said:
        case {"final": True, "task": last}:
            end = last.get("actionStatus", "UNSPECIFIED")
            return 0 if end == "COMPLETED" else NOT_COMPLETED, f"the action is at its end: {end}"
        case {"code": "OK"}:
            return 0, None
        case {"outcome": "NOT_STARTED", "code": code}:
            return EXIT_CODES["NOT_STARTED"], f"{code}: {next_step(said)}"
        case {"code": code}:
            return EXIT_CODES["UNKNOWN"], f"{code}: nobody who knows has answered"


def answers(arguments, stub, metadata, deadline):
    """What each answer says."""
    every = metadata, deadline, arguments.calls
    marked = {"client_request_id": arguments.client_request_id}
    match arguments.command:
        case "get":
            request = pb.GetIncidentTaskRequest(incident_task_id=arguments.id, **marked)
            yield task.get(stub, request, *every)
        case "update":
            changed = pb.IncidentTask(id=arguments.id, status=status_of(arguments))
            mask = FieldMask(paths=["status"])
            request = pb.UpdateIncidentTaskRequest(incident_task=changed, update_mask=mask, **marked)
            yield task.update(stub, request, *every)
        case "list":
            which = {"incident_id": arguments.incident_id, "status": status_of(arguments)}
            request = pb.ListIncidentTasksRequest(page_size=arguments.page_size, **which, **marked)
            yield from task.pages(stub, request, *every)
        case "watch":
            request = pb.WatchIncidentTaskRequest(incident_task_id=arguments.id, **marked)
            yield from watch.follow(stub, request, *every)


def status_of(arguments):
    return pb.IncidentTaskStatus.Value(f"INCIDENT_TASK_STATUS_{arguments.status}")


@contextlib.contextmanager
def gateway(arguments, intercept):
    """Gives the stub, and the metadata of each call."""
    metadata = bearer(arguments.token_file) if arguments.token_file else []
    with open_channel(arguments) as channel:
        yield pb_grpc.IncidentTaskServiceStub(intercept(channel)), metadata


def show(said):
    tell(sys.stdout, json.dumps(said, separators=(",", ":")))


def health(arguments, deadline, intercept):
    """Prints the status; returns the exit code, and no line for people."""
    with open_channel(arguments) as channel:
        request = health_pb2.HealthCheckRequest(service=SERVICE)
        stub = health_pb2_grpc.HealthStub(intercept(channel))
        try:
            status = stub.Check(request, timeout=deadline - time.monotonic()).status
        except grpc.RpcError as error:
            tell(sys.stdout, error.code().name)
            return 1, None
    known = STATUSES.values_by_number.get(status)
    tell(sys.stdout, known.name if known else status)
    return 0 if status == health_pb2.HealthCheckResponse.SERVING else 1, None


def main():
    arguments = command_line.parse()
    command = {"execute": execute, "health": health}.get(arguments.command, tasks)
    try:
        with telemetry.root_span(arguments.command) as intercept:
            exit_code, line = command(arguments, time.monotonic() + arguments.timeout, intercept)
    except ConfigurationError as error:
        exit_code, line = command_line.USAGE, f"incidentgate-client: {error}"
    except KeyboardInterrupt:
        exit_code, line = EXIT_CODES["UNKNOWN"], "UNKNOWN: interrupted; look at the task's actionStatus"
    except Exception:
        # Not 1, which would say that nothing was started.
        exit_code, line = EXIT_CODES["UNKNOWN"], traceback.format_exc()
    # The last one, after those of the telemetry.
    if line:
        tell(sys.stderr, line)
    return exit_code
