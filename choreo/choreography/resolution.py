"""Derived triggers: a compensation that names no event is given the reverse edges of its step (R7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from choreo.choreography.graph import SagaGraph
from choreo.choreography.reverse import reverse_edges, trigger_of
from choreo.choreography.step import Step
from choreo.manifest import HandlerEntry, in_order


def resolved(graph: SagaGraph) -> SagaGraph:
    """Give the graph with every derived trigger written out."""
    if not any(handler.derived for handler in graph.handlers):
        return graph
    steps = {name: _step(graph, step) for name, step in graph.steps.items()}
    undos = tuple(undo for step in steps.values() for undo in step.undos)
    others = (handler for handler in graph.handlers if handler.task != "compensation")
    orphans = (h for h in graph.handlers if h.task == "compensation" and h.step not in steps)
    return replace(graph, steps=steps, handlers=(*others, *orphans, *undos))


def _step(graph: SagaGraph, step: Step) -> Step:
    return replace(step, undos=tuple(each for undo in step.undos for each in _undos(graph, step, undo)))


def _undos(graph: SagaGraph, step: Step, undo: HandlerEntry) -> Iterator[HandlerEntry]:
    """Give a derived compensation once for all success events that have the same edges."""
    if not undo.derived:
        yield undo
        return
    edges = reverse_edges(graph, step.name)
    served = {
        success: slots for success, slots in edges.items() if not undo.results or success in undo.results
    }
    for slots in dict.fromkeys(served.values()):
        results = frozenset(success for success in served if served[success] == slots)
        trigger = in_order(trigger_of(slots).alternatives)
        yield replace(undo, trigger=trigger, results=undo.results if results == set(edges) else results)
