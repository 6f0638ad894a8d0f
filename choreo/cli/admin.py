"""Watches the worker of ``choreo run``: its pages at ``--admin``, its metrics for whoever collects them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from opentelemetry import metrics

from choreo.cli import output
from choreo.cli.tracing import exporter_names, is_disabled
from choreo.monitor.admin import Page, health, serving
from choreo.monitor.health import Health
from choreo.monitor.metrics import observe
from choreo.participant import Participant
from choreo.store.opening import open_reader
from choreo.worker import Worker
from choreo.worker.clock import SystemClock

try:
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

    HAS_METRICS = True
except ImportError:
    HAS_METRICS = False

_SCRAPE: Final = threading.Lock()
"""One collection at a time: of two, the exporter gives one the samples of both, and the other one none."""


class Watch:
    """How the worker of a participant is watched; without an ``address`` no page is served.

    ``readers`` are what collects its metrics besides an exporter that the environment names.
    """

    def __init__(self, participant: Participant, address: tuple[str, int] | None) -> None:
        self._participant = participant
        self._address = address
        # The environment's own reader for Prometheus is one of the page's, too.
        is_asked = address is not None and not _missing() and "prometheus" not in exporter_names("metrics")
        self.readers: list[Any] = [PrometheusMetricReader(scope_info_enabled=False)] if is_asked else []

    @contextmanager
    def over(self, worker: Worker, place: str) -> Iterator[None]:
        """Watch a worker as long as the block lasts; ``place`` is its store."""
        meter = metrics.get_meter("choreo")
        observe(meter, self._participant, worker.progress, lambda: open_reader(place))
        if self._address is None:
            yield
            return
        asked = Health(worker.progress, lambda: worker.is_live, SystemClock())
        pages: dict[str, Callable[[], Page]] = {
            "/livez": health(asked.alive),
            "/readyz": health(asked.ready),
            "/metrics": _metrics,
        }
        with serving(*self._address, pages) as where:
            output.line(f"{self._participant.name}: {', '.join(pages)} at http://{where}")
            if why := _missing():
                output.notice(why)
            yield


def _missing() -> str:
    """Return why there are no metrics; empty where there are some."""
    if not HAS_METRICS:
        return "no metrics: pip install 'choreo-saga[metrics]'"
    return "no metrics: OTEL_SDK_DISABLED is set" if is_disabled() else ""


def _metrics() -> Page:
    if why := _missing():
        return Page(501, f"{why}\n")
    with _SCRAPE:
        return Page(200, generate_latest().decode(), CONTENT_TYPE_LATEST)
