"""What becomes of an attempt: its event is published, it is tried again, or it ends for good."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Literal

from choreo.outcome import COMPENSATED, FAILED, SUCCEEDED, Outcome
from choreo.participant import Handler
from choreo.ports import Clock, Store
from choreo.protocol import Buried, Deferred, Discarded, Due, Ended, Observed, Requeued
from choreo.records import DeadLetter
from choreo.retry import Retry
from choreo.worker.attempt import Attempt
from choreo.worker.dead_letters import DISCARD, UNKNOWN_HANDLER
from choreo.worker.folding import Folding
from choreo.worker.item import Item
from choreo.worker.schedule import Schedule, in_time_until

log = logging.getLogger("choreo.worker")

TIMED_OUT, GAVE_UP = "timed out", "gave up after"
"""How the reason begins of a step whose time was over, and of one whose attempts are used up."""


class Results:
    """Takes the results of attempts, inside the turn.

    ``schema_retry`` says how long a body of an unknown schema waits for that schema.
    """

    def __init__(self, folding: Folding, schedule: Schedule, clock: Clock, schema_retry: Retry) -> None:
        self._folding = folding
        self._schedule = schedule
        self._clock = clock
        self._schema_retry = schema_retry

    def take(self, item: Item, handler: Handler, result: Attempt, tried: int) -> None:
        """Take one result; ``tried`` attempts have failed before it.

        Below zero it counts the waits for its event's schema instead: they cost the handler no attempt.
        """
        waited, tried = max(-tried, 0), max(tried, 0)
        if result.verdict == "returned":
            self._returned(item, handler, result)
        elif result.verdict == "unreadable":
            self._bury_event(item, handler, result, "unreadable-body", tried)
        elif result.verdict == "unknown-fingerprint":
            self._await_schema(item, handler, waited + 1, result)
        elif result.verdict == "ignored":
            name = next(iter(handler.emits))
            self._folding.tell(item, Ended(handler.step, COMPENSATED, name, "raised", result.reason))
        elif result.verdict == "permanent":
            self._fail(item, handler, result.reason, tried)
        else:
            self._retry(item, handler, tried + 1, result)

    def time_out(self, item: Item, handler: Handler) -> None:
        """End a step whose time is over, before an attempt or during one."""
        progress = self._folding.sagas.get(item.role, item.saga_id).step(handler.step)
        begun = progress.activity == "running" or progress.attempt > 0
        self._fail_step(item, handler, TIMED_OUT, partly=handler.partial and begun)

    def _returned(self, item: Item, handler: Handler, result: Attempt) -> None:
        tell = self._folding.tell
        if handler.task == "observer":
            tell(item, Observed(handler.name), result)
        elif handler.task == "deadline":
            tell(item, Due(handler.name), result)
        elif handler.task == "compensation":
            tell(item, Ended(handler.step, COMPENSATED, result.type), result)
        else:
            outcome: Outcome = SUCCEEDED if result.type in handler.successes else FAILED
            tell(item, Ended(handler.step, outcome, result.type), result)

    def _retry(self, item: Item, handler: Handler, tried: int, result: Attempt) -> None:
        endless = handler.task == "action" and handler.kind == "retriable"
        if tried >= handler.retry.attempts and not endless:
            self._fail(item, handler, f"{GAVE_UP} {tried} attempts: {result.reason}", tried)
        else:
            self._postpone(item, handler, handler.retry.pause(tried), tried, result.reason)

    def _await_schema(self, item: Item, handler: Handler, waited: int, result: Attempt) -> None:
        if waited >= self._schema_retry.attempts:
            self._bury_event(item, handler, result, result.verdict, waited)
        else:
            self._postpone(item, handler, self._schema_retry.pause(waited), -waited, result.reason)

    def _postpone(self, item: Item, handler: Handler, pause: timedelta, tried: int, reason: str) -> None:
        name = handler.known_as
        self._folding.tell(item, Deferred(name, reason))
        saga = self._folding.sagas.get(item.role, item.saga_id)
        if not handler.is_of_step or saga.step(name).activity == "waiting":
            due = self._clock.now() + round(pause.total_seconds() * 1000)
            if handler.timeout is not None:  # no pause is longer than the time that is left
                due = min(due, in_time_until(handler.timeout, item.trigger) + 1)
            self._schedule.put(item, handler.task, name, due, tried)

    def _fail(self, item: Item, handler: Handler, reason: str, tried: int) -> None:
        """End for good: an action that may fail answers, anything else waits in the dead letters."""
        if handler.task == "action" and handler.kind != "retriable":
            self._fail_step(item, handler, reason, partly=handler.partial)
        else:
            self._bury(item, handler, "gave-up", reason, tried)

    def _fail_step(self, item: Item, handler: Handler, reason: str, *, partly: bool) -> None:
        how: Literal["raised", "partial"] = "partial" if partly else "raised"
        self._folding.tell(item, Ended(handler.step, FAILED, "", how, reason))

    def _bury_event(self, item: Item, handler: Handler, result: Attempt, reason: str, tried: int) -> None:
        """Keep a dead letter of the event that can't be read; it need not be the one that called a step."""
        if handler.is_of_step:
            item = self._folding.case_of(item, result.type)
        self._bury(item, handler, reason, result.reason, tried)

    def _bury(self, item: Item, handler: Handler, reason: str, detail: str, tried: int) -> None:
        self._folding.bury(item, handler.task, handler.known_as, reason, detail, tried)


class Letters:
    """Carries out what was asked for, inside the turn, against the saga's state of today."""

    def __init__(self, folding: Folding, schedule: Schedule, store: Store, clock: Clock) -> None:
        self._folding = folding
        self._schedule = schedule
        self._store = store
        self._clock = clock

    def settle(self, item: Item, letter: DeadLetter, task: str) -> None:
        """Requeue or discard a letter; ``item`` is its saga's, and the event's that called its handler."""
        if task == DISCARD:
            self._discard(item, letter)
        elif letter.reason == UNKNOWN_HANDLER:  # its saga still waits for it
            self._schedule.put(item, letter.task, letter.name, self._clock.now(), letter.attempt)
        else:
            self._folding.tell(item, Requeued(letter.name, letter.event_id))

    def reopen(self, letter: DeadLetter, reason: str, detail: str) -> None:
        """Keep a dead letter anew that can't be settled as it was asked for."""
        again = letter._replace(
            reason=reason, detail=detail, recorded_at=self._clock.now(), state="open", comment=""
        )
        number = self._store.add_dead_letter(again)
        log.error("dead letter %d: saga_id=%s step=%s: %s", number, letter.saga_id, letter.name, reason)

    def _discard(self, item: Item, letter: DeadLetter) -> None:
        if letter.reason == UNKNOWN_HANDLER:
            self._folding.tell(item, Buried(letter.name, letter.reason))
        self._folding.tell(item, Discarded(letter.name, letter.comment))
        action = item.role.action.get(letter.name)
        saga = self._folding.sagas.get(item.role, item.saga_id)
        if action and not action.can_fail and saga.step(letter.name).activity == "dead":
            self.reopen(letter, "undiscardable", "a retriable step has no failure to answer with: requeue it")
