"""``Violation``: checks the properties of a single run in one pass over its events.

The protocol makes most violations impossible; this module checks that it does, on the model of a saga.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from choreo.graph import SagaGraph
from choreo.outcome import COMPENSATED, FAILED, SUCCEEDED, TIMED_OUT
from choreo.verify.engine.run import Event, Run
from choreo.verify.properties import Property

Numbers = dict[tuple[str, str], int]
"""The number of the first event of each outcome of each step."""


class Violation(NamedTuple):
    """A property that a run violates, of which step, and the numbers of the events that show it."""

    property: Property
    step: str
    run: Run
    numbers: tuple[int, ...]


def violations(graph: SagaGraph, run: Run) -> Iterator[Violation]:
    """Return every violation of a property that a single run can show."""
    numbers: Numbers = {}
    for number, event in enumerate(run.events):
        first = numbers.setdefault((event.step, event.outcome), number)
        succeeded = event.outcome == SUCCEEDED
        if first < number and event.outcome in (SUCCEEDED, COMPENSATED):
            violated = Property.DONE_ONCE if succeeded else Property.COMPENSATED_ONCE
            yield Violation(violated, event.step, run, (first, number))
        elif not _is_in_turn(event, numbers):
            violated = Property.NO_LATE_ACTION if succeeded else Property.ACTION_FIRST
            yield Violation(violated, event.step, run, (number,))
    yield from _out_of_order(run, numbers)
    if run.end == "failed":
        yield from _not_compensated(graph, run, numbers)


def _is_in_turn(event: Event, numbers: Numbers) -> bool:
    """Whether an action comes before its failure and its compensation, and its compensation after it."""
    if event.outcome == SUCCEEDED:
        return (event.step, FAILED) not in numbers and (event.step, COMPENSATED) not in numbers
    others = (SUCCEEDED, FAILED, TIMED_OUT)
    return event.outcome != COMPENSATED or any((event.step, each) in numbers for each in others)


def _out_of_order(run: Run, numbers: Numbers) -> Iterator[Violation]:
    for number, event in enumerate(run.events):
        later = numbers.get((event.step, COMPENSATED), -1)
        if event.outcome != SUCCEEDED or later < 0:
            continue
        for cause in event.causes:
            earlier = numbers.get((run.events[cause].step, COMPENSATED), -1)
            caused = run.events[cause].outcome == SUCCEEDED and earlier >= 0
            if caused and not run.is_before(later, earlier):
                yield Violation(
                    Property.REVERSE_ORDER, run.events[cause].step, run, (cause, number, earlier, later)
                )


def _not_compensated(graph: SagaGraph, run: Run, numbers: Numbers) -> Iterator[Violation]:
    for (step, outcome), number in numbers.items():
        known = graph.steps.get(step)
        if outcome == SUCCEEDED and known and known.handler and (step, COMPENSATED) not in numbers:
            yield Violation(Property.COMPLETE_ROLLBACK, step, run, (number,))
