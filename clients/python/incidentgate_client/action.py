"""One action: the call, what its answer says, and when the same call may be sent again."""

import contextlib
import re
import time

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status

from incidentgate.v1 import incident_task_service_pb2 as pb

GOOGLE_RPC = re.compile(r"/google\.rpc\.(\w+)$")
# With less time left, a call would often end before its answer: a certain "no" would become an "unknown".
LEAST_SECONDS = 1


def execute(stub, request, metadata, deadline, calls):
    """Calls until the answer is final, `calls` times at most; returns what the last answer says."""
    for call in range(1, calls + 1):
        said = execute_once(stub, request, metadata, deadline - time.monotonic())
        said["calls"] = call
        if call == calls or not may_be_sent_again(said, deadline - time.monotonic()):
            break
        time.sleep(said["retryAfterMs"] / 1000)
    return said


def execute_once(stub, request, metadata, timeout):
    """What the answer says."""
    try:
        return started(stub.ExecuteResponseAction(request, timeout=timeout, metadata=metadata))
    except grpc.RpcError as error:
        return failed(error, details_of(error))


def may_be_sent_again(said, seconds_left):
    """RetryInfo alone does not suffice: nothing but an action that was not started may be sent again."""
    if said["outcome"] != "NOT_STARTED" or "retryAfterMs" not in said:
        return False
    return said["retryAfterMs"] / 1000 + LEAST_SECONDS <= seconds_left


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


def failed(error, details):
    info = unpack(details, ErrorInfo)
    outcome = info.metadata.get("actionOutcome")
    retry = unpack(details, RetryInfo)
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
        requestId=unpack(details, RequestInfo).request_id,
        retryAfterMs=max(0, milliseconds(retry.retry_delay)) if retry.HasField("retry_delay") else None,
        pushbackMs=int(pushback) if re.fullmatch("-?[0-9]{1,10}", pushback) else None,
        claims=trailers.get("claims"),
        fieldViolations=[violation.field for violation in unpack(details, BadRequest).field_violations],
        details=sorted(match[1] for packed in details if (match := GOOGLE_RPC.search(packed.type_url))),
    )


def details_of(error):
    """The details in the one `grpc-status-details-bin`; none if it cannot be read or belongs to another status."""
    with contextlib.suppress(DecodeError, ValueError):
        [packed] = [value for key, value in error.trailing_metadata() or () if key == "grpc-status-details-bin"]
        status = Status.FromString(packed)
        if status.code == error.code().value[0]:
            return status.details
    return []


def unpack(details, message):
    """The one detail of that type; an empty message if there is none, or more, or it cannot be read."""
    with contextlib.suppress(DecodeError, ValueError):
        [packed] = [packed for packed in details if packed.Is(message.DESCRIPTOR)]
        return message.FromString(packed.value)
    return message()


def milliseconds(duration):
    """Rounded up: a call that comes too early is refused again."""
    return -(-duration.ToNanoseconds() // 1_000_000)


def enum_name(enum, number, prefix):
    """The name without its prefix; none if this client does not know the number."""
    value = enum.DESCRIPTOR.values_by_number.get(number)
    return value.name.removeprefix(prefix) if value and number else None


def present(**fields):
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], {})}
