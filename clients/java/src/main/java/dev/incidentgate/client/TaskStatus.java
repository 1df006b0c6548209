package dev.incidentgate.client;

import dev.incidentgate.v1.IncidentTaskStatus;
import java.util.List;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** A status that can be asked for: picocli's own would take those that cannot, too. */
final class TaskStatus implements ITypeConverter<IncidentTaskStatus> {
  static final String PREFIX = "INCIDENT_TASK_STATUS_";

  private static final List<String> WORDS = List.of("OPEN", "IN_PROGRESS", "COMPLETED", "FAILED", "NOT_RELEVANT");

  @Override
  public IncidentTaskStatus convert(String text) {
    if (!WORDS.contains(text)) {
      throw new TypeConversionException("expected one of " + String.join(", ", WORDS) + ", not '" + text + "'");
    }
    return IncidentTaskStatus.valueOf(PREFIX + text);
  }
}
