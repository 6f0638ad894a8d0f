"""Sets up OpenTelemetry's SDK where the environment names an exporter of traces or metrics.

Names of the variables: OpenTelemetry's "Environment Variable Specification".
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Any

_log = logging.getLogger("choreo.cli")


def set_up(participant: str, *readers: Any) -> bool:
    """Set up a participant's process, and return whether there is an exporter of traces.

    ``readers`` collect metrics, beside the exporter that the environment names. Without either, and without
    an exporter of traces, no provider is set, and spans cost next to nothing.
    """
    service = os.environ.get("OTEL_SERVICE_NAME") or participant
    measures = _exporter("metrics")
    collecting = [*readers, *([_reader(measures())] if measures else [])]
    if collecting:
        _measure_with(collecting, service)
    traces = _exporter("traces")
    if traces:
        _trace_with(traces(), service)
    return bool(traces)


def _exporter(signal: str) -> Any:
    """Return the class of the exporter that the environment names, None where there is none."""
    name = exporter_name(signal)
    if not name:
        return None
    found = list(entry_points(group=f"opentelemetry_{signal}_exporter", name=name))
    if not found:
        _log.warning(
            "no %s are exported: the exporter %r is not installed (hint: pip install "
            "opentelemetry-exporter-%s)",
            signal,
            name,
            name.replace("_", "-"),
        )
        return None
    return found[0].load()


def _reader(exporter: Any) -> Any:
    from opentelemetry.sdk.metrics import export

    # Some, such as that of Prometheus, are read instead of exporting by themselves.
    is_reader = isinstance(exporter, export.MetricReader)
    return exporter if is_reader else export.PeriodicExportingMetricReader(exporter)


def _measure_with(readers: Sequence[Any], service: str) -> None:
    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource

    resource = Resource.create({"service.name": service})
    metrics.set_meter_provider(MeterProvider(metric_readers=readers, resource=resource))


def _trace_with(exporter: Any, service: str) -> None:
    # The SDK takes 3 MB of memory, which a process that exports no traces need not pay.
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider, export

    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(export.BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)


def exporter_name(signal: str = "traces") -> str:
    """Return the exporter of ``traces`` or ``metrics`` that the environment names; empty where none."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return ""
    name = os.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").split(",")[0].strip()
    if name:
        return "" if name == "none" else name
    endpoints = (f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    return "otlp" if any(os.environ.get(each) for each in endpoints) else ""
