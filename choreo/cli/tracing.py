"""Sets up OpenTelemetry's SDK where the environment names an exporter of traces.

Names of the variables: OpenTelemetry's "Environment Variable Specification".
"""

from __future__ import annotations

import logging
import os
from importlib.metadata import entry_points
from typing import Any

_log = logging.getLogger("choreo.cli")

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def set_up(participant: str) -> bool:
    """Set the tracer provider up for a participant's process, and return whether there is an exporter.

    Without an exporter in the environment no provider is set, and spans cost next to nothing.
    """
    name = exporter_name()
    if not name:
        return False
    found = list(entry_points(group="opentelemetry_traces_exporter", name=name))
    if not found:
        _log.warning(
            "no traces are exported: the exporter %r is not installed (hint: pip install "
            "opentelemetry-exporter-%s)",
            name,
            name.replace("_", "-"),
        )
        return False
    _trace_with(found[0].load()(), os.environ.get("OTEL_SERVICE_NAME") or participant)
    return True


def _trace_with(exporter: Any, service: str) -> None:
    # The SDK takes 3 MB of memory, which a process that exports no traces need not pay.
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider, export

    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(export.BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)


def exporter_name() -> str:
    """Return the exporter that the environment names; empty where it names none."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return ""
    name = os.environ.get("OTEL_TRACES_EXPORTER", "").split(",")[0].strip()
    if name:
        return "" if name == "none" else name
    return "otlp" if any(os.environ.get(each) for each in _ENDPOINTS) else ""
