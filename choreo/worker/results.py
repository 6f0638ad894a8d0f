"""What follows from an attempt: its event is published, it is tried again, or it ends for good. Pure.

Change this module for retries, pauses, limits and dead letters: it decides by an attempt's `Verdict` alone.
How a handler is called, and which verdict its result or error is, is decided in `choreo.worker.attempt`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from choreo.outcome import COMPENSATED, FAILED, SUCCEEDED, Outcome
from choreo.participant import Handler
from choreo.protocol import Due, Ended, Observed
from choreo.retry import Retry
from choreo.worker.attempt import Attempt

TIMED_OUT, GAVE_UP = "timed out", "gave up after"
"""The beginnings of the reasons of a step whose timeout passed, and of one with no attempts left."""


class Again(NamedTuple):
    """The handler is tried again after a pause.

    ``tried`` attempts have failed; below zero it counts the waits for a schema, which are no attempts.
    """

    pause: timedelta
    tried: int
    reason: str


class Dead(NamedTuple):
    """The handler's work becomes a dead letter; ``event_type`` is that of an event that can't be read."""

    reason: str
    detail: str
    tried: int
    event_type: str = ""


Result = Ended | Observed | Due | Again | Dead
"""The result of an attempt: an input of the protocol, another attempt, or a dead letter."""


def result_of(handler: Handler, attempt: Attempt, tried: int, schema_retry: Retry) -> Result:
    """Return the result of an attempt before which ``tried`` attempts have failed, as in `Again`.

    ``schema_retry`` are the pauses in which a body of an unknown schema waits for that schema.
    """
    waited, tried = max(-tried, 0), max(tried, 0)
    if attempt.verdict == "returned":
        return _returned(handler, attempt)
    if attempt.verdict == "unreadable":
        return Dead("unreadable-body", attempt.reason, tried, attempt.type)
    if attempt.verdict == "unknown-fingerprint":
        return _wait_for_schema(attempt, waited + 1, schema_retry)
    if attempt.verdict == "ignored":
        return Ended(handler.step, COMPENSATED, next(iter(handler.emits)), "raised", attempt.reason)
    if attempt.verdict == "permanent":
        return _failed(handler, attempt.reason, attempt.detail or attempt.reason, tried + 1)
    return _retried(handler, attempt, tried + 1)


def timed_out(handler: Handler, *, begun: bool, clock: str = "") -> Ended:
    """Return the end of a step whose timeout passed, before its first attempt or after it has ``begun``.

    ``clock`` blames one, where another clock than this host's may be the cause.
    """
    return _ended(handler, f"{TIMED_OUT} {clock}".rstrip(), partly=handler.partial and begun)


def _returned(handler: Handler, attempt: Attempt) -> Result:
    if handler.task == "observer":
        return Observed(handler.known_as)
    if handler.task == "deadline":
        return Due(handler.known_as)
    if handler.task == "compensation":
        return Ended(handler.step, COMPENSATED, attempt.type)
    outcome: Outcome = SUCCEEDED if attempt.type in handler.successes else FAILED
    return Ended(handler.step, outcome, attempt.type)


def _wait_for_schema(attempt: Attempt, waited: int, schema_retry: Retry) -> Result:
    if waited >= schema_retry.most:
        return Dead(attempt.verdict, attempt.reason, 0, attempt.type)
    return Again(schema_retry.pause(waited), -waited, attempt.reason)


def _retried(handler: Handler, attempt: Attempt, tried: int) -> Result:
    endless = handler.task == "action" and handler.kind == "retriable"
    detail = attempt.detail or attempt.reason
    if tried >= handler.retry.most and not endless:
        given_up = f"{GAVE_UP} {tried} attempts: "
        return _failed(handler, f"{given_up}{attempt.reason}", f"{given_up}{detail}", tried)
    return Again(handler.retry.pause(tried), tried, detail)


def _failed(handler: Handler, reason: str, detail: str, tried: int) -> Result:
    """Return the final result: an action that can fail answers, anything else becomes a dead letter.

    The ``reason`` is published, the ``detail`` stays in the store.
    """
    if handler.task == "action" and handler.kind != "retriable":
        return _ended(handler, reason, partly=handler.partial)
    return Dead("gave-up", detail, tried)


def _ended(handler: Handler, reason: str, *, partly: bool) -> Ended:
    return Ended(handler.step, FAILED, "", "partial" if partly else "raised", reason)
