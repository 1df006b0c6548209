"""Traces by OpenTelemetry, set up by its standard environment variables."""

import contextlib
import os
import threading

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

FLUSH_SECONDS = 2


@contextlib.contextmanager
def root_span(name):
    """Everything inside is one trace, which is on its way to the collector, if there is one, when this ends."""
    # What the environment says wins.
    resource = Resource({SERVICE_NAME: "incidentgate-client-python"}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=Resource.create(resource.attributes), shutdown_on_exit=False)
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    try:
        with trace.get_tracer(__name__).start_as_current_span(name):
            yield
    finally:
        # The SDK knows no limit of time here, so a dead collector gets one by the thread.
        flush = threading.Thread(target=provider.shutdown, daemon=True)
        flush.start()
        flush.join(FLUSH_SECONDS)
