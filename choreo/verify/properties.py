"""What must hold of every run, checked in one pass over its log.

The protocol makes most of it impossible; here the protocol is held to it, on the model of a saga.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from choreo.graph import SagaGraph
from choreo.outcome import COMPENSATED, FAILED, SUCCEEDED, TIMED_OUT
from choreo.verify.engine.run import Happened, Run

Numbers = dict[tuple[str, str], int]
"""The number of the first event of each outcome of each step."""


class Broken(NamedTuple):
    """A property that a run breaks, by VERIFY's number: of which step, and the events that show it.

    ``whole`` says whether the run is one of the whole saga: one of a slice leaves steps out.
    """

    property: str
    step: str
    run: Run
    numbers: tuple[int, ...]
    whole: bool = True


def broken(graph: SagaGraph, run: Run) -> Iterator[Broken]:
    """Give what a run breaks: P9 to P15."""
    numbers: Numbers = {}
    for number, event in enumerate(run.log):
        first = numbers.setdefault((event.step, event.outcome), number)
        if first < number and event.outcome in (SUCCEEDED, COMPENSATED):
            name = "P14" if event.outcome == SUCCEEDED else "P13"
            yield Broken(name, event.step, run, (first, number))
        elif not _has_its_turn(event, numbers):
            yield Broken("P12" if event.outcome == SUCCEEDED else "P11", event.step, run, (number,))
    yield from _out_of_order(run, numbers)
    if run.end == "failed":
        yield from _never_undone(graph, run, numbers)


def _has_its_turn(event: Happened, numbers: Numbers) -> bool:
    """Say whether an action comes before its failure and its compensation, and its compensation after it."""
    if event.outcome == SUCCEEDED:
        return (event.step, FAILED) not in numbers and (event.step, COMPENSATED) not in numbers
    others = (SUCCEEDED, FAILED, TIMED_OUT)
    return event.outcome != COMPENSATED or any((event.step, each) in numbers for each in others)


def _out_of_order(run: Run, numbers: Numbers) -> Iterator[Broken]:
    """P10: where one step led to another, the other's compensation must have led to the one's."""
    for number, event in enumerate(run.log):
        later = numbers.get((event.step, COMPENSATED), -1)
        if event.outcome != SUCCEEDED or later < 0:
            continue
        for cause in event.causes:
            earlier = numbers.get((run.log[cause].step, COMPENSATED), -1)
            caused = run.log[cause].outcome == SUCCEEDED and earlier >= 0
            if caused and not run.is_before(later, earlier):
                yield Broken("P10", run.log[cause].step, run, (cause, number, earlier, later))


def _never_undone(graph: SagaGraph, run: Run, numbers: Numbers) -> Iterator[Broken]:
    """P9: what was done is undone; what can't be was not done."""
    for (step, outcome), number in numbers.items():
        known = graph.steps.get(step)
        if outcome == SUCCEEDED and known and known.handler and (step, COMPENSATED) not in numbers:
            yield Broken("P9", step, run, (number,))
