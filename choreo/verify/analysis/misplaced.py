"""Finds handlers that are declared in one saga of their participant, and meant in another of its sagas.

Where two sagas have events of one namespace, ``saga=`` decides which of them a handler is of. One that waits
for events of the other saga alone was given the wrong one: what misses it there, and what leads nowhere
here, are consequences. So the choreography is verified with such handlers where they are meant to be.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from choreo.graph import Choreography, SagaGraph, choreography_of
from choreo.manifest import HandlerEntry


class Misplaced(NamedTuple):
    """A handler as it is declared, and the saga in which its events are."""

    handler: HandlerEntry
    saga: str


def misplaced(choreography: Choreography) -> tuple[Choreography, tuple[Misplaced, ...]]:
    """Return the choreography with every handler in the saga of its events, and those that were moved."""
    found: list[Misplaced] = []
    while True:
        known = {each.handler.name for each in found}
        new = [each for each in _roots(choreography) if each.handler.name not in known]
        if not new:
            return choreography, tuple(found)
        found += new
        choreography = _moved(choreography, new)


def _roots(choreography: Choreography) -> list[Misplaced]:
    """Return the misplaced handlers that don't wait for what another misplaced one emits."""
    found = list(_misplaced(choreography))
    emitted = {name for each in found for name in each.handler.emits.successes + each.handler.emits.failures}
    return [each for each in found if each.handler.trigger.types.isdisjoint(emitted)]


def _misplaced(choreography: Choreography) -> Iterator[Misplaced]:
    for graph in choreography.sagas:
        others = [each for each in choreography.sagas if each is not graph]
        for handler in graph.handlers if others else ():
            events = handler.trigger.types
            if handler.task == "compensation" or not events or not events.isdisjoint(_known(graph)):
                continue
            meant = [
                other.name
                for other in others
                if handler.participant in other.participants and events <= other.outcome.keys()
            ]
            if len(meant) == 1:
                yield Misplaced(handler, meant[0])


def _known(graph: SagaGraph) -> set[str]:
    contract = graph.contract
    return {
        *graph.outcome,
        *graph.imports,
        contract.starts,
        contract.completes,
        contract.fails,
        contract.aborts,
    }


def _moved(choreography: Choreography, found: list[Misplaced]) -> Choreography:
    """Return the choreography with these handlers in their sagas; a compensation goes with its step."""
    steps = {each.handler.step: each for each in found if each.handler.task == "action"}
    names = {each.handler.name: each for each in found}

    def moved(handler: HandlerEntry) -> HandlerEntry:
        each = names.get(handler.name) or (
            steps.get(handler.step) if handler.task == "compensation" else None
        )
        return replace(handler, saga=each.saga) if each and handler.saga == each.handler.saga else handler

    return choreography_of(
        replace(manifest, handlers=tuple(map(moved, manifest.handlers)))
        for manifest in choreography.manifests
    )
