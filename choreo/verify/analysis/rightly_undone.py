"""``rightly_undone``: a saga as it would be if each step were undone as rule R7 requires.

What is searched in it shows what the order of the steps leads to, whatever is wrong with a compensation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from choreo.graph import SagaGraph, Step
from choreo.graph.reverse_edges import resolved
from choreo.manifest import Emission, HandlerEntry
from choreo.outcome import START
from choreo.protocol import NEVER


def rightly_undone(graph: SagaGraph) -> SagaGraph:
    """Return the graph with one compensation for each success event that needs one, its triggers derived."""
    steps = {
        name: replace(step, compensations=tuple(_undos(graph, step)) if step.is_undone else ())
        for name, step in graph.steps.items()
    }
    undos = [undo for step in steps.values() for undo in step.compensations]
    others = (handler for handler in graph.handlers if handler.task != "compensation")
    return resolved(replace(graph, steps=steps, handlers=(*others, *undos)))


def _undos(graph: SagaGraph, step: Step) -> Iterator[HandlerEntry]:
    known: list[HandlerEntry] = []
    for success in step.successes:
        undo = step.compensation_for(success)
        if undo is None:
            yield _missing(graph, step, success)
        elif undo not in known:
            known.append(undo)
            emits = Emission(undo.emits.successes[:1] or (f"{success} undone",))
            yield replace(undo, trigger=NEVER, derived=True, emits=emits)


def _missing(graph: SagaGraph, step: Step, success: str) -> HandlerEntry:
    answer = graph.contract.fails if step.name == START else f"{success} undone"
    return HandlerEntry(
        name=f"{step.name} undone after {success}",
        task="compensation",
        step=step.name,
        saga=graph.name,
        place="",
        trigger=NEVER,
        emits=Emission((answer,)),
        results=frozenset((success,)),
        aborted=True,
        optional_result=True,
        derived=True,
    )
