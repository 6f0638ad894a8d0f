"""What a release declares anew, done after all for sagas whose events came before it.

A newly declared step, compensation, deadline or observer acts on what is folded from then on (R9). To have it
act on what came before, its work becomes a dead letter that is requeued at once: the worker decides by the
protocol, against the state of the saga at that time, as for any other one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from choreo.errors import PayloadErased
from choreo.manifest import Manifest
from choreo.outcome import START
from choreo.ports import Store
from choreo.protocol import Answer, Arm, Decision, Instance, Queue, Requeued, Role, Trigger, fold
from choreo.protocol.recorded_inputs import rebuild
from choreo.protocol.renaming import role_for
from choreo.records import Entry, SagaKey, Scheduled, version_of
from choreo.release.in_force import role_in
from choreo.worker.dead_letters import dead_letter, settle_in_turn
from choreo.worker.item import Item, TriggerEvent
from choreo.worker.pending import NEWLY_DECLARED, is_before_start, pending_of, unsettled

ReadBodies = Callable[[Sequence[Entry]], Mapping[str, bytes]]
"""Reads the bodies of events from their topics, by the events' ids; those that are gone are left out."""


class Missed(NamedTuple):
    """One thing that today's declarations call for in a saga, and those of before did not.

    ``what``: a step would ``run``, or be ``refused`` as the saga is aborted; a compensation would ``undo``; a
    deadline would be ``armed``; an observer would ``observe`` an event. ``cause`` is the event that calls it,
    ``unread`` the events whose bodies it needs and the saga log did not keep, ``erased`` those whose bodies
    were erased.
    """

    role: Role
    key: SagaKey
    what: str
    task: str
    name: str
    cause: Entry
    unread: tuple[Entry, ...] = ()
    erased: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.task} {self.name}"


def identity_in(manifest: Manifest, name: str) -> str:
    """Return the name by which the protocol knows a handler with this name; empty where none has it."""
    for each in manifest.handlers:
        if name in (each.name, each.known_as, *each.names):
            return each.known_as
    return ""


def missed_in(store: Store, manifest: Manifest, name: str, key: SagaKey) -> list[Missed]:
    """Return what a saga has missed of a step, an observer or a deadline of a release."""
    entries = store.history(*key)
    role = role_in(manifest, key.saga_type, version_of(entries)) if entries else None
    return missed(store, role, entries, name) if role else []


def missed(store: Store, role: Role, entries: Sequence[Entry], name: str = "") -> list[Missed]:
    """Return what a saga in flight has missed, or what it has missed of one step, observer or deadline.

    ``entries`` are its rows, at least one, and ``role`` is that of today.
    """
    saga = rebuild(role, entries, pending_of(store, role, entries))
    if saga.is_at_rest or saga.unowned or saga.held or is_before_start(store, entries):
        return []
    names = role.family.get(name, (name,))
    role = role_for(role, saga)
    search = _Search(store, role, saga, entries)
    steps = (action.step for action in role.actions if not name or action.step in names)
    deadlines = (each.name for each in role.deadlines if not name or each.name in names)
    observers = (each.name for each in role.observers if not name or each.name in names)
    found = [*search.steps(steps), *search.deadlines(deadlines), *search.observers(observers)]
    return [each for each in found if not search.is_under_way(each)]


