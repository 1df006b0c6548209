package dev.incidentgate.client;

import static java.util.concurrent.TimeUnit.MILLISECONDS;

import dev.incidentgate.v1.ExecuteResponseActionRequest;
import dev.incidentgate.v1.IncidentTaskServiceGrpc.IncidentTaskServiceBlockingStub;
import io.grpc.Deadline;
import io.grpc.StatusRuntimeException;

/** One command to its end. */
final class Execution {
  /** What a call must have left to be sent again: a certain "no" must not become an "unknown". */
  private static final long ENOUGH_MS = 1000;

  private Execution() {}

  /**
   * Sends the call, and sends it again only where the gateway says that nothing was started and when to try again,
   * and where that is well before the deadline.
   */
  static Answer run(
      IncidentTaskServiceBlockingStub stub, ExecuteResponseActionRequest request, int calls, Deadline deadline)
      throws InterruptedException {
    for (int call = 1; ; call++) {
      Answer answer = send(stub.withDeadline(deadline), request);
      answer.calls = call;
      if (!answer.maySendAgain()
          || call == calls
          || answer.retryAfterMs > deadline.timeRemaining(MILLISECONDS) - ENOUGH_MS) {
        return answer;
      }
      Thread.sleep(answer.retryAfterMs);
    }
  }

  private static Answer send(IncidentTaskServiceBlockingStub stub, ExecuteResponseActionRequest request) {
    try {
      return Answer.started(stub.executeResponseAction(request));
    } catch (StatusRuntimeException error) {
      return Answer.refused(error);
    }
  }
}
