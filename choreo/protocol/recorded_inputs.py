"""How the saga log records the inputs of the protocol, and how a saga is folded again from its rows (R9).

`choreo.worker.rows` makes the rows of one input: its own, and those of its consequences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import dropwhile
from typing import Any, NamedTuple

from choreo.envelope import Envelope, is_keyed_by_id
from choreo.outcome import START, SUCCEEDED
from choreo.protocol import (
    Begin,
    Buried,
    Decision,
    Deferred,
    Discarded,
    Due,
    Ended,
    Ignored,
    Input,
    Instance,
    Observed,
    Progress,
    Pruned,
    Requeued,
    Role,
    fold_into,
)
from choreo.protocol.decisions import HELD
from choreo.protocol.events import fold_event, pass_over
from choreo.protocol.instance import PENDING, Activity
from choreo.protocol.renaming import name_in, names_in_use, role_for
from choreo.protocol.steps import NOT_TAKEN
from choreo.records import Entry

WAITS_FOR_SCHEMA = "schema"
"""The kind of a row ``deferred`` that is no attempt: the handler was not called."""

EXTENDED, REVOKED = "extended", "revoked"
"""The kinds of the rows ``deferred`` and ``discarded`` of a deadline that somebody has changed by hand.

The row of an extension has its new time as ``event_time``.
"""

INPUT_NAMES: dict[type, str] = {
    Envelope: "event",
    Begin: "begin",
    Ended: "ended",
    Deferred: "deferred",
    Buried: "buried",
    Requeued: "requeued",
    Discarded: "discarded",
    Observed: "observed",
    Due: "due",
}

_INPUTS: dict[str, Callable[[Entry], Input]] = {
    "begin": lambda e: Begin(e.step, e.kind == "joining"),
    "ended": lambda e: Ended(e.step, e.outcome, e.event_type, e.kind, e.note),  # type: ignore[arg-type]
    "deferred": lambda e: Deferred(e.step, e.note, is_attempt(e)),
    "buried": lambda e: Buried(e.step, e.note),
    "requeued": lambda e: Requeued(e.step, e.causation_id),
    "discarded": lambda e: Discarded(e.step, e.note, e.causation_id),
    "observed": lambda e: Observed(e.step),
    "due": lambda e: Due(e.step),
    "pruned": lambda e: Pruned(e.saga_state),  # type: ignore[arg-type]
}


def is_attempt(entry: Entry) -> bool:
    """Whether a row ``deferred`` is of an attempt that failed: its handler was called."""
    return entry.kind not in (WAITS_FOR_SCHEMA, EXTENDED)


def envelope_of(entry: Entry) -> Envelope:
    """Return the attributes of the event that an entry of the saga log records."""
    return Envelope(
        entry.event_id,
        entry.source,
        entry.event_type,
        entry.event_time,
        entry.saga_id,
        entry.saga_type,
        entry.saga_version,
        entry.step,
        entry.outcome,  # type: ignore[arg-type]
        entry.kind,  # type: ignore[arg-type]
        entry.causation_id,
        entry.traceparent,
    )


def input_of(entry: Entry) -> Input:
    """Return the input whose folding wrote an entry."""
    return envelope_of(entry) if entry.input == "event" else _INPUTS[entry.input](entry)


def local_fields(command: Any) -> tuple[str, str, str, str, str]:
    """Return the columns that hold a local command: outcome, event type, kind, causation, note."""
    kind = type(command)
    if kind is Ended:
        return command.outcome, command.type, command.how, "", command.reason
    if kind is Deferred and not command.is_attempt:
        return "", "", WAITS_FOR_SCHEMA, "", command.reason
    if kind is Begin:
        return "", "", "joining" if command.joining else "", "", ""
    if kind is Requeued:
        return "", "", "", command.event_id, ""
    if kind is Discarded:
        return "", "", "", command.event_id, command.reason
    return "", "", "", "", getattr(command, "reason", "")


def shows_keyed_by_id(role: Role, entries: Iterable[Entry]) -> bool:
    """Whether the participant's first event in a saga's rows has an id that was derived from its id alone.

    So a store that was rebuilt from the topic, or made of an export, keeps the ids of the one that was lost.
    """
    for entry in entries:
        if entry.event_id and entry.offset < 0 and entry.source == role.participant:
            return is_keyed_by_id(envelope_of(entry))
    return False


def fold_row(role: Role, saga: Instance, entry: Entry) -> list[Decision]:
    """Fold the input that a row records, and return the decisions.

    What the row says of the saga's end is a fact, too: an earlier choreo took a saga that had failed as one
    at rest, whatever came later (R9).
    """
    if saga.end == "failed" and entry.note == "void":
        pass_over(saga, envelope_of(entry))
        return [Ignored("void")]
    name = name_in(role, saga, entry.step)
    if entry.input == "buried" and entry.note == NOT_TAKEN:
        _leave_out(saga, name, entry.causation_id)
        return []
    if entry.input in ("observed", "buried") and name in saga.observers:
        _let_be_next(saga, name, entry.causation_id)
    decisions: list[Decision] = []
    if entry.input == "event":
        known = role_for(role, saga)
        fold_event(known, saga, envelope_of(entry), decisions, entry.note == HELD)
    else:
        decisions = fold_into(role, saga, input_of(entry))
    if saga.end == "failed" and entry.saga_state == "failed":
        saga.rest()
    return decisions


class Pending(NamedTuple):
    """What a store holds of the work of one saga, besides its saga log.

    ``queued`` are the steps whose action is on the schedule, ``observers`` the event that each observer on
    the schedule handles next, ``armed`` the deadlines on the schedule. ``withheld`` are the task and name of
    the work of dead letters.
    """

    queued: frozenset[str] = frozenset()
    observers: Mapping[str, str] = {}
    armed: frozenset[str] = frozenset()
    withheld: frozenset[tuple[str, str]] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        """The names of the handlers on the schedule."""
        return self.queued | self.observers.keys() | self.armed


def names_in_rows(role: Role, entries: Iterable[Entry]) -> frozenset[str]:
    """Return the names of renamed handlers under which the participant wrote rows of a saga."""
    if not role.names:
        return frozenset()
    return names_in_use(role, (entry.step for entry in entries if entry.input != "event"))


def rebuild(
    role: Role,
    entries: Iterable[Entry],
    pending: Pending | None = None,
    then: Callable[[int], Role] | None = None,
) -> Instance:
    """Return the saga that its rows of the saga log fold to.

    What the rows say of an own step, of an observer or of a deadline is a fact, whatever the declarations of
    today would decide about the same input (R9). The rows of what the service does not declare any more are
    passed over. No row says what is only queued: with ``pending`` the schedule does, so what is declared
    anew is not taken as called by events of before. Without a schedule, ``then`` returns the role that was
    in force when a row was written, by its place among the entries.
    """
    saga, entries = Instance(), list(entries)
    saga.names = names_in_rows(role, entries) | names_in_use(role, pending.names if pending else ())
    saga.keyed_by_id = shows_keyed_by_id(role, entries)
    declared, place = _declared_in(role), 0
    for rows in _by_input(entries):
        first = rows[0]
        if then is not None:
            role = then(place)
            declared, place = _declared_in(role), place + len(rows)
        is_declared = first.step in declared or first.causation_id in saga.held
        if first.input not in ("", "event", "pruned") and not is_declared:
            continue
        before = dict(saga.steps)
        if first.input:
            _fold_fact(role, saga, first)
        if saga.steps != before or any(row.old_state != row.new_state for row in rows):
            _keep_facts(role, saga, before, rows)
    if pending is not None:
        _settle(role, saga, entries, pending)
    return saga


def _declared_in(role: Role) -> set[str]:
    return {*role.action, *role.deadline, *(each.name for each in role.observers), *role.family}


def _by_input(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Yield the rows of one input after the other: its own row, and those of its consequences."""
    rows: list[Entry] = []
    for entry in entries:
        if entry.input and rows:
            yield rows
            rows = []
        rows.append(entry)
    if rows:
        yield rows


