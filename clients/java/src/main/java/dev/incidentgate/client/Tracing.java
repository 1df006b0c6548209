package dev.incidentgate.client;

import io.opentelemetry.api.trace.propagation.W3CTraceContextPropagator;
import io.opentelemetry.context.propagation.ContextPropagators;
import io.opentelemetry.sdk.OpenTelemetrySdk;
import io.opentelemetry.sdk.autoconfigure.AutoConfiguredOpenTelemetrySdk;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import java.util.Map;

/** OpenTelemetry by its standard variables. */
final class Tracing {
  private Tracing() {}

  /**
   * Has each call carry its trace context. By default, spans leave only if OTEL_EXPORTER_OTLP_ENDPOINT is set. A wrong
   * variable is reported, and stops no call.
   */
  static OpenTelemetrySdk start() {
    try {
      return configured();
    } catch (RuntimeException wrong) { // Not only ConfigurationException: each part reads its own variables.
      System.err.println("incidentgate-client: an OTEL_ variable, so no spans are exported: " + wrong.getMessage());
      return OpenTelemetrySdk.builder()
          .setTracerProvider(SdkTracerProvider.builder().build())
          .setPropagators(ContextPropagators.create(W3CTraceContextPropagator.getInstance()))
          .build();
    }
  }

  private static OpenTelemetrySdk configured() {
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
