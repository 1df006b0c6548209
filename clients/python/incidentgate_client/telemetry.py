"""Traces by OpenTelemetry, set up by its standard environment variables."""

import contextlib
import os
import sys
import threading

from incidentgate_client.console import tell

FLUSH_SECONDS = 2


def root_span(name):
    """Everything inside is one trace. Gives what makes a channel send it along."""
    try:
        return traced(name, *set_up())
    except Exception as error:
        # Telemetry never stops an action.
        tell(sys.stderr, f"incidentgate-client: without telemetry, which is set up wrongly: {error}")
        return contextlib.nullcontext(lambda channel: channel)


def set_up():
    # Imported here, because they read the environment while they are loaded.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.grpc import client_interceptor, grpcext
    from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # What the environment says wins.
    resource = Resource({SERVICE_NAME: "incidentgate-client-python"}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=Resource.create(resource.attributes), shutdown_on_exit=False)
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider, lambda channel: grpcext.intercept_channel(channel, client_interceptor(provider))


@contextlib.contextmanager
def traced(name, provider, intercept):
    """The trace is on its way to the collector, if there is one, when this ends."""
    try:
        with provider.get_tracer(__name__).start_as_current_span(name):
            yield intercept
    finally:
        # The SDK knows no limit of time here, so a dead collector gets one by the thread.
        flush = threading.Thread(target=provider.shutdown, daemon=True)
        flush.start()
        # By now the outcome is known: an interrupt must not change it.
        with contextlib.suppress(KeyboardInterrupt):
            flush.join(FLUSH_SECONDS)
