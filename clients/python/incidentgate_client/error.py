"""One error: what it says, and when the same call may be sent again."""

import contextlib
import re

from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status

from incidentgate_client.fields import milliseconds, present

GOOGLE_RPC = re.compile(r"/google\.rpc\.(\w+)$")
# With less time left, a call would often end before its answer: a certain "no" would become an "unknown".
LEAST_SECONDS = 1


def may_be_sent_again(said, seconds_left):
    """RetryInfo alone does not suffice: nothing but an action that was not started may be sent again."""
    if said["outcome"] != "NOT_STARTED" or "retryAfterMs" not in said:
        return False
    return said["retryAfterMs"] / 1000 + LEAST_SECONDS <= seconds_left


def failed(error):
    details = details_of(error)
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
