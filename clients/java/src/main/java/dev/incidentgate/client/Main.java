package dev.incidentgate.client;

import com.google.protobuf.FieldMask;
import dev.incidentgate.v1.ExecuteResponseActionRequest;
import dev.incidentgate.v1.GetIncidentTaskRequest;
import dev.incidentgate.v1.IncidentTask;
import dev.incidentgate.v1.IncidentTaskServiceGrpc;
import dev.incidentgate.v1.IncidentTaskServiceGrpc.IncidentTaskServiceBlockingStub;
import dev.incidentgate.v1.IncidentTaskStatus;
import dev.incidentgate.v1.ListIncidentTasksRequest;
import dev.incidentgate.v1.UpdateIncidentTaskRequest;
import dev.incidentgate.v1.WatchIncidentTaskRequest;
import io.grpc.StatusRuntimeException;
import io.grpc.health.v1.HealthCheckRequest;
import io.grpc.health.v1.HealthCheckResponse;
import io.grpc.health.v1.HealthCheckResponse.ServingStatus;
import io.grpc.health.v1.HealthGrpc;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Objects;
import java.util.function.Function;
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

/** Starts the response actions of incident tasks through the gateway, follows the tasks, and says what came of it. */
@Command(
    name = "incidentgate-client",
    description = {
      "Starts response actions through the gateway, and follows them.",
      "`COMMAND --help` lists the options."
    },
    scope = ScopeType.INHERIT,
    exitCodeOnExecutionException = Main.UNKNOWN)
public final class Main implements Runnable {
  /** EX_USAGE of sysexits.h: the command line or a file is wrong, and nothing was sent. */
  static final int USAGE = 64;

  /** Also for what is not foreseen: it may happen after the call was sent. */
  static final int UNKNOWN = 4;

  /** Of a watch: the action is at its end, and has not completed. */
  static final int NOT_COMPLETED = 5;

  /** In UTF-8, whatever the locale is; each line at once. */
  private static final PrintStream OUT =
      new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);

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
    throw new ParameterException(spec.commandLine(), "expected a command: execute, get, list, update, watch or health");
  }

  @Command(description = "Start the action of the task with this id.")
  int execute(
      @Parameters(paramLabel = "ID", converter = Text.class, description = "The id of the task.") String id,
      @Mixin Calls calls) {
    var request =
        ExecuteResponseActionRequest.newBuilder()
            .setIncidentTaskId(id)
            .setClientRequestId(calls.clientRequestId)
            .build();
    Answer answer = one("execute", calls, stub -> Answer.started(stub.executeResponseAction(request)));
    // After all that tracing may have to say.
    System.err.println(answer.outcome + ": " + answer.advice());
    return answer.exitCode();
  }

  @Command(description = "Show the task with this id.")
  int get(
      @Parameters(paramLabel = "ID", converter = Text.class, description = "The id of the task.") String id,
      @Mixin Calls calls) {
    var request =
        GetIncidentTaskRequest.newBuilder().setIncidentTaskId(id).setClientRequestId(calls.clientRequestId).build();
    return ended(one("get", calls, stub -> Answer.shown(stub.getIncidentTask(request))));
  }

  @Command(description = "Set the status of the task with this id.")
  int update(
      @Parameters(paramLabel = "ID", converter = Text.class, description = "The id of the task.") String id,
      @Mixin Calls calls,
      @Option(
              names = "--status",
              required = true,
              paramLabel = "STATUS",
              converter = TaskStatus.class,
              description = "The new one: OPEN, IN_PROGRESS, COMPLETED, FAILED or NOT_RELEVANT.")
          IncidentTaskStatus status) {
    var request =
        UpdateIncidentTaskRequest.newBuilder()
            .setIncidentTask(IncidentTask.newBuilder().setId(id).setStatus(status))
            .setUpdateMask(FieldMask.newBuilder().addPaths("status"))
            .setClientRequestId(calls.clientRequestId)
            .build();
    return ended(one("update", calls, stub -> Answer.updated(stub.updateIncidentTask(request))));
  }

  @Command(description = "List the tasks, a line for each page.")
  int list(
      @Mixin Calls calls,
      @Option(
              names = "--incident-id",
              defaultValue = "",
              paramLabel = "ID",
              converter = Text.class,
              description = "Only tasks of this incident.")
          String incidentId,
      @Option(
              names = "--status",
              paramLabel = "STATUS",
              converter = TaskStatus.class,
              description = "Only tasks with this status.")
          IncidentTaskStatus status,
      @Option(
              names = "--page-size",
              paramLabel = "N",
              converter = Count.class,
              description = "At most so many tasks on a page (default: as the gateway likes).")
          int pageSize) {
    var request =
        ListIncidentTasksRequest.newBuilder()
            .setIncidentId(incidentId)
            .setPageSize(pageSize)
            .setClientRequestId(calls.clientRequestId);
    if (status != null) {
      request.setStatus(status);
    }
    return ended(
        calls.make(
            "list",
            (stub, deadline) -> {
              while (true) {
                Answer page =
                    Execution.run(() -> Answer.listed(stub.listIncidentTasks(request.build())), calls.most, deadline);
                print(page);
                // An error has no next one, either.
                if (page.nextPageToken == null) {
                  return page;
                }
                request.setPageToken(page.nextPageToken);
              }
            }));
  }

  @Command(description = "Follow the task with this id until its action is at its end.")
  int watch(
      @Parameters(paramLabel = "ID", converter = Text.class, description = "The id of the task.") String id,
      @Mixin Calls calls) {
    var request =
        WatchIncidentTaskRequest.newBuilder().setIncidentTaskId(id).setClientRequestId(calls.clientRequestId).build();
    Answer last =
        calls.follow("watch", (stub, deadline) -> Watch.run(stub, request, calls.most, deadline, Main::print));
    if (last.outcome != null) {
      return ended(last);
    }
    String end = Objects.requireNonNullElse(last.task.actionStatus(), "UNSPECIFIED");
    System.err.println("the action is at its end: " + end);
    return end.equals("COMPLETED") ? 0 : NOT_COMPLETED;
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

  private static Answer one(String name, Calls calls, Function<IncidentTaskServiceBlockingStub, Answer> call) {
    return calls.make(
        name,
        (stub, deadline) -> {
          Answer answer = Execution.run(() -> call.apply(stub), calls.most, deadline);
          print(answer);
          return answer;
        });
  }

  /** The exit code of a call that starts nothing; what to do about an error is told to people. */
  private static int ended(Answer answer) {
    if (answer.outcome == null) {
      return 0;
    }
    System.err.println(answer.code + ": " + answer.remedy());
    return answer.outcome == Answer.Outcome.NOT_STARTED ? 1 : UNKNOWN;
  }

  private static void print(Answer answer) {
    OUT.println(answer.toJson());
  }
}
