"""Watches the worker of ``choreo run``: its pages at ``--admin``, its metrics for whoever collects them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from opentelemetry import metrics

from choreo.cli import output
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

_NO_METRICS: Final = "no metrics: pip install 'choreo-saga[metrics]'"


class Watch:
    """How the worker of a participant is watched; without an ``address`` no page is served.

    ``readers`` are what collects its metrics besides an exporter that the environment names.
    """

    def __init__(self, participant: Participant, address: tuple[str, int] | None) -> None:
        self._participant = participant
        self._address = address
        is_asked = HAS_METRICS and address is not None
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
            if not HAS_METRICS:
                output.notice(_NO_METRICS)
            yield


def _metrics() -> Page:
    if not HAS_METRICS:
        return Page(501, f"{_NO_METRICS}\n")
    return Page(200, generate_latest().decode(), CONTENT_TYPE_LATEST)
