"""Who reads which event, with which schema: the edges on which Avro schemas have to fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from choreo.manifest import HandlerEntry, Manifest
from choreo.manifest.manifest import Link
from choreo.verify.case import Case
from choreo.verify.finding import at


class Reading(NamedTuple):
    """One event that is read by one schema: the handlers that do, and how both sides describe the event.

    ``written`` is the writer's schema of today, ``earlier`` those that the log may still hold.
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

    @property
    def others(self) -> tuple[Link, ...]:
        """Where the handlers but the first are declared."""
        return tuple(at(handler) for handler in self.handlers[1:])


def readings(case: Case) -> Iterator[Reading]:
    """Give every edge between a writer and its readers; those that read by the same schema are one."""
    manifests = {manifest.participant: manifest for manifest in case.choreography.manifests}
    readers = _readers(case)
    for event, (step, _) in sorted(case.graph.outcome.items()):
        writer = _writer(case, event, step)
        written = manifests[writer].schemas.get(event) if writer in manifests else None
        by_schema: dict[str, list[HandlerEntry]] = {}
        for handler in readers.get(event, {}).values():
            entry = manifests[handler.participant].schemas.get(event)
            if entry is not None:
                by_schema.setdefault(repr(entry.schema), []).append(handler)
        for handlers in by_schema.values():
            read = manifests[handlers[0].participant].schemas[event].schema
            source = written.schema if written else read
            yield Reading(event, writer, tuple(handlers), source, read, _retained(case, event))


def _writer(case: Case, event: str, step: str) -> str:
    """Give who publishes an event: of a timeout, who set the deadline."""
    for deadline in case.graph.deadlines:
        if event in deadline.emits.successes:
            return deadline.participant
    return case.graph.steps[step].participant if step in case.graph.steps else ""


def _readers(case: Case) -> dict[str, dict[str, HandlerEntry]]:
    """Give who reads each event: of each participant its first handler that does."""
    found: dict[str, dict[str, HandlerEntry]] = {}
    for handler in case.graph.handlers:
        for event in frozenset().union(*handler.trigger) | handler.earlier | handler.results:
            found.setdefault(event, {}).setdefault(handler.participant, handler)
    return found


def _retained(case: Case, event: str) -> tuple[Any, ...]:
    """Give every earlier version that anybody keeps, each once."""
    versions: list[Any] = []
    for manifest in case.choreography.manifests:
        entry = manifest.schemas.get(event)
        versions += [each for each in (entry.earlier if entry else ()) if each not in versions]
    return tuple(versions)


def enums(manifest: Manifest, event: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give the enums in an event's schema that have no default, with their symbols."""
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
