"""Dead letters: kept by the worker, and settled from any process with access to the store.

Settling one closes it and schedules a row. The worker processes the row in its next turn, against the current
state of the saga.
"""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from choreo.cloudevents import headers_of
from choreo.ports import Clock, Store
from choreo.protocol import Buried, Discarded
from choreo.protocol.renaming import name_in
from choreo.protocol.steps import UNKNOWN_VERSION
from choreo.records import DeadLetter, Record, Scheduled
from choreo.worker.decisions import Decisions, FollowUp
from choreo.worker.item import Item
from choreo.worker.schedule import DISCARD, REQUEUE, RESOLVE

log = logging.getLogger("choreo.worker")

UNKNOWN_HANDLER = "unknown-handler"
"""The reason of a dead letter of a row that is scheduled for an undeclared handler."""

PROCESS_ENDED = "process-ended"
"""The reason of a dead letter of a handler during which the process has ended again and again."""

MAX_DEATHS = 3
"""So many ends of the process during a handler, or an import, bury it."""

UNWORKABLE = "unworkable"
"""The reason of a dead letter of a row of the schedule, or a record, with which nothing can be done."""

_AT_ONCE = 0
"""The due time of settling, which is independent of the clocks of the two processes."""


How = Literal["requeued", "discarded", "resolved"]
"""How a dead letter is settled."""

_TASK_OF = {"requeued": REQUEUE, "discarded": DISCARD, "resolved": RESOLVE}


class Result(NamedTuple):
    """The event with which somebody ends the work of a dead letter: its type, and its body."""

    type: str
    body: bytes


def settle(
    store: Store,
    letter: DeadLetter,
    how: How,
    comment: str,
    now: int,
    *,
    by: str = "",
    result: Result | None = None,
) -> bool:
    """Close a dead letter and schedule its settling, in one transaction.

    The worker processes it in its next turn, or when it starts. Return whether the letter was still open.
    ``by`` is who settles it, and ``result`` the event with which it is resolved, unless its work has none.
    """
    with store.turn():
        return settle_in_turn(store, letter, how, comment, now, by=by, result=result)


def settle_in_turn(
    store: Store,
    letter: DeadLetter,
    how: How,
    comment: str,
    now: int,
    *,
    by: str = "",
    result: Result | None = None,
) -> bool:
    """Settle a dead letter as `settle` does, inside the caller's own turn."""
    if not store.close_dead_letter(letter.id, how, comment, now, by):
        return False
    if result is not None:
        store.add_result(letter.id, *result)
    if letter.saga_type:  # a letter of no saga is only closed
        task = _TASK_OF[how]
        store.schedule((Scheduled(letter.saga_id, letter.saga_type, task, str(letter.id), "", _AT_ONCE),))
    return True


def times_requeued(letters: Iterable[DeadLetter], letter: DeadLetter) -> int:
    """Return how often the work of a letter, one of ``letters``, has been requeued so far."""
    return sum(each.state == "requeued" and _work(each) == _work(letter) for each in letters)


def _work(letter: DeadLetter) -> tuple[str | int, ...]:
    who = (letter.saga_id, letter.saga_type, letter.task, letter.name, letter.event_id)
    return who if letter.event_id else (*who, letter.topic, letter.partition, letter.offset)


