"""What a participant has before it: the schedule, as its handlers mean it."""

from __future__ import annotations

from datetime import timedelta

from choreo.participant import Handler
from choreo.ports import Store
from choreo.records import Lane, Scheduled
from choreo.worker.handlers import Handlers
from choreo.worker.item import Item, TriggerEvent


class Schedule:
    """Puts work on the schedule of the store, and takes it off."""

    def __init__(self, store: Store, handlers: Handlers) -> None:
        self._store = store
        self._handlers = handlers

    def put(self, item: Item, task: str, name: str, due: int, tried: int = 0) -> None:
        """Put one task there; one that may run outside of the transaction waits for room among the calls."""
        trigger = item.trigger.envelope.id
        lane: Lane = "call" if self._handlers.is_outside(task, name) else "turn"
        self._store.schedule(
            (Scheduled(item.saga_id, item.saga_type, task, name, trigger, due, tried, lane),)
        )

    def drop(self, item: Item, task: str, name: str) -> None:
        """Take a task off."""
        self._store.unschedule(item.saga_id, task, name)

    def arm(self, item: Item, deadline: Handler) -> None:
        """Put a deadline there, counted from the record of the event that arms it."""
        self.put(item, "deadline", deadline.name, in_time_until(deadline.within or timedelta(), item.trigger))


def in_time_until(timeout: timedelta, trigger: TriggerEvent) -> int:
    """Give the last moment of a time that counts from the record of the event that began it."""
    return trigger.time + round(timeout.total_seconds() * 1000)
