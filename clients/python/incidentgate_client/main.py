"""Starts the response action of an incident task, and says whether it was started: yes, no, or unknown."""

import json
import math
import sys
import time
import traceback

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from incidentgate.v1 import incident_task_service_pb2 as pb
from incidentgate.v1 import incident_task_service_pb2_grpc as pb_grpc
from incidentgate_client import action, command_line, telemetry
from incidentgate_client.channel import ConfigurationError, bearer, open_channel
from incidentgate_client.console import tell

SERVICE = pb.DESCRIPTOR.services_by_name["IncidentTaskService"].full_name
STATUSES = health_pb2.HealthCheckResponse.ServingStatus.DESCRIPTOR
EXIT_CODES = {"STARTED": 0, "NOT_STARTED": 1, "ALREADY_STARTED": 3, "UNKNOWN": 4}


def execute(arguments, deadline, intercept):
    """Prints what the answer says; returns the exit code, and a line for people."""
    metadata = bearer(arguments.token_file) if arguments.token_file else []
    request = pb.ExecuteResponseActionRequest(
        incident_task_id=arguments.id, client_request_id=arguments.client_request_id
    )
    with open_channel(arguments) as channel:
        stub = pb_grpc.IncidentTaskServiceStub(intercept(channel))
        said = action.execute(stub, request, metadata, deadline, arguments.calls)
    tell(sys.stdout, json.dumps(said, separators=(",", ":")))
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
    command = {"execute": execute, "health": health}[arguments.command]
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
