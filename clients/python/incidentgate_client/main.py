"""Starts the response action of an incident task, and says whether it was started: yes, no, or unknown."""

import json
import sys
import time
import traceback

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from incidentgate.v1 import incident_task_service_pb2 as pb
from incidentgate.v1 import incident_task_service_pb2_grpc as pb_grpc
from incidentgate_client import action, command_line, telemetry
from incidentgate_client.channel import ConfigurationError, bearer, open_channel

SERVICE = pb.DESCRIPTOR.services_by_name["IncidentTaskService"].full_name
EXIT_CODES = {"STARTED": 0, "NOT_STARTED": 1, "ALREADY_STARTED": 3, "UNKNOWN": 4}
INTERNAL = 70


def execute(arguments, deadline):
    metadata = bearer(arguments.token_file) if arguments.token_file else []
    request = pb.ExecuteResponseActionRequest(
        incident_task_id=arguments.id, client_request_id=arguments.client_request_id
    )
    with open_channel(arguments.endpoint, arguments.ca_file, arguments.service_config) as channel:
        stub = pb_grpc.IncidentTaskServiceStub(channel)
        said = action.execute(stub, request, metadata, deadline, arguments.calls)
    print(json.dumps(said, separators=(",", ":")), flush=True)
    print(f"{said['outcome']}: {next_step(said)}", file=sys.stderr)
    return EXIT_CODES[said["outcome"]]


def next_step(said):
    match said:
        case {"outcome": "STARTED"}:
            return "follow the task's actionStatus"
        case {"outcome": "ALREADY_STARTED"}:
            return "there is nothing to send again; look at the task's actionStatus"
        case {"outcome": "NOT_STARTED", "retryAfterMs": delay}:
            return f"send the same call again in {delay / 1000:g} s"
        case {"outcome": "NOT_STARTED"}:
            return "mend the cause; the same call will fail again"
        case _:
            return "do not send the call again before you have looked at the task's actionStatus"


def health(arguments, deadline):
    with open_channel(arguments.endpoint, arguments.ca_file, arguments.service_config) as channel:
        request = health_pb2.HealthCheckRequest(service=SERVICE)
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=deadline - time.monotonic())
        except grpc.RpcError as error:
            print(error.code().name)
            return 1
    print(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
    return 0 if answer.status == health_pb2.HealthCheckResponse.SERVING else 1


def main():
    arguments = command_line.parse()
    deadline = time.monotonic() + arguments.timeout
    command = {"execute": execute, "health": health}[arguments.command]
    try:
        with telemetry.root_span(arguments.command):
            return command(arguments, deadline)
    except ConfigurationError as error:
        print(f"incidentgate-client: {error}", file=sys.stderr)
        return command_line.USAGE
    except Exception:
        # Not 1, which would say that nothing was started.
        traceback.print_exc()
        return INTERNAL
