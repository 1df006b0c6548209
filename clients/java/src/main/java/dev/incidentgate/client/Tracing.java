package dev.incidentgate.client;

import io.opentelemetry.sdk.OpenTelemetrySdk;
import io.opentelemetry.sdk.autoconfigure.AutoConfiguredOpenTelemetrySdk;
import java.util.Map;

/** OpenTelemetry by its standard variables. */
final class Tracing {
  private Tracing() {}

  /** Has each call carry its trace context. Spans leave only where OTEL_EXPORTER_OTLP_ENDPOINT says to. */
  static OpenTelemetrySdk start() {
    boolean exports = !System.getenv().getOrDefault("OTEL_EXPORTER_OTLP_ENDPOINT", "").isEmpty();
    return AutoConfiguredOpenTelemetrySdk.builder()
        .addPropertiesSupplier(
            () ->
                Map.of(
                    "otel.service.name", "incidentgate-client-java",
                    "otel.traces.exporter", exports ? "otlp" : "none",
                    "otel.metrics.exporter", "none",
                    "otel.logs.exporter", "none",
                    "otel.exporter.otlp.protocol", "http/protobuf"))
        .disableShutdownHook()
        .build()
        .getOpenTelemetrySdk();
  }
}
