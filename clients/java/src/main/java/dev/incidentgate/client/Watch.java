package dev.incidentgate.client;

import static java.util.concurrent.TimeUnit.SECONDS;

import dev.incidentgate.v1.IncidentTaskServiceGrpc;
import dev.incidentgate.v1.IncidentTaskServiceGrpc.IncidentTaskServiceBlockingStub;
import dev.incidentgate.v1.WatchIncidentTaskRequest;
import dev.incidentgate.v1.WatchIncidentTaskResponse;
import io.grpc.ClientCall;
import io.grpc.Deadline;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCalls;
import java.util.Iterator;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;

/** A task, followed until its action is at its end. */
final class Watch {
  private Watch() {}

  /**
   * Tells `news` each state, and the final one or the error at last, which it returns, too. Watches again where the
   * gateway says that it may, as often as it takes: only streams in a row that bring nothing are counted, as calls
   * are. A deadline may be null.
   */
  static Answer run(
      IncidentTaskServiceBlockingStub stub,
      WatchIncidentTaskRequest request,
      int calls,
      Deadline deadline,
      Consumer<Answer> news)
      throws InterruptedException {
    var next = stub;
    Answer last = null;
    int silent = 0;
    for (int stream = 1; ; stream++) {
      silent++;
      Answer error;
      try {
        var call =
            next.getChannel().newCall(IncidentTaskServiceGrpc.getWatchIncidentTaskMethod(), next.getCallOptions());
        Iterator<WatchIncidentTaskResponse> messages = ClientCalls.blockingServerStreamingCall(call, request);
        while (messages.hasNext()) {
          Answer seen = Answer.seen(messages.next());
          // A stream begins with the state as it is, and may end so, too.
          if (last == null || !seen.state().equals(last.state())) {
            news.accept(seen);
          }
          if (seen.isFinal) {
            finish(call, messages);
            return seen;
          }
          last = seen;
          silent = 0;
        }
        error = Answer.refused(early());
      } catch (StatusRuntimeException refusal) {
        error = Answer.refused(refusal);
      }
      error.calls = stream;
      if (silent == calls || !Execution.pause(error, deadline)) {
        news.accept(error);
        return error;
      }
      // A gateway that has been there may need longer to come back than it said.
      next = stub.withWaitForReady();
    }
  }

  /** The stream's own end follows at once, and its span's. Nobody waits long for a server that forgets it. */
  private static void finish(ClientCall<?, ?> call, Iterator<?> messages) {
    CompletableFuture.delayedExecutor(1, SECONDS).execute(() -> call.cancel("it is at its end", null));
    try {
      messages.hasNext();
    } catch (StatusRuntimeException late) {
      // The state was final.
    }
  }

  private static StatusRuntimeException early() {
    return Status.UNKNOWN.withDescription("the stream ended before the task was at its end").asRuntimeException();
  }
}
