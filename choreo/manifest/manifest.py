"""``Manifest``: the declarations of one participant as data, and the entries of a manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from choreo.participant.handler import names_of
from choreo.protocol import Trigger
from choreo.saga import ALL_VERSIONS, Versions


@dataclass(frozen=True)
class ParameterEntry:
    """One parameter of a handler, from which its ``def`` line can be reproduced.

    ``role`` is ``event`` (it calls the handler), ``result`` (of the action that is undone), ``earlier`` or
    ``context``. ``types`` are the full names of the events that it takes, without `Aborted`; ``optional``: it
    takes None too.
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
    """A finding of a rule in the body of a handler.

    ``where`` is the line, ``about`` the name that is called or returned there, ``what`` a detail, and
    ``chain`` the lines of the nested calls, outermost first.
    """

    rule: str
    handler: str
    where: Link
    about: str = ""
    what: str = ""
    chain: tuple[Link, ...] = ()


@dataclass(frozen=True)
class SagaEntry:
    """The contract of a saga, as one participant declares it."""

    name: str
    topic: str
    version: int
    starts: str
    completes: str
    fails: str
    aborts: str = ""


@dataclass(frozen=True)
class Emission:
    """The full names of the events that a handler may emit, by success and failure."""

    successes: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class RetryEntry:
    """The retry of a handler: attempts, and pauses in milliseconds."""

    attempts: int
    delay_ms: int
    factor: float
    longest_ms: int


@dataclass(frozen=True)
class HandlerEntry:
    """One handler: ``task`` and ``step`` as in `choreo.participant.Handler`, times in milliseconds.

    ``place`` is ``file:line``, relative to the project. ``results`` are the success events that a
    compensation undoes (empty: all), ``aborted``: it admits an `Aborted`, ``optional_result``: it can run
    without the event that its action returned, ``derived``: it names no event, and its trigger follows from
    the graph (R7). ``earlier`` are the earlier events that the handler takes. ``versions`` are those of the
    sagas that it takes part in, ``formerly`` the names that its function had, newest first. ``of`` is the
    function of the action that a compensation undoes, where the step has another name.
    """

    name: str
    task: str
    step: str
    saga: str
    place: str
    trigger: Trigger
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
    versions: Versions = ALL_VERSIONS
    formerly: tuple[str, ...] = ()
    of: str = ""

    @property
    def participant(self) -> str:
        """The name of the participant that declares it."""
        return self.name.partition(".")[0]

    @property
    def names(self) -> tuple[str, ...]:
        """Its own name and the former ones, newest first; the oldest one is its identity."""
        return names_of(self.name, self.formerly)

    @property
    def known_as(self) -> str:
        """The name that the protocol uses: of the step, for an observer or a deadline its identity."""
        return self.step if self.task in ("action", "compensation") else self.names[-1]

    @property
    def aliases(self) -> tuple[str, ...]:
        """Its names but the identity."""
        return self.names[:-1]


@dataclass(frozen=True)
class ExternalEntry:
    """An event that is exported to, or imported from, a topic that isn't a saga's."""

    event: str
    saga: str
    topic: str
    direction: str


@dataclass(frozen=True)
class SchemaEntry:
    """An event's Avro schema, its fingerprint in hex, and the earlier versions that a topic may contain."""

    schema: Any
    fingerprint: str
    earlier: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Suppression:
    """A comment ``# choreo: ignore[CHO204] reason`` at ``place``, where the rule reports nothing."""

    rule: str
    place: str
    reason: str = ""


@dataclass(frozen=True)
class ModuleEntry:
    """A module in which handlers stand: its file, its dotted name, and the names that its code knows.

    ``names`` are Python expressions by what they stand for: ``participant``, ``saga NAME``, or the full name
    of an event or of something of choreo's.
    """

    file: str
    name: str
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """The declarations of one participant. ``schemas`` has an entry for each event type.

    ``choreo`` and ``code`` are the versions of choreo and of the participant's own code. ``remarks`` are the
    findings in the bodies of its handlers. ``origin`` is the place it was read from, for messages;
    ``outdated`` names a committed manifest that differs from the code; neither is written. ``modules`` are
    those of the handlers, ``origins`` the dotted names from which what they name can be imported, by the keys
    of `ModuleEntry`, ``project`` is the project that the files belong to, ``heads`` are the decorators of
    compensations that have ``on=``, as they read without it.
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
    modules: tuple[ModuleEntry, ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)
    project: str = ""
    heads: Mapping[str, str] = field(default_factory=dict)
