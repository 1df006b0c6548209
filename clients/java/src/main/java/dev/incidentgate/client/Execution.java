package dev.incidentgate.client;

import static java.util.concurrent.TimeUnit.MILLISECONDS;

import io.grpc.Deadline;
import io.grpc.StatusRuntimeException;
import java.util.function.Supplier;

/** One call to its end. */
final class Execution {
  /** What a call must have left to be sent again: a certain "no" must not become an "unknown". */
  private static final long ENOUGH_MS = 1000;

  private Execution() {}

  /**
   * Sends the call, and sends it again only where the gateway says that nothing was started and when to try again,
   * and where that is well before the deadline.
   */
  static Answer run(Supplier<Answer> call, int calls, Deadline deadline) throws InterruptedException {
    for (int count = 1; ; count++) {
      Answer answer = send(call);
      answer.calls = count;
      if (count == calls || !pause(answer, deadline)) {
        return answer;
      }
    }
  }

  /** Waits until the same call may be sent again. False, and at once, where it may not, or not before the deadline. */
  static boolean pause(Answer answer, Deadline deadline) throws InterruptedException {
    if (!answer.maySendAgain()
        || deadline != null && answer.retryAfterMs > deadline.timeRemaining(MILLISECONDS) - ENOUGH_MS) {
      return false;
    }
    Thread.sleep(answer.retryAfterMs);
    return true;
  }

  private static Answer send(Supplier<Answer> call) {
    try {
      return call.get();
    } catch (StatusRuntimeException error) {
      return Answer.refused(error);
    }
  }
}
