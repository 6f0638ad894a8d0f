"""The reverse edges of a saga's graph: the trigger of each compensation, for every shape of a saga (R7).

The compensation of a step waits for every step that its success event triggers and that can fail: for
its failure, or for the confirmation of its compensation. A half-filled join answers too (R4), so joins,
nested forks and merges need no rule of their own; where a step has several success events, each has
its own edges.

Source: Garcia-Molina and Salem, *Sagas* (SIGMOD 1987), section 7, "Parallel sagas".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from choreo.events import short_name
from choreo.graph.saga_graph import SagaGraph, Step
from choreo.manifest import HandlerEntry
from choreo.protocol import Trigger, serves

Slots = tuple[frozenset[str], ...]
"""The trigger of a compensation: one event of each slot; without slots, the saga's first failure."""


class RequiredTrigger(NamedTuple):
    """The right trigger of the compensation of one success event: one of the answers of each successor.

    ``answers`` is empty for a leaf, a step without successors that can fail: the first failure calls it.
    """

    success: str
    answers: tuple[tuple[Step, tuple[str, ...]], ...]

    @property
    def is_leaf(self) -> bool:
        """Whether no successor can fail."""
        return not self.answers

    @property
    def slots(self) -> Slots:
        """The answers of each successor, as a slot."""
        return tuple(frozenset(names) for _, names in self.answers)

    def annotation(self) -> str:
        """Return the trigger as a user writes it."""
        if self.is_leaf:
            return "event: Aborted"
        parts = [" | ".join(short_name(name) for name in names) for _, names in self.answers]
        if len(parts) == 1:
            return f"event: {parts[0]}"
        return f"on=all_of({', '.join(parts)})"


def required_trigger(graph: SagaGraph, success: str) -> RequiredTrigger:
    """Return the right trigger of the compensation of the step that emits a success event."""
    successors = graph.successors(success)
    return RequiredTrigger(success, tuple((step, (*step.failures, *step.answers)) for step in successors))


def reverse_edges(graph: SagaGraph, step: str) -> Mapping[str, Slots]:
    """Return the slots that call the compensation of a step, by the success event that it emitted."""
    return {success: required_trigger(graph, success).slots for success in graph.steps[step].successes}


def trigger_of(slots: Slots) -> Trigger:
    """Return the protocol's trigger for slots; it is empty for a leaf.

    >>> trigger = trigger_of((frozenset({"PaymentFailed", "PaymentRefunded"}), frozenset({"SeatCancelled"})))
    >>> trigger.satisfied({"PaymentRefunded"}), trigger.satisfied({"PaymentRefunded", "SeatCancelled"})
    (False, True)
    """
    return Trigger.all_of(*(Trigger.of(*slot) for slot in slots))


def resolved(graph: SagaGraph) -> SagaGraph:
    """Return the graph with the triggers of all derived compensations filled in."""
    if not any(handler.derived for handler in graph.handlers):
        return graph
    steps = {name: _step(graph, step) for name, step in graph.steps.items()}
    undos = tuple(undo for step in steps.values() for undo in step.compensations)
    others = (handler for handler in graph.handlers if handler.task != "compensation")
    orphans = (h for h in graph.handlers if h.task == "compensation" and h.step not in steps)
    return replace(graph, steps=steps, handlers=(*others, *orphans, *undos))


def _step(graph: SagaGraph, step: Step) -> Step:
    return replace(
        step, compensations=tuple(each for undo in step.compensations for each in _undos(graph, step, undo))
    )


def _undos(graph: SagaGraph, step: Step, undo: HandlerEntry) -> Iterator[HandlerEntry]:
    """Yield a derived compensation once for all success events that have the same edges."""
    if not undo.derived:
        yield undo
        return
    edges = reverse_edges(graph, step.name)
    served = {success: slots for success, slots in edges.items() if serves(undo, success)}
    for slots in dict.fromkeys(served.values()):
        results = frozenset(success for success in served if served[success] == slots)
        yield replace(
            undo, trigger=trigger_of(slots), results=undo.results if results == set(edges) else results
        )
