"""``RunFile``: one run of a saga as a JSON document, from which it can be run with the real handlers.

``choreo verify --traces FOLDER`` writes one for each finding that a run shows. It has a hash over it all::

    {
      "format": 1,
      "choreo": "0.1.0",
      "saga": "order-fulfilment",
      "rule": "CHO204",                            the rule whose finding it shows
      "scenario": "shipping.create fails",
      "events": [                                  the saga's topic, in its order
        {
          "type": "shop.InventoryReserved",        the event, by its full name
          "step": "inventory.reserve",             the step whose outcome it is
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
read up to ``read``, and let the step end with this event; publish it. ``how`` is what brings the event about:

- ``start``, ``cancellation``, ``outside``: somebody outside of the saga publishes it;
- ``handler``: the handler returns it;
- ``raised``: the handler raises for good, after it may have had effects;
- ``requeued``: the handler can't go on at first, and returns it when the dead letter is requeued;
- ``deadline``: the deadline's time has come;
- ``runtime``: no handler runs: a refusal, which the protocol answers by itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from choreo.graph import SagaGraph
from choreo.manifest import Document, Fields
from choreo.outcome import CANCEL, COMPENSATED, FAILED, SUCCEEDED, TIMED_OUT
from choreo.verify.engine.run import HOW, Event, Run

DOCUMENT = Document("a trace of choreo's", 1, "choreo verify --traces FOLDER writes traces")

_OUTCOMES = (SUCCEEDED, FAILED, TIMED_OUT, COMPENSATED)


class RunEvent(NamedTuple):
    """One event of a run file."""

    type: str
    step: str
    outcome: str
    participant: str
    how: str
    begun: int
    read: int


class RunFile(NamedTuple):
    """One run: the rule whose finding it shows, the scenario, the events, and how the saga ends."""

    saga: str
    rule: str
    scenario: str
    events: tuple[RunEvent, ...]
    end: str = ""
    choreo: str = ""


def run_file_of(graph: SagaGraph, run: Run, rule: str, choreo: str = "") -> RunFile:
    """Return a run as the file that shows a finding of ``rule``."""
    events = tuple(_event(graph, event) for event in run.events)
    return RunFile(graph.name, rule, run.scenario.title, events, run.end, choreo)


def write_run(run: RunFile) -> str:
    """Return a run file as JSON text."""
    return DOCUMENT.write(plain(run))


def plain(run: RunFile) -> dict[str, Any]:
    """Return a run file as JSON's own types."""
    return {**run._asdict(), "events": [event._asdict() for event in run.events]}


def read_run(content: bytes | str, where: str) -> RunFile:
    """Return the run in a file's text; ``where`` names the file in every message.

    Raise `ManifestError` when the text is too large, not JSON, of a newer format, changed, or no run.
    """
    given = DOCUMENT.read(content, where)
    return RunFile(
        given.text("saga"),
        given.text("rule"),
        given.text("scenario"),
        tuple(_read(each) for each in given.each("events")),
        given.text("end", ("", "completed", "failed")),
        given.text("choreo"),
    )


def _read(given: Fields) -> RunEvent:
    return RunEvent(
        given.text("type"),
        given.text("step"),
        given.text("outcome", _OUTCOMES),
        given.text("participant"),
        given.text("how", HOW),
        given.count("begun"),
        given.count("read"),
    )


def _event(graph: SagaGraph, event: Event) -> RunEvent:
    return RunEvent(
        event.type,
        event.step,
        event.outcome,
        _publisher(graph, event),
        event.how,
        event.begun,
        event.read,
    )


def _publisher(graph: SagaGraph, event: Event) -> str:
    if event.outcome == TIMED_OUT:
        return next((each.participant for each in graph.deadlines if event.type in each.emits.successes), "")
    step = graph.steps.get(event.step)
    return step.participant if step and event.step != CANCEL else ""
