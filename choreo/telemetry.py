"""Traces and metrics, with OpenTelemetry's API alone: an application such as ``choreo run`` sets up the SDK.

The context is propagated as W3C Trace Context and W3C Baggage (see `choreo.trace_context`). Where no SDK is
set up, an event has the context of the event that caused it, so that a service without tracing doesn't break
a trace.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple, Self
from urllib.parse import unquote_plus

from opentelemetry import baggage, trace
from opentelemetry import context as current
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from choreo.trace_context import HEADERS, context_in, headers_in
from choreo.version import __version__

_of_traces = TraceContextTextMapPropagator()
_of_baggage = W3CBaggagePropagator()

_TRACEPARENT: Final = re.compile("([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")

_STATE: Final = re.compile(
    "([a-z][_0-9a-z*/-]{0,255}|[a-z0-9][_0-9a-z*/-]{0,240}@[a-z][_0-9a-z*/-]{0,13})=.*"
)
"""A member of a ``tracestate`` that OpenTelemetry's API takes; of any other, it warns for each event."""

Value = str | int

_CONVENTIONS: Final = "https://opentelemetry.io/schemas/1.44.0"
"""The semantic conventions that names and attributes follow ("Messaging Spans", "Kafka", "CloudEvents")."""

_PROCESSING: Final = current.create_key("choreo-processing")
"""What a context holds inside of a handler's span."""

_CARRIED: Final = current.create_key("choreo-carried")
"""Where a context holds what it was read from, unless that is a ``traceparent`` alone."""

UNTRACED: AbstractContextManager[None] = nullcontext()
"""The context manager in place of a span, where nothing is traced."""


def is_on() -> bool:
    """Whether an application has set up a tracer provider."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


class Processing:
    """The span of what an event of a topic causes: a child of that event's context, and linked to it.

    It is the current one inside of the block.
    """

    def __init__(self, topic: str, context: str, attributes: Mapping[str, Value]) -> None:
        self._cause = cause = _extracted(context)
        parent = trace.get_current_span(cause).get_span_context()
        self.span = _tracer(trace.get_tracer_provider()).start_span(
            f"process {topic}",
            cause,
            trace.SpanKind.CONSUMER,
            {**_operation("process", topic), **attributes},
            [trace.Link(parent)] if parent.is_valid else None,
        )

    def __enter__(self) -> Self:
        inside = current.set_value(_PROCESSING, True, trace.set_span_in_context(self.span, self._cause))
        self._token = current.attach(inside)
        return self

    def __exit__(self, kind: object, error: BaseException | None, where: object) -> None:
        current.detach(self._token)
        self.span.end()

    def fail(self, error_type: str) -> None:
        """Mark the span as failed, by the class of an error alone: its text may hold data."""
        self.span.set_attribute("error.type", error_type)
        self.span.set_status(trace.StatusCode.ERROR)


def sending(topic: str, attributes: Mapping[str, Value], cause: str | None = None) -> str:
    """Write a span for an event that is published on a topic, and return the context for its headers.

    It is a child of the handler that returned the event; where none did, of the context of the event that
    was its ``cause``. Without a ``cause`` the caller's own code publishes it, in whatever span it has opened.
    """
    parent = current.get_current()
    if cause is not None and not current.get_value(_PROCESSING, parent):
        parent = _extracted(cause)
    span = _tracer(trace.get_tracer_provider()).start_span(
        f"send {topic}", parent, trace.SpanKind.PRODUCER, {**_operation("send", topic), **attributes}
    )
    span.end()
    return _injected(span, parent) or cause or ""


def context() -> str:
    """Return the present context; empty where there is none."""
    return _injected(trace.get_current_span(), current.get_current())


@lru_cache(maxsize=1)
def _tracer(provider: trace.TracerProvider) -> trace.Tracer:
    return provider.get_tracer("choreo", __version__, _CONVENTIONS)


def _operation(name: str, topic: str) -> dict[str, Value]:
    return {
        "messaging.system": "kafka",
        "messaging.operation.name": name,
        "messaging.operation.type": name,
        "messaging.destination.name": topic,
    }


def _extracted(text: str) -> current.Context:
    """Return the context that a text holds, with nothing of the caller's own."""
    alone = _TRACEPARENT.fullmatch(text)
    if alone is None:
        return _propagated(text)
    # Most contexts are no more than this, which the propagators take five times as long to read.
    version, trace_id, span_id, flags = alone.groups()
    parent = trace.SpanContext(int(trace_id, 16), int(span_id, 16), True, trace.TraceFlags(int(flags, 16)))
    if version == "ff" or not parent.is_valid:
        return current.Context()
    return trace.set_span_in_context(trace.NonRecordingSpan(parent), current.Context())


class _Carried(NamedTuple):
    """What a context says beside its parent, as it came, and what it was read as."""

    tracestate: str
    baggage: str
    parent: trace.SpanContext
    bag: Mapping[str, object]


_NOTHING: Final = _Carried("", "", trace.INVALID_SPAN_CONTEXT, {})


def _propagated(text: str) -> current.Context:
    carrier = dict(headers_in(text))
    state, bag = (carrier.pop(name, "") for name in HEADERS[1:])
    if all(_STATE.fullmatch(each.strip()) for each in state.split(",") if each.strip()):
        carrier[HEADERS[1]] = state
    found = _of_traces.extract(carrier, context=current.Context())
    for name, value in _members(bag):
        found = baggage.set_baggage(name, value, found)
    if not (state or bag):
        return found
    parent = trace.get_current_span(found).get_span_context()
    return current.set_value(_CARRIED, _Carried(state, bag, parent, baggage.get_all(found)), found)


def _members(bag: str) -> Iterator[tuple[str, str]]:
    """Yield the names and values in a ``baggage`` header, without their properties.

    OpenTelemetry's propagator takes properties for a part of the value.
    """
    for member in bag.split(","):
        name, _, value = member.partition(";")[0].partition("=")
        if name.strip():
            yield unquote_plus(name.strip()), unquote_plus(value.strip())


def _injected(span: trace.Span, context: current.Context) -> str:
    """Return the context of a span as a text, with the baggage of another.

    What came with the event that is processed is handed on as it came, unless somebody has changed it.
    """
    own, bag = span.get_span_context(), baggage.get_all(context)
    carried: Any = current.get_value(_CARRIED, context) or _NOTHING
    if not (own.trace_state or bag or carried.tracestate):
        if own == trace.INVALID_SPAN_CONTEXT:
            return ""
        return f"00-{own.trace_id:032x}-{own.span_id:016x}-{own.trace_flags:02x}"
    carrier: dict[str, str] = {}
    _of_traces.inject(carrier, trace.set_span_in_context(span, context))
    before = carried.parent
    if carried.tracestate and (own.trace_id, own.trace_state) == (before.trace_id, before.trace_state):
        carrier[HEADERS[1]] = carried.tracestate
    if carried.baggage and bag == carried.bag:
        carrier[HEADERS[2]] = carried.baggage
    else:
        _of_baggage.inject(carrier, context)
    return context_in({name: value.encode() for name, value in carrier.items()})


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
