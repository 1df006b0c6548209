"""One watch: a task that is followed until its action is at its end, over as many streams as it takes."""

import itertools
import math
import time

import grpc

from incidentgate_client.error import failed, may_be_sent_again
from incidentgate_client.fields import present
from incidentgate_client.task import described

CUT_SHORT = present(outcome="UNKNOWN", code="UNKNOWN", message="the stream ended before the task was at its end")
# About a century; the longest delay of a RetryInfo is more than `time.sleep` takes.
LONGEST_SLEEP = 3e9


def follow(stub, request, metadata, deadline, calls):
    """What each message says, and last of all an error, unless the action is at its end.

    Watches again where the gateway says so; after `calls` streams in a row without a message no more.
    """
    last = None
    silent = 0
    for streams in itertools.count(1):
        silent += 1
        # A gateway that is being replaced may be away for longer than it has said.
        patience = {"wait_for_ready": streams > 1}
        try:
            for message in stub.WatchIncidentTask(request, timeout=timeout(deadline), metadata=metadata, **patience):
                # A stream begins with the task as it is, and may end so, too.
                if state(message) != last:
                    last = state(message)
                    yield seen(message)
                silent = 0
                # Whatever follows does not change that.
                if message.is_final:
                    return
            said = CUT_SHORT
        except grpc.RpcError as error:
            said = failed(error)
        if silent == calls or not may_be_sent_again(said, deadline - time.monotonic()):
            yield {**said, "calls": streams}
            return
        time.sleep(min(said["retryAfterMs"] / 1000, LONGEST_SLEEP))


def timeout(deadline):
    """For gRPC, to which an infinite one is none."""
    return None if deadline == math.inf else deadline - time.monotonic()


def state(message):
    """What makes it worth a line."""
    task = message.incident_task
    return task.action_status, task.unknown_action_status, task.status, task.unknown_status, message.is_final


def seen(message):
    said = present(code="OK", requestId=message.graph_request_id)
    return {**said, "task": described(message.incident_task), "final": message.is_final}