def _fold_fact(role: Role, saga: Instance, entry: Entry) -> None:
    """Fold the input of a row, which applied to the state that the row says."""
    name = name_in(role, saga, entry.step)
    if entry.input in ("begin", "ended", "deferred") and name in role.action:
        _let_be_under_way(saga, entry)
    elif name in role.deadline and (entry.input in ("due", "buried") or entry.kind == REVOKED):
        saga.deadlines[name] = "armed"
    fold_row(role, saga, entry)


def _let_be_under_way(saga: Instance, entry: Entry) -> None:
    progress = saga.step(entry.step)
    if progress.state != entry.old_state:
        progress = Progress(entry.old_state, result=progress.result)  # type: ignore[arg-type]
    if progress.activity == "idle" and entry.step != START:
        progress = progress._replace(activity="queued")
    if progress != saga.step(entry.step):
        saga.steps[entry.step] = progress


def _let_be_next(saga: Instance, observer: str, event_id: str) -> None:
    """Let an event be the next one of an observer: those before it were handled, or never queued."""
    waiting = saga.observers.get(observer, ())
    if waiting[:1] != (event_id,):
        later = waiting[waiting.index(event_id) :] if event_id in waiting else (event_id, *waiting)
        saga.observers[observer] = later


def _leave_out(saga: Instance, observer: str, event_id: str) -> None:
    """Let an event wait for an observer no more, wherever it stands among those that do."""
    waiting = tuple(each for each in saga.observers.pop(observer, ()) if each != event_id)
    if waiting:
        saga.observers[observer] = waiting


