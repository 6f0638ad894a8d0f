"""What becomes of an attempt: its event is published, it is tried again, or it ends for good."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from choreo.outcome import COMPENSATED, FAILED, SUCCEEDED, Outcome
from choreo.participant import Handler
from choreo.ports import Clock
from choreo.protocol import Deferred, Due, Ended, Observed
from choreo.retry import Retry
from choreo.worker.agenda import Agenda, in_time_until
from choreo.worker.attempt import Attempt
from choreo.worker.case import Case
from choreo.worker.folding import Folding

TIMED_OUT, GAVE_UP = "timed out", "gave up after"
"""How the reason begins of a step whose time was over, and of one whose attempts are used up."""


class Results:
    """Takes the results of attempts, inside the turn.

    ``schema_retry`` says how long a body of an unknown schema waits for that schema.
    """

    def __init__(self, folding: Folding, agenda: Agenda, clock: Clock, schema_retry: Retry) -> None:
        self._folding = folding
        self._agenda = agenda
        self._clock = clock
        self._schema_retry = schema_retry

    def take(self, case: Case, handler: Handler, result: Attempt, tried: int) -> None:
        """Take one result; ``tried`` attempts have failed before it.

        Below zero it counts the waits for its event's schema instead: they cost the handler no attempt.
        """
        waited, tried = max(-tried, 0), max(tried, 0)
        if result.verdict == "returned":
            self._returned(case, handler, result)
        elif result.verdict == "unreadable":
            self._bury_event(case, handler, result, "unreadable-body", tried)
        elif result.verdict == "unknown-fingerprint":
            self._await_schema(case, handler, waited + 1, result)
        elif result.verdict == "ignored":
            name = next(iter(handler.emits))
            self._folding.tell(case, Ended(handler.step, COMPENSATED, name, "raised", result.reason))
        elif result.verdict == "permanent":
            self._fail(case, handler, result.reason, tried)
        else:
            self._retry(case, handler, tried + 1, result)

    def time_out(self, case: Case, handler: Handler) -> None:
        """End a step whose time is over, before an attempt or during one."""
        progress = self._folding.sagas.get(case.role, case.saga_id).step(handler.step)
        begun = progress.activity == "running" or progress.attempt > 0
        self._fail_step(case, handler, TIMED_OUT, partly=handler.partial and begun)

    def _returned(self, case: Case, handler: Handler, result: Attempt) -> None:
        tell = self._folding.tell
        if handler.task == "observer":
            tell(case, Observed(handler.name), result)
        elif handler.task == "deadline":
            tell(case, Due(handler.name), result)
        elif handler.task == "compensation":
            tell(case, Ended(handler.step, COMPENSATED, result.type), result)
        else:
            outcome: Outcome = SUCCEEDED if result.type in handler.successes else FAILED
            tell(case, Ended(handler.step, outcome, result.type), result)

    def _retry(self, case: Case, handler: Handler, tried: int, result: Attempt) -> None:
        endless = handler.task == "action" and handler.kind == "retriable"
        if tried >= handler.retry.attempts and not endless:
            self._fail(case, handler, f"{GAVE_UP} {tried} attempts: {result.reason}", tried)
        else:
            self._postpone(case, handler, handler.retry.pause(tried), tried, result.reason)

    def _await_schema(self, case: Case, handler: Handler, waited: int, result: Attempt) -> None:
        if waited >= self._schema_retry.attempts:
            self._bury_event(case, handler, result, result.verdict, waited)
        else:
            self._postpone(case, handler, self._schema_retry.pause(waited), -waited, result.reason)

    def _postpone(self, case: Case, handler: Handler, pause: timedelta, tried: int, reason: str) -> None:
        name = handler.known_as
        self._folding.tell(case, Deferred(name, reason))
        saga = self._folding.sagas.get(case.role, case.saga_id)
        if not handler.is_of_step or saga.step(name).activity == "waiting":
            due = self._clock.now() + round(pause.total_seconds() * 1000)
            if handler.timeout is not None:  # no pause is longer than the time that is left
                due = min(due, in_time_until(handler.timeout, case.cause) + 1)
            self._agenda.put(case, handler.task, name, due, tried)

    def _fail(self, case: Case, handler: Handler, reason: str, tried: int) -> None:
        """End for good: an action that may fail answers, anything else waits in the dead letters."""
        if handler.task == "action" and handler.kind != "retriable":
            self._fail_step(case, handler, reason, partly=handler.partial)
        else:
            self._bury(case, handler, "gave-up", reason, tried)

    def _fail_step(self, case: Case, handler: Handler, reason: str, *, partly: bool) -> None:
        how: Literal["raised", "partial"] = "partial" if partly else "raised"
        self._folding.tell(case, Ended(handler.step, FAILED, "", how, reason))

    def _bury_event(self, case: Case, handler: Handler, result: Attempt, reason: str, tried: int) -> None:
        """Keep a dead letter of the event that can't be read; it need not be the one that called a step."""
        if handler.is_of_step:
            case = self._folding.case_of(case, result.type)
        self._bury(case, handler, reason, result.reason, tried)

    def _bury(self, case: Case, handler: Handler, reason: str, detail: str, tried: int) -> None:
        self._folding.bury(case, handler.task, handler.known_as, reason, detail, tried)
