"""The events of a saga, gathered from everybody's rows, in the order of the topic; and why some are void."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from choreo.entry import Entry
from choreo.outcome import COMPENSATED, FAILED, TIMED_OUT
from choreo.story.account import Account
from choreo.story.moment import Message, Place


def gather(accounts: Iterable[Account]) -> list[Message]:
    """Give the events that lie in the log, in its order, each with who has read it and when."""
    first: dict[str, Entry] = {}
    read: dict[str, dict[str, int]] = {}
    void: set[str] = set()
    for account in accounts:
        for entry in account.entries:
            if entry.input != "event":
                continue
            known = first.get(entry.event_id)
            if known is None or place_of(entry) < place_of(known):
                first[entry.event_id] = entry
            readers = read.setdefault(entry.event_id, {})
            if account.participant:  # else it is the topic's own: nobody has read it yet
                readers.setdefault(account.participant, entry.recorded_at)
            if entry.note == "void":
                void.add(entry.event_id)
    rows = sorted(first.values(), key=place_of)
    reasons = _reasons(rows, void)
    return [
        message_of(row)._replace(
            place=place_of(row), read=read[row.event_id], void=reasons.get(row.event_id, "")
        )
        for row in rows
    ]


def message_of(entry: Entry) -> Message:
    """Give the event that a row published or recorded, as yet without its place."""
    return Message(
        entry.event_id,
        entry.event_type,
        entry.step,
        entry.outcome,
        entry.kind,
        entry.source,
        entry.causation_id,
        entry.event_time,
    )


def place_of(entry: Entry) -> Place:
    """Give where the event of a row lies."""
    return Place(entry.topic, entry.partition, entry.offset)


def _reasons(rows: Sequence[Entry], void: set[str]) -> dict[str, str]:
    """Say why the events that count for nothing do not: an outcome or an end came before (R3, R8)."""
    reasons: dict[str, str] = {}
    outcomes: dict[str, Entry] = {}
    failing: Entry | None = None
    end = ""
    for row in rows:
        key = f"{row.step} {COMPENSATED}" if row.outcome == COMPENSATED else row.step
        if row.event_id in void:
            reasons[row.event_id] = end or _why(outcomes.get(key), failing)
            continue
        outcomes.setdefault(key, row)
        if row.outcome in (FAILED, TIMED_OUT):
            failing = failing or row
        if not end and row.saga_state in ("completed", "failed"):
            end = f"the saga had {row.saga_state} before, @{row.offset}"
    return reasons


def _why(earlier: Entry | None, failing: Entry | None) -> str:
    if earlier is not None:
        return f"the step {_said(earlier.outcome)} before, @{earlier.offset}"
    if failing is not None:
        return (
            f"it can't complete the saga: {failing.step} {_said(failing.outcome)} before, @{failing.offset}"
        )
    return "nothing waits for it"


def _said(outcome: str) -> str:
    return {"compensated": "was compensated", "timed_out": "timed out"}.get(outcome, outcome)