def _keep_facts(role: Role, saga: Instance, before: Mapping[str, Progress], rows: Sequence[Entry]) -> None:
    """Let each own step be in the state that the rows of an input say, or in the one of before."""
    recorded = {row.step: row for row in rows if row.step in role.action and row.old_state != row.new_state}
    for step in {*recorded, *saga.steps}:
        progress, old = saga.step(step), before.get(step, PENDING)
        row = recorded.get(step)
        if progress.state != (row.new_state if row else old.state):
            saga.steps[step] = _recorded(row, old, rows[0]) if row else _repeated(old, rows[0], step)
        elif progress.activity == "dead" and rows[0].input == "event":
            saga.steps[step] = old  # what is buried has a row of its own, which follows


def _recorded(row: Entry, old: Progress, first: Entry) -> Progress:
    """Return the progress of a step after a transition that today's declarations would not make."""
    state: Any = row.new_state
    result = row.event_type if row.outcome == SUCCEEDED else old.result
    attempt = old.attempt if state == "executing" else 0
    activity: Activity = "queued" if state == "compensating" else "idle"
    return _repeated(Progress(state, activity, result, attempt), first, row.step)


def _repeated(old: Progress, first: Entry, step: str) -> Progress:
    """Return the progress of a step that began, or backs off, as the first row of an input says."""
    if first.step == step and old.state in ("executing", "compensating"):
        if first.input == "begin":
            return old._replace(activity="running", attempt=old.attempt + (old.activity == "running"))
        if first.input == "deferred":
            return old._replace(activity="waiting", attempt=old.attempt + is_attempt(first))
    return old


def _settle(role: Role, saga: Instance, entries: Sequence[Entry], pending: Pending) -> None:
    """Let be queued, waiting or armed what the store has on its schedule, or withholds, and nothing else."""
    if not saga.unowned:  # in quarantine nothing of a step stays on the schedule
        for step in role.action:
            _settle_step(saga, step, pending)
    for observer in role_for(role, saga).observers:
        _settle_observer(saga, observer.name, entries, pending)
    for name in role.deadline:
        if name in pending.armed:
            saga.deadlines[name] = "armed"
        elif saga.deadlines.get(name) == "armed" and ("deadline", name) not in pending.withheld:
            del saga.deadlines[name]


def _settle_step(saga: Instance, step: str, pending: Pending) -> None:
    progress = saga.step(step)
    if progress.state != "pending":
        return
    if progress.activity == "idle" and step in pending.queued:
        saga.steps[step] = progress._replace(activity="queued")
    is_known = step in pending.queued or ("action", step) in pending.withheld
    if progress.activity == "queued" and not is_known:
        saga.steps[step] = progress._replace(activity="idle")


def _settle_observer(saga: Instance, name: str, entries: Sequence[Entry], pending: Pending) -> None:
    waiting, head = saga.observers.get(name, ()), pending.observers.get(name)
    if head is None:
        if waiting and ("observer", name) not in pending.withheld:
            del saga.observers[name]
    else:
        # The log keeps the bodies of what a handler of that time took: what has none was not queued.
        events = [entry for entry in entries if entry.input == "event"]
        after = dropwhile(lambda entry: entry.event_id != head, events)
        later = {entry.event_id for entry in after if entry.payload is not None}
        again = {each.causation_id for each in entries if each.input == "requeued" and each.step == name}
        behind = (each for each in waiting if each != head and (each in later or each in again))
        saga.observers[name] = (head, *behind)
