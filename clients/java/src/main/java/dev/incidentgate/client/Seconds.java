package dev.incidentgate.client;

import java.math.BigDecimal;
import java.time.Duration;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** A duration as a number. */
final class Seconds implements ITypeConverter<Duration> {
  private static final BigDecimal MOST = BigDecimal.valueOf(3600);

  @Override
  public Duration convert(String text) {
    BigDecimal seconds;
    try {
      seconds = new BigDecimal(text);
    } catch (NumberFormatException error) {
      seconds = BigDecimal.ZERO;
    }
    if (seconds.signum() <= 0 || seconds.compareTo(MOST) > 0) {
      throw new TypeConversionException("expected seconds, above 0 and at most 3600, such as 2.5");
    }
    return Duration.ofNanos(seconds.movePointRight(9).longValue());
  }
}
