"""One call, which is sent again where the gateway says so, and nowhere else."""

import time

import grpc

from incidentgate_client.error import failed, may_be_sent_again


def send(method, request, metadata, deadline, calls, read):
    """Sends until the answer is final, `calls` times at most.

    Returns what the last answer says, and the answer itself unless it is an error.
    """
    for call in range(1, calls + 1):
        try:
            answer = method(request, timeout=deadline - time.monotonic(), metadata=metadata)
            return {**read(answer), "calls": call}, answer
        except grpc.RpcError as error:
            said = {**failed(error), "calls": call}
        if call == calls or not may_be_sent_again(said, deadline - time.monotonic()):
            break
        time.sleep(said["retryAfterMs"] / 1000)
    return said, None