class DeadLetters:
    """Stores dead letters inside the turn, and folds their inputs."""

    def __init__(self, store: Store, clock: Clock, decisions: Decisions) -> None:
        self._store = store
        self._clock = clock
        self._decisions = decisions

    def discard(self, item: Item, letter: DeadLetter) -> list[FollowUp]:
        """Discard the work of a dead letter, which answers instead of it; return the follow-ups."""
        followups: list[FollowUp] = []
        if letter.task == "outcome":  # the participant stays out of that saga
            return followups
        if letter.reason == UNKNOWN_HANDLER:
            followups = self._decisions.apply(item, Buried(letter.name, letter.reason))
        followups += self._decisions.apply(item, Discarded(letter.name, letter.comment))
        saga = self._decisions.instances.get(item.role, item.saga_id)
        name = name_in(item.role, saga, letter.name)
        action = item.role.action.get(name)
        if action and not action.can_fail and saga.step(name).activity == "dead":
            self.reopen(letter, "undiscardable", "a retriable step has no failure to answer with: requeue it")
        return followups

    def reopen(self, letter: DeadLetter, reason: str, detail: str) -> None:
        """Keep an open copy of a dead letter that can't be settled as requested."""
        again = letter._replace(
            reason=reason,
            detail=detail,
            recorded_at=self._clock.now(),
            state="open",
            comment="",
            closed_at=0,
            closed_by="",
            result_type="",
            result=None,
        )
        number = self._store.add_dead_letter(again)
        log.error("dead letter %d: saga_id=%s step=%s: %s", number, letter.saga_id, letter.name, reason)

    def bury(self, item: Item, task: str, name: str, reason: str, detail: str, tried: int) -> list[FollowUp]:
        """Keep a dead letter of a handler that can't go on; return the follow-ups."""
        letter = dead_letter(item, task, name, reason, detail, self._clock.now(), tried)
        number = self._store.add_dead_letter(letter)
        log.error("dead letter %d: saga_id=%s step=%s %s: %s", number, item.saga_id, name, task, reason)
        is_of_events = task in ("outcome", "event", "saga")
        return [] if is_of_events else self._decisions.apply(item, Buried(name, reason))

    def bury_record(self, record: Record, detail: str, reason: str = "unreadable-headers") -> None:
        """Keep a dead letter of a record whose headers can't be read, or that can't be folded."""
        now = self._clock.now()
        self._store.add_dead_letter(unreadable_record(record, reason, detail, now))
        where = (record.topic, record.partition, record.offset)
        log.error("dead letter: %s at %s[%d]@%d", reason.replace("-", " "), *where)

    def bury_row(self, row: Scheduled, detail: str) -> None:
        """Keep a dead letter of a row of the schedule with which nothing can be done."""
        letter = unknown_handler(row, self._clock.now())._replace(reason=UNWORKABLE, detail=detail)
        number = self._store.add_dead_letter(letter)
        log.error(
            "dead letter %d: saga_id=%s step=%s %s: %s", number, row.saga_id, row.name, row.task, UNWORKABLE
        )

    def park(self, row: Scheduled, version: int) -> None:
        """Keep a row of a later release, for a saga of a version that is not known, until it is."""
        detail = f"version {version} of the saga is not known to this release"
        letter = unknown_handler(row, self._clock.now())._replace(reason=UNKNOWN_VERSION, detail=detail)
        number = self._store.add_dead_letter(letter)
        what = f"step={row.name} {row.task}: {UNKNOWN_VERSION}"
        log.error("dead letter %d: saga_id=%s %s", number, row.saga_id, what)

    def bury_unknown(self, row: Scheduled) -> None:
        """Keep a dead letter of a row that an earlier release scheduled for an undeclared handler."""
        number = self._store.add_dead_letter(unknown_handler(row, self._clock.now()))
        log.error(
            "dead letter %d: saga_id=%s step=%s %s: unknown-handler", number, row.saga_id, row.name, row.task
        )


def dead_letter(
    item: Item, task: str, name: str, reason: str, detail: str, now: int, attempt: int
) -> DeadLetter:
    """Return the dead letter of a handler that can't go on, with the record that called it."""
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


def not_taken(observer: str, event_type: str) -> str:
    """Return the detail of a dead letter with the reason `NOT_TAKEN`."""
    return f"{observer} does not take {event_type} any more; once it does again, this is requeued"


def ended_detail(deaths: int) -> str:
    """Return the detail of a dead letter with the reason `PROCESS_ENDED`."""
    return f"the process has ended {deaths} times while it ran" if deaths > 1 else "the process has ended"


def unreadable_record(record: Record, reason: str, detail: str, now: int) -> DeadLetter:
    """Return the dead letter of a record with unreadable headers, which belongs to no known saga."""
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
    """Return the dead letter of a row that is scheduled for an undeclared handler."""
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
    """Return headers as JSON, with values in base64, as they may be any bytes."""
    return json.dumps(
        [(name, None if value is None else b64encode(value).decode()) for name, value in headers or ()]
    )
