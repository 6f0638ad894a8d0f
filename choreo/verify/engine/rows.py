"""Rows of plain steps: of each, two stand for all.

A plain step is compensatable and has one success event; no deadline depends on it. What goes wrong in the
third step of such a row, or while that is late, shows in the second, too.
"""

from __future__ import annotations

from choreo.graph import SagaGraph, Step
from choreo.outcome import COMPENSATABLE


def further_in_rows(graph: SagaGraph) -> frozenset[str]:
    """Return the steps of a saga that come third or later in a row of plain steps."""
    looked_at = {event for each in graph.deadlines for event in each.trigger.types}
    watched = {each.step for each in graph.deadlines}
    plain = {
        name
        for name, step in graph.steps.items()
        if _is_plain(step) and name not in watched and looked_at.isdisjoint(step.successes)
    }
    before = {name: _before(graph, graph.steps[name], plain) for name in plain}
    return frozenset(
        name for name in plain if before.get(before[name]) and _goes_on(graph, graph.steps[name])
    )


def _is_plain(step: Step) -> bool:
    handler = step.handler
    is_whole = handler is not None and not handler.partial
    return step.kind == COMPENSATABLE and is_whole and len(step.successes) == 1


def _before(graph: SagaGraph, step: Step, plain: set[str]) -> str:
    """Return the plain step that alone leads to a step, and to no other, or nothing."""
    if len(step.trigger.types) != 1:
        return ""
    (event,) = step.trigger.types
    source, _ = graph.outcome.get(event, ("", ""))
    leads_on = source in plain and graph.steps[source].successes == (event,)
    return source if leads_on and len(graph.triggered[event]) == 1 else ""


def _goes_on(graph: SagaGraph, step: Step) -> bool:
    (success,) = step.successes
    return len(graph.triggered.get(success, ())) == 1 and success != graph.contract.completes
