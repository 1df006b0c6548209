package dev.incidentgate.client;

import static dev.incidentgate.client.Fields.list;
import static dev.incidentgate.client.Fields.millis;
import static dev.incidentgate.client.Fields.number;
import static dev.incidentgate.client.Fields.shortName;
import static dev.incidentgate.client.Fields.text;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.annotations.SerializedName;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RequestInfo;
import com.google.rpc.RetryInfo;
import dev.incidentgate.v1.ExecuteResponseActionResponse;
import dev.incidentgate.v1.GetIncidentTaskResponse;
import dev.incidentgate.v1.ListIncidentTasksResponse;
import dev.incidentgate.v1.ProviderWarning;
import dev.incidentgate.v1.UpdateIncidentTaskResponse;
import dev.incidentgate.v1.WatchIncidentTaskResponse;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** All that the gateway said. What it did not say is null, and not in the JSON. */
final class Answer {
  private static final Gson GSON = new GsonBuilder().disableHtmlEscaping().create();

  /** Whether the action was started, with the exit code that says so. */
  enum Outcome {
    STARTED(0),
    NOT_STARTED(1),
    ALREADY_STARTED(3),
    UNKNOWN(Main.UNKNOWN);

    private final int exitCode;

    Outcome(int exitCode) {
      this.exitCode = exitCode;
    }
  }

  /** What a security provider behind Graph reported. */
  record Warning(String vendor, String provider, Integer statusCode, Long latencyMs) {
    static Warning of(ProviderWarning warning) {
      return new Warning(
          text(warning.getVendor()),
          text(warning.getProvider()),
          number(warning.getStatusCode()),
          warning.hasLatency() ? millis(warning.getLatency()) : null);
    }
  }

  // The JSON has them in this order. The outcome is null where tasks are shown.
  final Outcome outcome;
  final String code;
  private String confirmation;
  private String actionStatus;
  private String message;
  private String reason;
  private String domain;
  private Map<String, String> metadata;
  private String requestId;
  private String clientRequestId;
  private Integer attempts;
  private List<Warning> providerWarnings;
  Task task;
  private List<Task> tasks;

  @SerializedName("final")
  Boolean isFinal;

  Long retryAfterMs;
  private Long pushbackMs;
  private String claims;
  private List<String> fieldViolations;
  private List<String> details;
  Integer calls;

  /** Of a page; not in the JSON. */
  transient String nextPageToken;

  private Answer(Outcome outcome, Status.Code code) {
    this.outcome = outcome;
    this.code = code.name();
  }

  /** Reads the OK of an action that was to be started. */
  static Answer started(ExecuteResponseActionResponse response) {
    var answer = ok(Outcome.STARTED, response.getGraphRequestId(), response.getClientRequestId());
    answer.confirmation = shortName(response.getConfirmation(), "EXECUTION_CONFIRMATION_");
    answer.actionStatus = shortName(response.getActionStatus(), "ACTION_STATUS_");
    answer.attempts = number(response.getAttempts());
    answer.providerWarnings = list(response.getProviderWarningsList().stream().map(Warning::of));
    return answer;
  }

  /** Reads a task. */
  static Answer shown(GetIncidentTaskResponse response) {
    var answer = ok(null, response.getGraphRequestId(), response.getClientRequestId());
    answer.task = Task.of(response.getIncidentTask());
    return answer;
  }

  /** Reads a task after its change. */
  static Answer updated(UpdateIncidentTaskResponse response) {
    var answer = ok(null, response.getGraphRequestId(), response.getClientRequestId());
    answer.task = Task.of(response.getIncidentTask());
    return answer;
  }

  /** Reads a page. One without tasks says so: others may follow. */
  static Answer listed(ListIncidentTasksResponse response) {
    var answer = ok(null, response.getGraphRequestId(), response.getClientRequestId());
    answer.tasks = response.getIncidentTasksList().stream().map(Task::of).toList();
    answer.nextPageToken = text(response.getNextPageToken());
    return answer;
  }

