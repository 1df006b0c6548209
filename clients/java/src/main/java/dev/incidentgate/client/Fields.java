package dev.incidentgate.client;

import com.google.protobuf.Duration;
import com.google.protobuf.Timestamp;
import java.time.Instant;
import java.util.List;
import java.util.stream.Stream;

/** A message's fields as the JSON has them: null where they say nothing. */
final class Fields {
  /** Of a protobuf duration: 10,000 years. */
  private static final long MOST_SECONDS = 315_576_000_000L;

  /** Of a protobuf timestamp. */
  private static final Instant FIRST = Instant.parse("0001-01-01T00:00:00Z");

  private static final Instant LAST = Instant.parse("9999-12-31T23:59:59.999999999Z");

  private Fields() {}

  /**
   * Rounded up: a call that comes too early is refused again. A duration that protobuf does not allow is null, a
   * negative one is over.
   */
  static Long millis(Duration duration) {
    if (Math.abs((double) duration.getSeconds()) > MOST_SECONDS) {
      return null;
    }
    return Math.max(0, duration.getSeconds() * 1000 + (duration.getNanos() + 999_999L) / 1_000_000);
  }

  /** RFC 3339, with as few digits as proto3 JSON has; null is a moment that protobuf does not allow. */
  static String time(Timestamp timestamp) {
    long seconds = timestamp.getSeconds();
    int nanos = timestamp.getNanos();
    boolean isAllowed =
        seconds >= FIRST.getEpochSecond() && seconds <= LAST.getEpochSecond() && nanos >= 0 && nanos <= LAST.getNano();
    return isAllowed ? Instant.ofEpochSecond(seconds, nanos).toString() : null;
  }

  /** An enum's value without the prefix, null where it is unspecified or not known here. */
  static String shortName(Enum<?> value, String prefix) {
    String name = value.name().replaceFirst(prefix, "");
    return name.equals("UNSPECIFIED") || name.equals("UNRECOGNIZED") ? null : name;
  }

  static String text(String value) {
    return value == null || value.isEmpty() ? null : value;
  }

  static Integer number(int value) {
    return value == 0 ? null : value;
  }

  static <T> List<T> list(Stream<T> values) {
    List<T> list = values.toList();
    return list.isEmpty() ? null : list;
  }
}
