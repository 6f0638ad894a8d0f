"""``Schedule``: the due work of one participant's handlers, kept in its store."""

from __future__ import annotations

from datetime import timedelta

from choreo.participant import Handler
from choreo.ports import Store
from choreo.records import Scheduled
from choreo.retry import Retry
from choreo.worker.handlers import Handlers
from choreo.worker.item import Item, TriggerEvent

REQUEUE, DISCARD, RESOLVE = "requeue", "discard", "resolve"
"""The tasks of the schedule that settle a dead letter; the row's name is the letter's id."""

SETTLING = frozenset((REQUEUE, DISCARD, RESOLVE))


class Schedule:
    """Adds work to the schedule of the store, and removes it."""

    def __init__(self, store: Store, handlers: Handlers) -> None:
        self._store = store
        self._handlers = handlers

    def put(self, item: Item, task: str, name: str, due: int, tried: int = 0) -> None:
        """Schedule one task in its lane; one that waits for a call has the time limit of its step."""
        lane = self._handlers.lane_of(item.saga_type, task, name)
        timeout = self._handlers.timeout_of(name) if lane == "call" else None
        until = 0 if timeout is None else expires_at(timeout, item.trigger)
        event_id = item.trigger.envelope.id
        row = Scheduled(item.saga_id, item.saga_type, task, name, event_id, due, tried, lane, until)
        self._store.schedule((row,))

    def arm(self, item: Item, deadline: Handler) -> None:
        """Schedule a deadline, counted from the record of the event that arms it."""
        due = expires_at(deadline.within or timedelta(), item.trigger)
        self.put(item, "deadline", deadline.known_as, due)

    def pull_in(self, now: int, schema_retry: Retry) -> int:
        """Let no row wait for longer than its pause; return how many did.

        They do where the clock was ahead of the time when they were put on the schedule. Deadlines count from
        their record, whatever this clock says. An observer that waits for another one looks again, and waits
        on.
        """
        rows = []
        for row in self._store.postponed(now):
            due = now + round(self._pause(row, schema_retry).total_seconds() * 1000)
            if row.due > due:
                rows.append(row._replace(due=due))
        self._store.schedule(rows)
        return sum(1 for row in rows if row.attempt or row.task != "observer")

    def _pause(self, row: Scheduled, schema_retry: Retry) -> timedelta:
        """Return the pause before an attempt that is scheduled; the first one has none."""
        if row.attempt < 0:
            return schema_retry.pause(-row.attempt)
        retry = self._handlers.retry_of(row)
        return retry.pause(row.attempt) if retry and row.attempt else timedelta()

    def drop(self, item: Item, task: str, name: str) -> None:
        """Remove a task from the schedule."""
        self._store.unschedule(item.saga_id, item.saga_type, task, name)


def expires_at(time: timedelta, trigger: TriggerEvent) -> int:
    """Return the end of a time that counts from the record of the triggering event, in milliseconds."""
    return trigger.time + round(time.total_seconds() * 1000)


_PAUSE = 1_000
"""How long, in milliseconds, an observer waits at a time for one of which nobody knows when it runs."""


def due_after(store: Store, item: Item, observer: str, now: int) -> int | None:
    """Return when an observer is due that waits for others at earlier events of its saga; None for none.

    So all observers of a participant see the events of a saga in their order, although some are tried again.
    One that was under way at an end of the process waits for quiet, which there would never be if those
    behind it were due all the time.
    """
    scheduled = store.scheduled(item.saga_id, item.saga_type)
    rows = [row for row in scheduled if row.task == "observer" and row.name != observer]
    if not rows:
        return None
    history = store.history(item.saga_id, item.saga_type)
    events = [entry.event_id for entry in history if entry.input == "event"]
    place = {event_id: number for number, event_id in reversed([*enumerate(events)])}
    own = place[item.trigger.envelope.id]
    earlier = [row for row in rows if place.get(row.event_id, own) < own]
    return max((row.due if row.lane == "turn" else now + _PAUSE for row in earlier), default=None)
