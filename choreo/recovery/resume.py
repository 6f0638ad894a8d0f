"""``resume``: whatever a saga still owes, and its store has lost, is asked for again."""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from choreo.errors import ReplayError
from choreo.participant import Participant
from choreo.ports import DeadLetter, Entry, Store
from choreo.recovery.lost import PutBack
from choreo.recovery.sagas import Remembered, remembered
from choreo.replay import Work, lost_work
from choreo.worker.letters import ask, times_requeued

LIMIT = 5
"""How many times the same dead letter's work may be requeued."""

_COMMENT = "resumed"


class Resumed(NamedTuple):
    """What was asked for: ``left`` says, one sentence each, what could not be."""

    saga_type: str
    state: str
    published: list[Entry]
    due: list[Work]
    requeued: list[DeadLetter]
    left: list[str]

    @property
    def is_idle(self) -> bool:
        """Whether there was nothing to do."""
        return not (self.published or self.due or self.requeued or self.left)


def resume(
    participant: Participant,
    store: Store,
    saga_id: str,
    now: int,
    *,
    topic: Container[str] = (),
    limit: int = LIMIT,
    dry_run: bool = False,
) -> list[Resumed]:
    """Put back into the store what a saga's log asks for and the store does not hold, in one transaction.

    What was published here and neither waits in the outbox nor came back is produced again, unless
    ``topic`` holds its id; what had not finished is due again; dead letters are requeued, each ``limit``
    times at most. The worker does it in its next turn, or when it starts. Ids are the same as before, so
    doing this again, or while it was not needed, changes nothing (rule R2). ``now`` is in milliseconds.

    Raises `ReplayError` for a saga that the store doesn't know, or whose log does not hold together.
    """
    with store.turn():
        return [
            _Resuming(participant, store, saga, now, limit, dry_run).do(topic)
            for saga in remembered(participant, store, saga_id)
        ]


class _Resuming:
    """Resumes one saga, inside a turn of the store."""

    def __init__(
        self, participant: Participant, store: Store, saga: Remembered, now: int, limit: int, dry_run: bool
    ) -> None:
        self._store = store
        self._saga = saga
        self._now = now
        self._limit = limit
        self._dry_run = dry_run
        self._put_back = PutBack(participant, store, saga, now)
        self._left: list[str] = []

    def do(self, topic: Container[str]) -> Resumed:
        """Ask for everything."""
        _refuse_broken(self._saga)
        replay = self._saga.replay
        published = [entry for entry in self._saga.unpublished(topic) if self._publish(entry)]
        due = [work for work in lost_work(replay, self._saga.kept) if self._put(work)]
        letters = [letter for letter in self._saga.letters if letter.state == "open"]
        requeued = [letter for letter in letters if self._requeue(letter)]
        name = self._saga.role.contract.saga
        return Resumed(name, replay.saga.state, published, due, requeued, self._left)

    def _publish(self, entry: Entry) -> bool:
        if entry.payload is None:
            what = f"{entry.event_type} of {entry.step}"
            self._left.append(f"{what} can't be published again: its body is gone")
            return False
        if not self._dry_run:
            self._put_back.publish(entry)
        return True

    def _put(self, work: Work) -> bool:
        if not self._put_back.is_possible(work):
            self._left.append(f"{work} can't be done again: the log does not hold the event that called it")
            return False
        if not self._dry_run and work.is_dead:
            letter = self._put_back.bury(work, "lost", "its dead letter was gone")
            ask(self._store, letter, "requeued", _COMMENT, self._now)
        elif not self._dry_run:
            self._put_back.put(work)
        return True

    def _requeue(self, letter: DeadLetter) -> bool:
        times = times_requeued(self._saga.letters, letter)
        if times >= self._limit:
            self._left.append(f"dead letter {letter.id} was requeued {times} times: edit or discard it")
            return False
        return self._dry_run or ask(self._store, letter, "requeued", _COMMENT, self._now)


def _refuse_broken(saga: Remembered) -> None:
    broken = [each for each in saga.replay.differences if each.what != "step"]
    if broken:
        raise ReplayError(
            f"the log of saga {saga.saga_id} does not hold together: {broken[0]}",
            hint="see `choreo replay fold`; nothing was changed",
        )
