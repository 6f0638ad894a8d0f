"""The protocol's inputs as rows of the saga log, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from choreo.envelope import Envelope
from choreo.protocol import (
    Begin,
    Buried,
    Deferred,
    Discarded,
    Due,
    Ended,
    Input,
    Instance,
    Observed,
    Pruned,
    Requeued,
    Role,
    fold_into,
)
from choreo.records import Entry

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
    "deferred": lambda e: Deferred(e.step, e.note),
    "buried": lambda e: Buried(e.step, e.note),
    "requeued": lambda e: Requeued(e.step, e.causation_id),
    "discarded": lambda e: Discarded(e.step, e.note),
    "observed": lambda e: Observed(e.step),
    "due": lambda e: Due(e.step),
    "pruned": lambda e: Pruned(e.saga_state),  # type: ignore[arg-type]
}


def envelope_of(entry: Entry) -> Envelope:
    """Give the attributes of the event that an entry of the log recorded."""
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
    """Give what the protocol was told when an entry was written."""
    return envelope_of(entry) if entry.input == "event" else _INPUTS[entry.input](entry)


def local_fields(told: Any) -> tuple[str, str, str, str, str]:
    """Give the columns that hold what a local command says: outcome, event type, kind, causation, note."""
    kind = type(told)
    if kind is Ended:
        return told.outcome, told.type, told.how, "", told.reason
    if kind is Begin:
        return "", "", "joining" if told.joining else "", "", ""
    if kind is Requeued:
        return "", "", "", told.event_id, ""
    return "", "", "", "", getattr(told, "reason", "")


def rebuild(role: Role, entries: Iterable[Entry]) -> Instance:
    """Fold a saga's log: the same rows always give the same saga.

    What a step did that the service doesn't declare any more is passed over.
    """
    saga = Instance()
    for entry in entries:
        if entry.input in ("begin", "ended") and entry.step not in role.action:
            continue
        if entry.input:
            fold_into(role, saga, input_of(entry))
    return saga
