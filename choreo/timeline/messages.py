"""The events of a saga, gathered from everybody's rows, in the order of the topic; and why some are void."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from choreo.outcome import COMPENSATED, FAILED, TIMED_OUT
from choreo.records import Entry
from choreo.timeline.account import Account


class Place(NamedTuple):
    """Where an event lies in the log; places of one partition are ordered by it, and by nothing else."""

    topic: str
    partition: int
    offset: int


class Message(NamedTuple):
    """An event, as it lies in the log, or is on its way to it (``place`` is then None).

    ``time`` is the record's; ``read`` says who has folded it, and when by their clock. ``void`` says why it
    counts for nothing; it is empty for an event that counts.
    """

    id: str
    type: str
    step: str
    outcome: str
    kind: str
    source: str
    cause: str
    time: int
    place: Place | None = None
    read: Mapping[str, int] = {}
    void: str = ""

    @property
    def name(self) -> str:
        """The type without its namespace."""
        return self.type.rpartition(".")[2]

    @property
    def at(self) -> str:
        """The offset, as people write it."""
        return "" if self.place is None else f"@{self.place.offset}"


What = Literal[
    "started",
    "cancelled",
    "imported",
    "executing",
    "retrying",
    "completed",
    "failed",
    "timed out",
    "refused",
    "compensating",
    "compensated",
    "observed",
    "dead letter",
    "requeued",
    "discarded",
    "passed",
    "pruned",
]
"""What a moment tells. ``passed``: a deadline whose step had no outcome in time; ``pruned``: a whole saga."""


class Moment(NamedTuple):
    """Something that happened at one participant, in the order of the story.

    ``time`` is that participant's clock, in milliseconds since the epoch; ``took`` counts from the record of
    the event that caused it, None where that isn't known. ``message`` is what it published. ``why`` gives
    the reason of a refusal, a failure, a retry, a dead letter. ``seen`` is False for what only the log
    tells, as the participant's own store wasn't looked at.
    """

    participant: str
    step: str
    what: What
    old_state: str
    new_state: str
    time: int
    cause: str = ""
    took: int | None = None
    message: Message | None = None
    why: str = ""
    attempt: int = 0
    seen: bool = True


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
