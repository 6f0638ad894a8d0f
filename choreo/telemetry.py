"""Traces and metrics, with OpenTelemetry's API alone: an application such as ``choreo run`` sets up the SDK.

The context is propagated as W3C Trace Context and W3C Baggage (see `choreo.trace_context`). Where no SDK is
set up, an event has the context of the event that caused it, so that a service without tracing doesn't break
a trace.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

from opentelemetry import context as current
from opentelemetry import trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from choreo.trace_context import context_in, headers_in

_propagators = (TraceContextTextMapPropagator(), W3CBaggagePropagator())

UNTRACED: AbstractContextManager[None] = nullcontext()
"""The context manager in place of a span, where nothing is traced."""


def is_on() -> bool:
    """Whether an application has set up a tracer provider."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


@contextmanager
def handling(name: str, saga_id: str, step: str, traceparent: str) -> Iterator[None]:
    """Open a span for one attempt of a handler, in the context of the event that called it."""
    token = current.attach(_extracted(traceparent))
    try:
        with trace.get_tracer("choreo").start_as_current_span(
            name, kind=trace.SpanKind.CONSUMER, attributes=_attributes(saga_id, step)
        ):
            yield
    finally:
        current.detach(token)


@contextmanager
def starting(name: str, saga_id: str, step: str) -> Iterator[None]:
    """Open a span for the start, or the cancellation, of a saga, as a child of the caller's own span."""
    with trace.get_tracer("choreo").start_as_current_span(
        name, kind=trace.SpanKind.PRODUCER, attributes=_attributes(saga_id, step)
    ):
        yield


def _attributes(saga_id: str, step: str) -> dict[str, str]:
    return {"choreo.saga_id": saga_id, "choreo.step": step, "messaging.system": "kafka"}


def _extracted(text: str) -> current.Context:
    """Return the context that a text holds, with nothing of the caller's own."""
    carrier, found = dict(headers_in(text)), current.Context()
    for propagator in _propagators:
        found = propagator.extract(carrier, context=found)
    return found


def traceparent(inherited: str) -> str:
    """Return the trace context for a publication: the current one, else ``inherited``."""
    carrier: dict[str, str] = {}
    for propagator in _propagators:
        propagator.inject(carrier)
    found = context_in({name: value.encode() for name, value in carrier.items()})
    return found or inherited


class Level:
    """A metric that goes up and down, such as the number of calls under way."""

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self._name = name
        self._attributes = attributes
        self._value = 0

    def set(self, value: int) -> None:
        """Report the present value."""
        if value != self._value:
            _counter(self._name).add(value - self._value, self._attributes)
            self._value = value


@cache
def _counter(name: str) -> Any:
    # Most processes never report one, and the import takes a while.
    from opentelemetry import metrics

    return metrics.get_meter("choreo").create_up_down_counter(name, unit="{call}")
