/** Traces by OpenTelemetry, set up by its standard environment variables. */
import { register } from "node:module";
import { setTimeout } from "node:timers/promises";
import { trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { registerInstrumentations } from "@opentelemetry/instrumentation";
import { GrpcInstrumentation } from "@opentelemetry/instrumentation-grpc";
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from "@opentelemetry/resources";
import { NodeTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-node";

const FLUSH_MS = 2000;

// ECMAScript modules can be instrumented only if they are loaded after these two.
register("@opentelemetry/instrumentation/hook.mjs", import.meta.url);
registerInstrumentations({ instrumentations: [new GrpcInstrumentation()] });

/** Everything inside is one trace, which is on its way to the collector, if there is one, when this ends. */
export async function inRootSpan<T>(name: string, work: () => Promise<T>): Promise<T> {
  const provider = new NodeTracerProvider({
    // What the environment says wins.
    resource: defaultResource()
      .merge(resourceFromAttributes({ "service.name": "incidentgate-client-node" }))
      .merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: process.env.OTEL_EXPORTER_OTLP_ENDPOINT ? [new SimpleSpanProcessor(new OTLPTraceExporter())] : [],
  });
  provider.register();
  try {
    return await trace.getTracer(name).startActiveSpan(name, (span) => work().finally(() => span.end()));
  } finally {
    // A collector that is dead or slow must neither hold up the end nor change it.
    await Promise.race([provider.shutdown().catch(console.error), setTimeout(FLUSH_MS)]);
  }
}
