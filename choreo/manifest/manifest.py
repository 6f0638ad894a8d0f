"""``Manifest``: what one participant declares, as data, and the entries that it consists of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


@dataclass(frozen=True)
class ParameterEntry:
    """One parameter of a handler, from which its ``def`` line can be written again.

    ``role`` is ``event`` (it calls the handler), ``result`` (of the action that is undone), ``earlier`` or
    ``context``. ``types`` are the full names of the events that it takes, without `Aborted`; ``optional``: it
    takes None, too.
    """

    name: str
    role: str
    types: tuple[str, ...] = ()
    optional: bool = False


ROLES = ("event", "result", "earlier", "context")
"""The roles that a parameter may have."""


class Link(NamedTuple):
    """A line of source: ``place`` is ``file:line``, ``text`` is the line."""

    place: str
    text: str


class Remark(NamedTuple):
    """What a rule has found in the body of a handler.

    ``where`` is the line, ``about`` the name of what is called or returned there, ``what`` a detail, and
    ``chain`` the lines of the functions that are called from there, down to the last.
    """

    rule: str
    handler: str
    where: Link
    about: str = ""
    what: str = ""
    chain: tuple[Link, ...] = ()


Alternatives = tuple[frozenset[str], ...]
"""The trigger of a handler: any of several sets of event types, of which all must have come.

They are sorted, so that equal triggers compare equal however they were declared.
"""


def in_order(alternatives: Iterable[frozenset[str]]) -> Alternatives:
    """Return alternatives sorted."""
    return tuple(sorted(alternatives, key=sorted))


@dataclass(frozen=True)
class SagaEntry:
    """The contract of a saga, as one participant knows it."""

    name: str
    topic: str
    version: int
    starts: str
    completes: str
    fails: str
    aborts: str = ""


@dataclass(frozen=True)
class Emission:
    """The events that a handler may emit: those that mean success, and those that mean failure."""

    successes: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class RetryEntry:
    """How often an attempt is repeated, and after which pauses, in milliseconds."""

    attempts: int
    delay_ms: int
    factor: float
    longest_ms: int


@dataclass(frozen=True)
class HandlerEntry:
    """One handler: ``task`` and ``step`` as in `choreo.participant.Handler`, times in milliseconds.

    ``place`` is ``file:line``, the file as the project names it. ``results`` are the success events that a
    compensation undoes (empty: all), ``aborted`` says whether it admits an `Aborted`, ``optional_result``
    whether it can run without the event that its action returned. ``earlier`` are the earlier events that the
    handler takes; ``derived``: a compensation names no event, and its trigger follows from the graph (R7).
    """

    name: str
    task: str
    step: str
    saga: str
    place: str
    trigger: Alternatives
    emits: Emission = field(default_factory=Emission)
    kind: str = ""
    timeout_ms: int | None = None
    within_ms: int | None = None
    retry: RetryEntry | None = None
    results: frozenset[str] = frozenset()
    aborted: bool = False
    optional_result: bool = False
    earlier: frozenset[str] = frozenset()
    runs: str = "inside"
    partial: bool = False
    derived: bool = False
    parameters: tuple[ParameterEntry, ...] = ()

    @property
    def participant(self) -> str:
        """The name of the participant that declares it."""
        return self.name.partition(".")[0]


@dataclass(frozen=True)
class ExternalEntry:
    """An event that goes to (``export``) or comes from (``import``) a topic that isn't a saga's."""

    event: str
    saga: str
    topic: str
    direction: str


@dataclass(frozen=True)
class SchemaEntry:
    """An event's Avro schema, its fingerprint in hex, and earlier versions that the topic may still hold."""

    schema: Any
    fingerprint: str
    earlier: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Suppression:
    """``# choreo: ignore[CHO204] reason`` at ``place``: findings of the rule are not reported there."""

    rule: str
    place: str
    reason: str = ""


@dataclass(frozen=True)
class Manifest:
    """All that one participant declares. ``schemas`` has an entry for each event type.

    ``choreo`` and ``code`` are the versions of choreo and of the participant's own code. ``remarks`` are what
    was found in the bodies of its handlers. ``origin`` says where it was read, for messages; ``outdated``
    names a committed manifest that differs from the code; neither is written.
    """

    participant: str
    sagas: tuple[SagaEntry, ...]
    handlers: tuple[HandlerEntry, ...]
    external: tuple[ExternalEntry, ...] = ()
    schemas: Mapping[str, SchemaEntry] = field(default_factory=dict)
    suppressions: tuple[Suppression, ...] = ()
    choreo: str = ""
    code: str = ""
    origin: str = ""
    remarks: tuple[Remark, ...] = ()
    outdated: str = ""
