package dev.incidentgate.client;

import dev.incidentgate.v1.ExecuteResponseActionRequest;
import dev.incidentgate.v1.IncidentTaskServiceGrpc;
import io.grpc.StatusRuntimeException;
import io.grpc.health.v1.HealthCheckRequest;
import io.grpc.health.v1.HealthCheckResponse;
import io.grpc.health.v1.HealthCheckResponse.ServingStatus;
import io.grpc.health.v1.HealthGrpc;
import io.grpc.stub.MetadataUtils;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.logging.Level;
import java.util.logging.Logger;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;

/** Starts the response action of an incident task through the gateway, and says what came of it. */
@Command(
    name = "incidentgate-client",
    description = {
      "Starts response actions through the gateway.",
      "`execute --help` and `health --help` list the options."
    },
    scope = ScopeType.INHERIT,
    exitCodeOnExecutionException = Main.UNKNOWN)
public final class Main implements Runnable {
  /** EX_USAGE of sysexits.h: the command line or a file is wrong, and nothing was sent. */
  static final int USAGE = 64;

  /** Also for what is not foreseen: it may happen after the call was sent. */
  static final int UNKNOWN = 4;

  /** gRPC logs what its errors say, too. A logger that nobody holds forgets its level. */
  private static final Logger GRPC = Logger.getLogger("io.grpc");

  @Spec private CommandSpec spec;

  @Option(
      names = {"-h", "--help"},
      usageHelp = true,
      scope = ScopeType.INHERIT,
      description = "Show this help.")
  private boolean help;

  public static void main(String[] arguments) {
    GRPC.setLevel(Level.OFF);
    CommandLine commandLine = new CommandLine(new Main());
    commandLine.setExpandAtFiles(false); // The id of a task may begin with `@`.
    commandLine.setParameterExceptionHandler(
        (error, ignored) -> {
          System.err.println("incidentgate-client: " + error.getMessage());
          return USAGE;
        });
    System.exit(commandLine.execute(arguments));
  }

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "expected a command: execute or health");
  }

  @Command(description = "Start the action of the task with this id.")
  int execute(
      @Parameters(paramLabel = "ID", description = "The id of the task.") String id,
      @Mixin Gateway gateway,
      @Option(
              names = "--calls",
              defaultValue = "3",
              paramLabel = "N",
              converter = Count.class,
              description = "At most so many calls, where the gateway says that one may be sent again (default: 3).")
          int calls,
      @Option(
              names = "--client-request-id",
              defaultValue = "",
              paramLabel = "GUID",
              description = "Marks the call in Microsoft's logs.")
          String clientRequestId,
      @Option(names = "--token-file", paramLabel = "FILE", description = "The token that is sent.")
          Path tokenFile) {
    // What Java could not decode, so the gateway would be asked for something else.
    if ((id + clientRequestId).contains("\uFFFD")) {
      throw gateway.refused("ID, --client-request-id: expected UTF-8, and a locale with it, such as LC_ALL=C.UTF-8");
    }
    var request =
        ExecuteResponseActionRequest.newBuilder()
            .setIncidentTaskId(id)
            .setClientRequestId(clientRequestId)
            .build();
    var header = MetadataUtils.newAttachHeadersInterceptor(gateway.authorization(tokenFile));
    Answer answer =
        gateway.call(
            "execute",
            (channel, deadline) -> {
              var stub = IncidentTaskServiceGrpc.newBlockingStub(channel).withInterceptors(header);
              Answer last = Execution.run(stub, request, calls, deadline);
              print(last.toJson());
              return last;
            });
    // After all that tracing may have to say.
    System.err.println(answer.outcome + ": " + answer.advice());
    return answer.exitCode();
  }

  @Command(description = "Ask whether the gateway serves.")
  int health(@Mixin Gateway gateway) {
    var request =
        HealthCheckRequest.newBuilder().setService(IncidentTaskServiceGrpc.SERVICE_NAME).build();
    return gateway.call(
        "health",
        (channel, deadline) -> {
          try {
            var stub = HealthGrpc.newBlockingStub(channel).withDeadline(deadline);
            HealthCheckResponse answer = stub.check(request);
            ServingStatus status = answer.getStatus();
            System.out.println(status == ServingStatus.UNRECOGNIZED ? answer.getStatusValue() : status);
            return status == ServingStatus.SERVING ? 0 : 1;
          } catch (StatusRuntimeException error) {
            System.out.println(error.getStatus().getCode());
            System.err.println(error.getMessage());
            return 1;
          }
        });
  }

  private static void print(String json) {
    new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8).println(json);
  }
}
