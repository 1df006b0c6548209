package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
)

// startTracing has each call carry its trace context. Spans leave only if OTEL_EXPORTER_OTLP_ENDPOINT is set; `flush`
// waits for them, but not for long. A wrong variable is reported, and stops no call.
func startTracing(ctx context.Context) (flush func()) {
	description, err := resource.New(
		ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", "incidentgate-client-go")),
		resource.WithFromEnv(),
	)
	if err != nil {
		otel.Handle(err)
	}
	options := []trace.TracerProviderOption{trace.WithResource(description)}
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" {
		if exporter, err := otlptracehttp.New(ctx); err != nil {
			otel.Handle(err)
		} else {
			options = append(options, trace.WithBatcher(exporter))
		}
	}
	provider := trace.NewTracerProvider(options...)
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			otel.Handle(fmt.Errorf("not all spans were exported: %w", err))
		}
	}
}