class _Search:
    """Searches one saga; its events are those that count, by their types."""

    def __init__(self, store: Store, role: Role, saga: Instance, entries: Sequence[Entry]) -> None:
        self._store = store
        self._role = role
        self._saga = saga
        self._entries = entries
        self._key = SagaKey(entries[0].saga_id, role.contract.saga)
        self._events = [row for row in entries if row.input == "event" and row.note != "void"]
        rows, letters = store.scheduled(*self._key), store.letters_of(*self._key)
        waiting = (*_scheduled(rows), *((x.task, x.name, x.event_id) for x in unsettled(rows, letters)))
        self._waiting = frozenset(waiting)

    def is_under_way(self, found: Missed) -> bool:
        """Whether it is on the schedule, or a dead letter of it is open or about to be tried again."""
        if found.task == "observer":
            return (found.task, found.name, found.cause.event_id) in self._waiting
        return any(each[:2] == (found.task, found.name) for each in self._waiting)

    def steps(self, names: Iterator[str]) -> Iterator[Missed]:
        """Yield the steps that would run, be refused, or be compensated."""
        for name in names:
            for decision in self._decided(name):
                action = self._role.action[name]
                if isinstance(decision, Queue) and decision.task == "compensation":
                    calls = [undo.trigger for undo in action.compensations]
                    types = frozenset().union(*(call.types for call in calls))
                    yield self._found("undo", decision.task, name, self._undo_cause(calls), types)
                elif isinstance(decision, Queue | Answer) and name != START:
                    what = "run" if isinstance(decision, Queue) else "refused"
                    yield self._found(what, "action", name, self._cause(action.trigger), action.trigger.types)

    def deadlines(self, names: Iterator[str]) -> Iterator[Missed]:
        """Yield the deadlines that would be armed."""
        for name in names:
            if any(isinstance(each, Arm) for each in self._decided(name)):
                after = self._role.deadline[name].after
                yield self._found("armed", "deadline", name, self._cause(after), after.types)

    def observers(self, names: Iterator[str]) -> Iterator[Missed]:
        """Yield the events that an observer would have seen."""
        for observer in (each for name in names for each in self._role.observers if each.name == name):
            known = {row.causation_id for row in self._entries if row.step == observer.name and row.input}
            known.update(self._saga.observers.get(observer.name, ()))
            for row in self._events:
                if row.event_type in observer.trigger.types and row.event_id not in known:
                    yield self._found("observe", "observer", observer.name, row, {row.event_type})

    def _decided(self, name: str) -> list[Decision]:
        return fold(self._role, self._saga, Requeued(name))[1]

    def _found(
        self, what: str, task: str, name: str, cause: Entry, types: frozenset[str] | set[str]
    ) -> Missed:
        unread, erased = [], []
        for row in self._events:
            if row.event_type in types or row.event_type in self._role.reads:
                try:
                    if self._store.payload(*self._key, row.event_type) is None:
                        unread.append(row)
                except PayloadErased:
                    erased.append(row.event_type)
        return Missed(self._role, self._key, what, task, name, cause, tuple(unread), tuple(erased))

    def _cause(self, trigger: Trigger) -> Entry:
        """Return the event that satisfies a trigger; the last one that touches it where none does."""
        seen: set[str] = set()
        last = self._events[-1]
        for row in self._events:
            if row.event_type in trigger.types:
                seen.add(row.event_type)
                last = row
                if trigger.satisfied(seen):
                    break
        return last

    def _undo_cause(self, calls: Sequence[Trigger]) -> Entry:
        """Return the event that calls a compensation: of one without events, the first failure (R7)."""
        for trigger in calls:
            if trigger.satisfied(self._saga.types):
                return self._cause(trigger)
        failures = (row for row in self._events if row.step == self._saga.failing)
        return next((row for row in failures if row.outcome in ("failed", "timed_out")), self._events[-1])


def _scheduled(rows: Sequence[Scheduled]) -> Iterator[tuple[str, str, str]]:
    return ((row.task, row.name, row.event_id) for row in rows)


def missing_bodies(found: Missed, bodies: Mapping[str, bytes]) -> str:
    """Return why something can't be done, as a body is not to be had; empty where all are."""
    if found.erased:
        return f"the body of {found.erased[0]} was erased"
    gone = [row.event_type for row in found.unread if row.event_id not in bodies]
    if gone:
        return f"the saga log did not keep the body of {gone[0]}, and the topic was not read, or lost it"
    return ""


def take_up(
    store: Store, topic: str, found: Missed, bodies: Mapping[str, bytes], comment: str, now: int
) -> None:
    """Put what was missed into the store, inside a turn: the worker does it in its next one.

    ``bodies`` are those of the events whose bodies the saga log did not keep.
    """
    letters = []
    for row in sorted({*found.unread, found.cause}, key=lambda each: each.event_id == found.cause.event_id):
        body = bodies.get(row.event_id, row.payload)
        item = Item(found.role, topic, found.key.saga_id, TriggerEvent.of_entry(row._replace(payload=body)))
        letter = dead_letter(item, found.task, found.name, NEWLY_DECLARED, comment, now, 0)
        letter = letter._replace(edited=bodies.get(row.event_id))
        letters.append(letter._replace(id=store.add_dead_letter(letter)))
    for letter in letters[:-1]:  # they only hold the bodies of the other events
        store.close_dead_letter(letter.id, "requeued", comment, now)
    settle_in_turn(store, letters[-1], "requeued", comment, now)
