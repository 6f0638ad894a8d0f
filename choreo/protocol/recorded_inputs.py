"""How the saga log records the inputs of the protocol, and how a saga is folded again from its rows (R9).

`choreo.worker.rows` makes the rows of one input: its own, and those of its consequences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from choreo.envelope import Envelope, is_keyed_by_id
from choreo.outcome import SUCCEEDED
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
from choreo.protocol.events import pass_over
from choreo.protocol.instance import PENDING
from choreo.records import Entry

WAITS_FOR_SCHEMA = "schema"
"""The kind of a row ``deferred`` that is no attempt: the handler was not called."""

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
    "deferred": lambda e: Deferred(e.step, e.note, e.kind != WAITS_FOR_SCHEMA),
    "buried": lambda e: Buried(e.step, e.note),
    "requeued": lambda e: Requeued(e.step, e.causation_id),
    "discarded": lambda e: Discarded(e.step, e.note),
    "observed": lambda e: Observed(e.step),
    "due": lambda e: Due(e.step),
    "pruned": lambda e: Pruned(e.saga_state),  # type: ignore[arg-type]
}


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
    decisions = fold_into(role, saga, input_of(entry))
    if saga.end == "failed" and entry.saga_state == "failed":
        saga.rest()
    return decisions


def rebuild(role: Role, entries: Iterable[Entry]) -> Instance:
    """Return the saga that its rows of the saga log fold to.

    What the rows say of an own step's state is a fact, whatever the declarations of today would decide
    about the same input (R9). The rows of a step that the service does not declare any more are passed over.
    """
    saga, entries = Instance(), list(entries)
    saga.keyed_by_id = shows_keyed_by_id(role, entries)
    for rows in _by_input(entries):
        first = rows[0]
        if first.input in ("begin", "ended") and first.step not in role.action:
            continue
        before = dict(saga.steps)
        if first.input:
            fold_row(role, saga, first)
        if saga.steps != before or any(row.old_state != row.new_state for row in rows):
            _keep_facts(role, saga, before, rows)
    return saga


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


def _keep_facts(role: Role, saga: Instance, before: Mapping[str, Progress], rows: Sequence[Entry]) -> None:
    """Let each own step be in the state that the rows of an input say, or in the one of before."""
    recorded = {row.step: row for row in rows if row.step in role.action and row.old_state != row.new_state}
    for step in {*recorded, *saga.steps}:
        progress = saga.step(step)
        if step in recorded:
            row = recorded[step]
            if progress.state != row.new_state:
                result = row.event_type if row.outcome == SUCCEEDED else progress.result
                saga.steps[step] = Progress(row.new_state, result=result)  # type: ignore[arg-type]
        elif progress.state != before.get(step, PENDING).state:
            saga.steps[step] = before.get(step, PENDING)
