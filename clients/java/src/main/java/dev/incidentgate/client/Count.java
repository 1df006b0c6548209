package dev.incidentgate.client;

import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** A whole number from 1: picocli's own would take 0x3, 03 and +3, too. */
final class Count implements ITypeConverter<Integer> {
  @Override
  public Integer convert(String text) {
    int number = text.matches("[0-9]{1,9}") ? Integer.parseInt(text) : 0;
    if (number < 1) {
      throw new TypeConversionException("expected a whole number of at least 1, such as 3, not '" + text + "'");
    }
    return number;
  }
}
