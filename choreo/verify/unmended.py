"""What a missing compensation explains: events of it that nobody emits, and whoever waits for them."""

from __future__ import annotations

from collections.abc import Iterator

from choreo.graph import SagaGraph, Step
from choreo.manifest import HandlerEntry


def not_undone(graph: SagaGraph) -> Iterator[tuple[Step, str]]:
    """Give the success events that no compensation undoes, with their steps."""
    for step in graph.steps.values():
        if step.is_undone:
            yield from ((step, success) for success in step.successes if not step.undo_of(success))


def waits_for_missing_undo(graph: SagaGraph, handler: HandlerEntry) -> bool:
    """Say whether a compensation waits for that of a later step, and that one is missing."""
    if handler.task != "compensation" or handler.step not in graph.steps:
        return False
    after = {t.name for success in graph.steps[handler.step].successes for t in graph.successors(success)}
    return any(step.name in after for step, _ in not_undone(graph))
