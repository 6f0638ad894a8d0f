"""What leads to what: the edges of a saga's graph, forward and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from choreo.choreography import SagaGraph
from choreo.event import short_name
from choreo.manifest import Alternatives


class Edge(NamedTuple):
    """An event that leads from one step to the next; ``back`` where it leads back, in a rollback."""

    source: str
    target: str
    event: str
    back: bool


def edges(graph: SagaGraph) -> Iterator[Edge]:
    """Give what leads to what; an event that no step emits is its own source."""
    for step in graph.steps.values():
        yield from _to(graph, step.name, step.trigger, back=False)
        for undo in step.undos:
            yield from _to(graph, step.name, undo.trigger, back=True)


def ends(graph: SagaGraph) -> Iterator[tuple[str, str]]:
    """Give the steps that end the saga, each with its event."""
    for event in (graph.contract.completes, graph.contract.fails):
        if event in graph.outcome:
            yield graph.outcome[event][0], event


def _to(graph: SagaGraph, target: str, trigger: Alternatives, *, back: bool) -> Iterable[Edge]:
    for event in sorted(frozenset().union(*trigger)):
        source, _ = graph.outcome.get(event, (short_name(event), ""))
        yield Edge(source, target, event, back)
