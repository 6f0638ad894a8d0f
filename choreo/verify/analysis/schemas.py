"""The Avro schemas by which the participants write and read each event.

Parsing schemas is an adapter's work: the function that compares two is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from choreo.graph import Choreography, SagaGraph
from choreo.manifest import HandlerEntry, Manifest


class Unreadable(NamedTuple):
    """One place where a reader can't read what a writer may have written.

    ``lossy`` names the promotion where Avro allows it, and only some values don't survive it.
    """

    path: str
    reason: str
    lossy: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason


Compare = Callable[[Any, Any], Sequence[Unreadable]]
"""Given a writer's and a reader's schema, return what of the writer's records the reader can't read."""


def same(written: Any, read: Any) -> Sequence[Unreadable]:
    """Return nothing: the comparison for callers that examine the graph alone."""
    del written, read
    return ()


class Reading(NamedTuple):
    """One event that some handlers read by one schema.

    ``written`` is the writer's schema of today, ``read`` the readers'; ``earlier`` are the versions that the
    topic may still hold.
    """

    event: str
    writer: str
    handlers: tuple[HandlerEntry, ...]
    written: Any
    read: Any
    earlier: tuple[Any, ...]

    @property
    def readers(self) -> str:
        """The participants that read it so."""
        return " and ".join(handler.participant for handler in self.handlers)


def readings(choreography: Choreography, graph: SagaGraph) -> Iterator[Reading]:
    """Return every edge between a writer and its readers; readers that have the same schema are one edge."""
    manifests = {manifest.participant: manifest for manifest in choreography.manifests}
    readers = _readers(graph)
    for event, (step, _) in sorted(graph.outcome.items()):
        writer = _writer(graph, event, step)
        written = manifests[writer].schemas.get(event) if writer in manifests else None
        by_schema: dict[str, list[HandlerEntry]] = {}
        for handler in readers.get(event, {}).values():
            entry = manifests[handler.participant].schemas.get(event)
            if entry is not None:
                by_schema.setdefault(repr(entry.schema), []).append(handler)
        for handlers in by_schema.values():
            read = manifests[handlers[0].participant].schemas[event].schema
            source = written.schema if written else read
            yield Reading(event, writer, tuple(handlers), source, read, _retained(choreography, event))


def _writer(graph: SagaGraph, event: str, step: str) -> str:
    """Return the participant that publishes an event: of a timeout, the one that set the deadline."""
    for deadline in graph.deadlines:
        if event in deadline.emits.successes:
            return deadline.participant
    return graph.steps[step].participant if step in graph.steps else ""


def _readers(graph: SagaGraph) -> dict[str, dict[str, HandlerEntry]]:
    """Return the readers of each event: of each participant the first handler that reads it."""
    found: dict[str, dict[str, HandlerEntry]] = {}
    for handler in graph.handlers:
        for event in handler.trigger.types | handler.earlier | handler.results:
            found.setdefault(event, {}).setdefault(handler.participant, handler)
    return found


def _retained(choreography: Choreography, event: str) -> tuple[Any, ...]:
    """Return every earlier version of an event that a manifest keeps, each once."""
    versions: list[Any] = []
    for manifest in choreography.manifests:
        entry = manifest.schemas.get(event)
        versions += [each for each in (entry.earlier if entry else ()) if each not in versions]
    return tuple(versions)


def enums(manifest: Manifest, event: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Return the enums in an event's schema that have no default, with their symbols."""
    entry = manifest.schemas.get(event)
    waiting = [entry.schema] if entry else []
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if part.get("type") == "enum" and "default" not in part:
                yield str(part.get("name", "")), tuple(map(str, part.get("symbols", ())))
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
