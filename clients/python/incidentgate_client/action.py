"""One action: the call that starts it, and what its answer says."""

from incidentgate.v1 import incident_task_service_pb2 as pb
from incidentgate_client.call import send
from incidentgate_client.fields import enum_name, milliseconds, present


def execute(stub, request, metadata, deadline, calls):
    said, _ = send(stub.ExecuteResponseAction, request, metadata, deadline, calls, started)
    return said


def started(answer):
    return present(
        outcome="STARTED",
        code="OK",
        confirmation=enum_name(pb.ExecutionConfirmation, answer.confirmation, "EXECUTION_CONFIRMATION_"),
        actionStatus=enum_name(pb.ActionStatus, answer.action_status, "ACTION_STATUS_"),
        requestId=answer.graph_request_id,
        clientRequestId=answer.client_request_id,
        attempts=answer.attempts or None,
        providerWarnings=[
            present(
                vendor=warning.vendor,
                provider=warning.provider,
                statusCode=warning.status_code or None,
                latencyMs=milliseconds(warning.latency) if warning.HasField("latency") else None,
            )
            for warning in answer.provider_warnings
        ],
    )
