"""Sets up OpenTelemetry's SDK where the environment names an exporter of traces or metrics.

Names of the variables: OpenTelemetry's "Environment Variable Specification".
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Any, Final, Self

from choreo import telemetry
from choreo.errors import ConfigurationError

_log = logging.getLogger("choreo.cli")


STOP_SECONDS: Final = 3.0
"""How long a process that ends waits for the last spans and metrics to be exported."""


class Exports:
    """What a process exports as long as the block lasts; either provider may be None."""

    def __init__(self, traces: Any, metrics: Any) -> None:
        self._providers = {"spans": traces, "metrics": metrics}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Export what is left, and give up after a while: a collector that is away must not delay a stop."""
        until = time.monotonic() + STOP_SECONDS
        ending = {}
        for name, provider in self._providers.items():
            if provider is not None:
                ending[name] = threading.Thread(target=provider.shutdown, name=f"choreo-{name}", daemon=True)
                ending[name].start()
        for name, thread in ending.items():
            thread.join(max(until - time.monotonic(), 0))
            if thread.is_alive():
                _log.warning("the last %s were not exported within %g s: given up", name, STOP_SECONDS)


def set_up(participant: str, *readers: Any) -> Exports:
    """Set up a participant's process; ``readers`` collect metrics, beside the exporter of the environment.

    Without either, and without an exporter of traces, no provider is set, and spans cost next to nothing.
    Raises `ConfigurationError` where the SDK refuses a variable.

    An application that has set up a provider itself, such as the participant's module, or OpenTelemetry's own
    instrumentation, keeps it; then the ``readers`` are added to it, and it exports what it will.
    """
    try:
        return Exports(_traces(participant), _metrics(participant, readers))
    except Exception as error:
        raise ConfigurationError(
            f"OpenTelemetry can't be set up: {error}", hint="see the variables OTEL_… of the environment"
        ) from error


def _exporters(signal: str) -> list[Any]:
    """Return the classes of the exporters that the environment names, as far as they are installed."""
    return [found for name in exporter_names(signal) if (found := _exporter(signal, name)) is not None]


def _exporter(signal: str, name: str) -> Any:
    for known in _known_as(name, signal):
        for found in entry_points(group=f"opentelemetry_{signal}_exporter", name=known):
            return found.load()
    package = "'choreo-saga[otel]'" if name == "otlp" else f"opentelemetry-exporter-{name.replace('_', '-')}"
    _log.warning(
        "no %s are exported: the exporter %r is not installed (hint: pip install %s)", signal, name, package
    )
    return None


def _known_as(name: str, signal: str) -> Sequence[str]:
    """Return the names under which packages offer an exporter; that of OTLP has one for each protocol."""
    if name != "otlp":
        return (name,)
    variables = (f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    protocol = next((found for each in variables if (found := os.environ.get(each, "").strip())), "")
    if protocol == "grpc":
        return ("otlp_proto_grpc",)
    return ("otlp_proto_http",) if protocol else ("otlp_proto_http", "otlp_proto_grpc", "otlp")


def _reader(exporter: Any) -> Any:
    from opentelemetry.sdk.metrics import export

    # Some, such as that of Prometheus, are read instead of exporting by themselves.
    is_reader = isinstance(exporter, export.MetricReader)
    return exporter if is_reader else export.PeriodicExportingMetricReader(exporter)


def _metrics(participant: str, readers: Sequence[Any]) -> Any:
    """Set up a provider of metrics and return it, None where nobody collects any or there is one."""
    if not (readers or exporter_names("metrics")):
        return None
    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import MeterProvider

    present = metrics.get_meter_provider()
    if isinstance(present, MeterProvider):
        for each in readers:
            if not hasattr(present, "add_metric_reader"):  # an older SDK
                _log.warning("no metrics are collected: the SDK that is set up takes no reader any more")
                break
            present.add_metric_reader(each)
        return None
    collecting = [*readers, *(_reader(made()) for made in _exporters("metrics"))]
    if not collecting:
        return None
    provider = MeterProvider(
        metric_readers=collecting, resource=_resource(participant), shutdown_on_exit=False
    )
    metrics.set_meter_provider(provider)
    return provider


def _traces(participant: str) -> Any:
    """Set up a provider of traces and return it, None where nothing is exported or there is one."""
    exporters = [] if telemetry.is_on() else [made() for made in _exporters("traces")]
    if not exporters:
        return None
    # The SDK takes 3 MB of memory, which a process that exports no traces need not pay.
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider, export

    provider = TracerProvider(resource=_resource(participant), shutdown_on_exit=False)
    for each in exporters:
        provider.add_span_processor(export.BatchSpanProcessor(each))
    trace.set_tracer_provider(provider)
    return provider


def _resource(participant: str) -> Any:
    """Return the origin of all that is exported: the participant, unless the environment names a service."""
    from opentelemetry.sdk.resources import Resource

    class HashedOnce(Resource):
        """Works its hash out once: it is that of a JSON text, and OTLP's exporter wants it for each span."""

        def __init__(self, created: Resource) -> None:
            super().__init__(created.attributes, created.schema_url)
            self._hash = super().__hash__()

        def __hash__(self) -> int:
            return self._hash

    found = Resource.create()
    if str(found.attributes.get("service.name", "unknown_service")).startswith("unknown_service"):
        found = found.merge(Resource({"service.name": participant}))
    return HashedOnce(found)


def is_disabled() -> bool:
    """Whether the environment turns the SDK off, so that nothing is collected."""
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def exporter_names(signal: str) -> list[str]:
    """Return the exporters of ``traces`` or ``metrics`` that the environment names."""
    if is_disabled():
        return []
    listed = os.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").split(",")
    names = list(dict.fromkeys(each.strip() for each in listed if each.strip()))
    if names:
        return [] if "none" in names else names
    endpoints = (f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    return ["otlp"] if any(os.environ.get(each) for each in endpoints) else []
