package dev.incidentgate.client;

import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** What is sent as it stands. What Java could not decode would ask for something else. */
final class Text implements ITypeConverter<String> {
  @Override
  public String convert(String text) {
    if (text.contains("\uFFFD")) {
      throw new TypeConversionException("expected UTF-8, and a locale with it, such as LC_ALL=C.UTF-8");
    }
    return text;
  }
}
