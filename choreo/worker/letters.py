"""Dead letters that somebody settles: asked for by anybody who has the store, carried out by the worker."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Literal

from choreo.ports import Clock, Store
from choreo.protocol import Buried, Discarded, Requeued
from choreo.records import DeadLetter, Scheduled
from choreo.worker.agenda import Agenda
from choreo.worker.case import UNKNOWN_HANDLER, Case
from choreo.worker.folding import Folding

log = logging.getLogger("choreo.worker")

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


class Letters:
    """Carries out what was asked for, inside the turn, against the saga's state of today."""

    def __init__(self, folding: Folding, agenda: Agenda, store: Store, clock: Clock) -> None:
        self._folding = folding
        self._agenda = agenda
        self._store = store
        self._clock = clock

    def settle(self, case: Case, letter: DeadLetter, task: str) -> None:
        """Requeue or discard a letter; ``case`` is its saga's, and the event's that called its handler."""
        if task == DISCARD:
            self._discard(case, letter)
        elif letter.reason == UNKNOWN_HANDLER:  # its saga still waits for it
            self._agenda.put(case, letter.task, letter.name, self._clock.now(), letter.attempt)
        else:
            self._folding.tell(case, Requeued(letter.name, letter.event_id))

    def reopen(self, letter: DeadLetter, reason: str, detail: str) -> None:
        """Keep a dead letter anew that can't be settled as it was asked for."""
        again = letter._replace(
            reason=reason, detail=detail, recorded_at=self._clock.now(), state="open", comment=""
        )
        number = self._store.add_dead_letter(again)
        log.error("dead letter %d: saga_id=%s step=%s: %s", number, letter.saga_id, letter.name, reason)

    def _discard(self, case: Case, letter: DeadLetter) -> None:
        if letter.reason == UNKNOWN_HANDLER:
            self._folding.tell(case, Buried(letter.name, letter.reason))
        self._folding.tell(case, Discarded(letter.name, letter.comment))
        action = case.role.action.get(letter.name)
        saga = self._folding.sagas.get(case.role, case.saga_id)
        if action and not action.can_fail and saga.step(letter.name).activity == "dead":
            self.reopen(letter, "undiscardable", "a retriable step has no failure to answer with: requeue it")