  /** Reads a message of a watch. */
  static Answer seen(WatchIncidentTaskResponse response) {
    var answer = ok(null, response.getGraphRequestId(), null);
    answer.task = Task.of(response.getIncidentTask());
    answer.isFinal = response.getIsFinal();
    return answer;
  }

  /** Reads an error. One without ErrorInfo is not the gateway's, so it says nothing about the action. */
  static Answer refused(StatusRuntimeException error) {
    var details = new Details(error);
    ErrorInfo info = details.only(ErrorInfo.class);
    var answer = new Answer(outcome(info), error.getStatus().getCode());
    answer.message = text(error.getStatus().getDescription());
    if (info != null) {
      answer.reason = text(info.getReason());
      answer.domain = text(info.getDomain());
      answer.metadata = info.getMetadataMap().isEmpty() ? null : new TreeMap<>(info.getMetadataMap());
    }
    RequestInfo request = details.only(RequestInfo.class);
    answer.requestId = request == null ? null : text(request.getRequestId());
    RetryInfo retry = details.only(RetryInfo.class);
    answer.retryAfterMs = retry == null || !retry.hasRetryDelay() ? null : millis(retry.getRetryDelay());
    BadRequest bad = details.only(BadRequest.class);
    answer.fieldViolations =
        bad == null ? null : list(bad.getFieldViolationsList().stream().map(BadRequest.FieldViolation::getField));
    answer.details = list(details.names());
    answer.pushbackMs = pushback(trailer(error, "grpc-retry-pushback-ms"));
    answer.claims = text(trailer(error, "claims"));
    return answer;
  }

  /** Whether the gateway says that the same call may be sent again, after `retryAfterMs`. */
  boolean maySendAgain() {
    return outcome == Outcome.NOT_STARTED && retryAfterMs != null;
  }

  /** What a watch tells changes of. */
  List<?> state() {
    return Arrays.asList(
        task.status(), task.unknownStatus(), task.actionStatus(), task.unknownActionStatus(), isFinal);
  }

  /** What to do now that an action was to be started. */
  String advice() {
    return switch (outcome) {
      case STARTED -> "follow the task's actionStatus";
      case ALREADY_STARTED -> "there is nothing to send again; look at the task's actionStatus";
      case NOT_STARTED -> again();
      case UNKNOWN -> "do not send the call again before you have looked at the task's actionStatus";
    };
  }

  /** What to do about the error of a call that starts nothing. */
  String remedy() {
    return outcome == Outcome.UNKNOWN ? "nobody who knows has answered" : again();
  }

  private String again() {
    return maySendAgain()
        ? "send the same call again in %d s".formatted((retryAfterMs + 999) / 1000)
        : "mend the cause; the same call fails again";
  }

  int exitCode() {
    return outcome.exitCode;
  }

  String toJson() {
    return GSON.toJson(this);
  }

  private static Answer ok(Outcome outcome, String requestId, String clientRequestId) {
    var answer = new Answer(outcome, Status.Code.OK);
    answer.requestId = text(requestId);
    answer.clientRequestId = text(clientRequestId);
    return answer;
  }

  private static Outcome outcome(ErrorInfo info) {
    String told = info == null ? "" : info.getMetadataOrDefault("actionOutcome", "");
    return switch (told) {
      case "NOT_STARTED" -> Outcome.NOT_STARTED;
      case "ALREADY_STARTED" -> Outcome.ALREADY_STARTED;
      default -> Outcome.UNKNOWN;
    };
  }

  private static String trailer(StatusRuntimeException error, String name) {
    Metadata trailers = error.getTrailers();
    return trailers == null ? null : trailers.get(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER));
  }

  private static Long pushback(String trailer) {
    try {
      return trailer == null ? null : Long.valueOf(trailer);
    } catch (NumberFormatException malformed) {
      return null;
    }
  }
}
