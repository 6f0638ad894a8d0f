"""Dead letters: made by the worker, settled by whoever has the store.

Settling only asks: the worker carries it out in its next turn, against the saga's state of that moment.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import Literal

from choreo.cloudevents import headers_of
from choreo.ports import Store
from choreo.records import DeadLetter, Record, Scheduled
from choreo.worker.item import Item

UNKNOWN_HANDLER = "unknown-handler"
"""Why a dead letter is kept of what is scheduled for a handler that is gone."""

REQUEUE, DISCARD = "requeue", "discard"
"""What the schedule calls the settling of a dead letter; the task's name is the letter's id."""

_AT_ONCE = 0
"""Due whatever the worker's clock says: the one who asks may have another."""


def settle(
    store: Store, letter: DeadLetter, how: Literal["requeued", "discarded"], comment: str, now: int
) -> bool:
    """Close a dead letter and ask the worker, in one transaction, to requeue or to discard it.

    The worker does it in its next turn, or when it starts. Gives False where somebody else was faster.
    """
    with store.turn():
        return ask(store, letter, how, comment, now)


def ask(
    store: Store, letter: DeadLetter, how: Literal["requeued", "discarded"], comment: str, now: int
) -> bool:
    """Do what `settle` does, inside the caller's own turn."""
    if not store.close_dead_letter(letter.id, how, comment, now):
        return False
    if letter.saga_type:  # else it belongs to no saga: nothing can be done but to close it
        task = REQUEUE if how == "requeued" else DISCARD
        store.schedule((Scheduled(letter.saga_id, letter.saga_type, task, str(letter.id), "", _AT_ONCE),))
    return True


def times_requeued(letters: Iterable[DeadLetter], letter: DeadLetter) -> int:
    """Count how often the work of a letter, one of ``letters``, has been requeued already."""
    return sum(each.state == "requeued" and _work(each) == _work(letter) for each in letters)


def _work(letter: DeadLetter) -> tuple[str | int, ...]:
    who = (letter.saga_id, letter.saga_type, letter.task, letter.name, letter.event_id)
    return who if letter.event_id else (*who, letter.topic, letter.partition, letter.offset)


def dead_letter(
    item: Item, task: str, name: str, reason: str, detail: str, now: int, attempt: int
) -> DeadLetter:
    """Give the dead letter of a handler that can't go on, with the record that called it."""
    trigger = item.trigger
    return DeadLetter(
        reason,
        detail,
        now,
        item.saga_id,
        item.saga_type,
        task,
        name,
        trigger.envelope.id,
        trigger.envelope.type,
        trigger.topic,
        trigger.partition,
        trigger.offset,
        item.saga_id.encode(),
        raw_headers(trigger.headers or headers_of(trigger.envelope)),
        trigger.body,
        attempt,
    )


def unreadable_record(record: Record, reason: str, detail: str, now: int) -> DeadLetter:
    """Give the dead letter of a record whose headers can't be read: it belongs to no saga that we know."""
    return DeadLetter(
        reason,
        detail,
        now,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        headers=raw_headers(record.headers),
        value=record.value,
    )


def unknown_handler(row: Scheduled, now: int) -> DeadLetter:
    """Give the dead letter of what is scheduled for a handler that the service doesn't declare any more."""
    return DeadLetter(
        UNKNOWN_HANDLER,
        f"the service has no {row.name} any more",
        now,
        row.saga_id,
        row.saga_type,
        row.task,
        row.name,
        row.event_id,
        attempt=max(row.attempt, 0),
    )


def raw_headers(headers: Sequence[tuple[str, bytes | None]]) -> str:
    """Write headers as JSON; values in base64, as they may be any bytes."""
    return json.dumps(
        [(name, None if value is None else b64encode(value).decode()) for name, value in headers or ()]
    )
