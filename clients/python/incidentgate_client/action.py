"""One action: the call, what its answer says, and when the same call may be sent again."""

import contextlib
import math
import re
import time

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo, RetryInfo
from grpc_status import rpc_status

from incidentgate.v1 import incident_task_service_pb2 as pb

GOOGLE_RPC = "google.rpc."


def execute(stub, request, metadata, deadline, calls):
    """Calls until the answer is final, `calls` times at most; returns what the last answer says."""
    for call in range(1, calls + 1):
        said, wait = execute_once(stub, request, metadata, deadline - time.monotonic())
        said["calls"] = call
        if wait is None or call == calls or time.monotonic() + wait >= deadline:
            break
        time.sleep(wait)
    return said


def execute_once(stub, request, metadata, timeout):
    """What the answer says, and after how many seconds the same call may be sent again, if it may."""
    try:
        return started(stub.ExecuteResponseAction(request, timeout=timeout, metadata=metadata)), None
    except grpc.RpcError as error:
        details = details_of(error)
        said = failed(error, details)
        # RetryInfo alone does not suffice: nothing but an action that was not started may be sent again.
        delay = retry_delay(details) if said["outcome"] == "NOT_STARTED" else None
        return said, delay and delay.ToNanoseconds() / 1e9


def started(answer):
    return present(
        outcome="STARTED",
        code="OK",
        confirmation=enum_name(pb.ExecutionConfirmation, answer.confirmation, "EXECUTION_CONFIRMATION_"),
        actionStatus=enum_name(pb.ActionStatus, answer.action_status, "ACTION_STATUS_"),
        requestId=answer.graph_request_id,
        clientRequestId=answer.client_request_id,
        attempts=answer.attempts,
        providerWarnings=[
            present(
                vendor=warning.vendor,
                provider=warning.provider,
                statusCode=warning.status_code,
                latencyMs=warning.latency.ToMilliseconds() if warning.HasField("latency") else None,
            )
            for warning in answer.provider_warnings
        ],
    )


def failed(error, details):
    info = unpack(details, ErrorInfo())
    outcome = info.metadata.get("actionOutcome")
    delay = retry_delay(details)
    trailers = dict(error.trailing_metadata() or ())
    pushback = trailers.get("grpc-retry-pushback-ms", "")
    return present(
        # Without the gateway's word nobody knows, whatever the code: a proxy or gRPC itself may have answered.
        outcome=outcome if outcome in ("NOT_STARTED", "ALREADY_STARTED") else "UNKNOWN",
        code=error.code().name,
        message=error.details(),
        reason=info.reason,
        domain=info.domain,
        metadata=dict(sorted(info.metadata.items())),
        requestId=unpack(details, RequestInfo()).request_id,
        # Rounded up: a call that comes too early is refused again.
        retryAfterMs=delay and math.ceil(delay.ToNanoseconds() / 1e6),
        pushbackMs=int(pushback) if re.fullmatch("-?[0-9]+", pushback) else None,
        claims=trailers.get("claims"),
        fieldViolations=[violation.field for violation in unpack(details, BadRequest()).field_violations],
        details=sorted(
            packed.TypeName().removeprefix(GOOGLE_RPC)
            for packed in details
            if packed.TypeName().startswith(GOOGLE_RPC)
        ),
    )


def details_of(error):
    """The details in `grpc-status-details-bin`; none if there are none that can be read."""
    try:
        status = rpc_status.from_call(error)
    except (DecodeError, ValueError):
        return []
    return status.details if status else []


def unpack(details, message):
    """Fills the message from the detail of its type; it stays empty if there is none that can be read."""
    with contextlib.suppress(DecodeError):
        any(packed.Unpack(message) for packed in details)
    return message


def retry_delay(details):
    retry = unpack(details, RetryInfo())
    return retry.retry_delay if retry.HasField("retry_delay") else None


def enum_name(enum, number, prefix):
    """The name without its prefix; none if this client does not know the number."""
    value = enum.DESCRIPTOR.values_by_number.get(number)
    return value.name.removeprefix(prefix) if value and number else None


def present(**fields):
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], {})}
