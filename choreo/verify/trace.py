"""Traces as data: one run of a saga, exact enough to be run again with the real handlers.

A trace is a JSON document, with a hash over all that it says::

    {
      "format": 1,
      "choreo": "0.1.0",
      "saga": "order-fulfilment",
      "rule": "CHO204",                            what it shows
      "scenario": "shipping.create fails",
      "events": [                                  the saga's topic, in its order
        {
          "type": "shop.InventoryReserved",        the event, by its full name
          "step": "inventory.reserve",             whose outcome it is
          "outcome": "succeeded",                  or failed, timed_out, compensated
          "participant": "inventory",              who publishes it
          "how": "handler",                        see below
          "begun": 1,                              how many of these events the participant had read when
          "read": 1                                the step began, and when it ended
        }
      ],
      "end": "failed"                              completed, failed, or empty: it never ends
    }

To run it, take the events one by one: let the participant read up to ``begun`` and begin the step; let it
read up to ``read``, and let the step end with this event; publish it. ``how`` says what makes it do so:

- ``start``, ``cancellation``, ``outside``: somebody outside of the saga publishes it;
- ``handler``: the handler returns it;
- ``raised``: the handler raises for good, after it may have had effects;
- ``requeued``: the handler can't go on at first, and returns it when the dead letter is requeued;
- ``deadline``: the deadline's time has come;
- ``runtime``: nobody works for it: a refusal, which the protocol answers by itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from choreo.graph import SagaGraph
from choreo.manifest import Document, Fields
from choreo.outcome import CANCEL, COMPENSATED, FAILED, SUCCEEDED, TIMED_OUT
from choreo.verify.engine.run import HOW, Happened, Run

DOCUMENT = Document("a trace of choreo's", 1, "choreo verify --traces FOLDER writes traces")

_OUTCOMES = (SUCCEEDED, FAILED, TIMED_OUT, COMPENSATED)


class TraceEvent(NamedTuple):
    """One event of a trace."""

    type: str
    step: str
    outcome: str
    participant: str
    how: str
    begun: int
    read: int


class Trace(NamedTuple):
    """One run: what it shows, in which scenario, its events, and how the saga ends."""

    saga: str
    rule: str
    scenario: str
    events: tuple[TraceEvent, ...]
    end: str = ""
    choreo: str = ""


def trace_of(graph: SagaGraph, run: Run, rule: str, choreo: str = "") -> Trace:
    """Give a run as a trace that shows a finding of ``rule``."""
    events = tuple(_event(graph, event) for event in run.log)
    return Trace(graph.name, rule, run.scenario.title, events, run.end, choreo)


def write_trace(trace: Trace) -> str:
    """Give a trace as JSON text."""
    return DOCUMENT.written(plain(trace))


def plain(trace: Trace) -> dict[str, Any]:
    """Give a trace as JSON's own types."""
    return {**trace._asdict(), "events": [event._asdict() for event in trace.events]}


def read_trace(content: bytes | str, where: str) -> Trace:
    """Read a trace's text; ``where`` it was found stands in every message.

    Raises `ManifestError` when it is too large, not JSON, of a newer format, was changed, or is no trace.
    """
    given = DOCUMENT.opened(content, where)
    return Trace(
        given.text("saga"),
        given.text("rule"),
        given.text("scenario"),
        tuple(_read(each) for each in given.each("events")),
        given.text("end", ("", "completed", "failed")),
        given.text("choreo"),
    )


def _read(given: Fields) -> TraceEvent:
    return TraceEvent(
        given.text("type"),
        given.text("step"),
        given.text("outcome", _OUTCOMES),
        given.text("participant"),
        given.text("how", HOW),
        given.count("begun"),
        given.count("read"),
    )


def _event(graph: SagaGraph, event: Happened) -> TraceEvent:
    return TraceEvent(
        event.type,
        event.step,
        event.outcome,
        _publisher(graph, event),
        event.how,
        event.begun,
        event.read,
    )


def _publisher(graph: SagaGraph, event: Happened) -> str:
    if event.outcome == TIMED_OUT:
        return next((each.participant for each in graph.deadlines if event.type in each.emits.successes), "")
    step = graph.steps.get(event.step)
    return step.participant if step and event.step != CANCEL else ""
