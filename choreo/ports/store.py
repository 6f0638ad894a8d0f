"""A participant's database, as the worker needs it: saga log, outbox, schedule, positions, dead letters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from choreo.ports.saga_log import SagaLog
from choreo.records import DeadLetter, Entry, Lane, LetterState, Partition, Scheduled, Unpublished


class Store(Protocol):
    """One participant's database. One connection, used by one thread.

    All that writes happens inside `turn`, one turn at a time. A store may keep back what it is given
    until the turn ends or one of its own methods asks for it: handlers must not read these tables.
    """

    @property
    def db(self) -> Any:
        """The open database as handlers see it (`sqlite_utils.Database` for SQLite).

        While a turn is open it refuses to begin, to commit and to roll back; savepoints are allowed.
        """
        ...

    @property
    def store_id(self) -> str:
        """A random id given when the store was made; a copied file keeps it."""
        ...

    @property
    def saga_log(self) -> SagaLog:
        """The saga log as its keeper sees it: checked, exported, thinned out."""
        ...

    def turn(self) -> AbstractContextManager[None]:
        """Open the one transaction of a turn: committed at the end, rolled back on an exception.

        Raises `StoreError` when the database stays locked, when a turn is open already, or when the
        transaction was lost or can't be committed; `TransactionControl` when something inside, but
        outside of a savepoint, tried to commit or roll back; `Fenced` when another worker has claimed
        the store since this one did. In any case nothing was committed.
        """
        ...

    def savepoint(self) -> AbstractContextManager[None]:
        """Inside a turn: what is written inside is undone, alone, when an exception leaves it.

        Raises `TransactionControl`, and undoes, when something inside tried to commit or roll back,
        even where it swallowed the database's error; the turn can go on. Raises `StoreError` when the
        whole turn is lost (a statement's ``OR ROLLBACK``, a full disk): leave the turn.
        """
        ...

    def append(self, entries: Iterable[Entry]) -> None:
        """Add to the saga log."""
        ...

    def history(self, saga_id: str) -> Sequence[Entry]:
        """Give a saga's entries, oldest first."""
        ...

    def rows(self, after: int, limit: int) -> Sequence[tuple[int, Entry]]:
        """Give entries of all sagas, each with its number, from the one after ``after`` on, oldest first."""
        ...

    def payload(self, saga_id: str, event_type: str) -> bytes | None:
        """Give the kept body of the saga's first counted event of that type; None where there is none.

        An entry counts unless its ``note`` is ``void``. Raises `PayloadErased` where there was one.
        """
        ...

    def enqueue(self, rows: Iterable[Unpublished]) -> None:
        """Add to the outbox; the store numbers the rows, whatever their ``seq``."""
        ...

    def unpublished(self, after: int, limit: int) -> Sequence[Unpublished]:
        """Give outbox rows with ``seq`` over ``after``, in order."""
        ...

    def acknowledge(self, seqs: Iterable[int]) -> None:
        """Take acknowledged rows out of the outbox; numbers that are gone already do no harm."""
        ...

    def schedule(self, rows: Iterable[Scheduled]) -> None:
        """Put rows on the schedule, or move them."""
        ...

    def unschedule(self, saga_id: str, task: str, name: str) -> None:
        """Take a saga's rows of that task and name off the schedule."""
        ...

    def scheduled(self, saga_id: str) -> Sequence[Scheduled]:
        """Give what is on the schedule for one saga, whatever its lane, in the order of scheduling."""
        ...

    def due(self, now: int, limit: int, lane: Lane = "turn") -> Sequence[Scheduled]:
        """Give what is due at ``now`` in a lane, the oldest first, then in the order of scheduling."""
        ...

    def next_due(self, lane: Lane = "turn") -> int | None:
        """Say when the next row of a lane is due; None where there is none."""
        ...

    def claim(self) -> None:
        """Take the store over, inside a turn: who claimed it before is fenced from its next turn on.

        One that never claims it, as a web process that starts sagas, is never fenced.
        """
        ...

    def recall(self) -> None:
        """Put what was out back among what waits to be called: the process that called it is gone."""
        ...

    def positions(self) -> Mapping[Partition, int]:
        """Give the next offset to fold, of every partition that was ever ours."""
        ...

    def joined(self) -> Mapping[Partition, tuple[int, int]]:
        """Give, of every partition that was ever ours, where its log ended when we joined, and from which
        offset on we act."""
        ...

    def join(self, partition: Partition, position: int, end: int, acts_from: int) -> None:
        """Note a partition that was never ours before. Raises `Fenced` when another worker just did."""
        ...

    def advance(self, partition: Partition, expected: int, position: int) -> None:
        """Move a position by compare-and-set. Raises `Fenced` when it isn't ``expected`` any more."""
        ...

    def bind(self, cluster_id: str, participant: str) -> None:
        """Note, the first time, to whom this store belongs; later raise `StoreMismatch` for anybody else.

        Inside a turn or outside of one.
        """
        ...

    def add_dead_letter(self, letter: DeadLetter) -> int:
        """Keep a dead letter; give its id."""
        ...

    def dead_letters(self) -> Sequence[DeadLetter]:
        """Give the dead letters, open or closed, oldest first."""
        ...

    def dead_letter(self, identity: int) -> DeadLetter | None:
        """Give one dead letter."""
        ...

    def close_dead_letter(self, identity: int, state: LetterState, comment: str, at: int) -> bool:
        """Close a dead letter; say whether it was still open, so that one of two takers gets it."""
        ...

    def edit_dead_letter(self, identity: int, body: bytes) -> bool:
        """Keep another body beside the one of an open dead letter; say whether it was still open."""
        ...

    def edited(self, saga_id: str, task: str, name: str, event_id: str) -> bytes | None:
        """Give the body that somebody has written for that event and that handler, the latest."""
        ...

    def changed(self) -> bool:
        """Say, cheaply, whether another connection has committed since the last call."""
        ...

    def close(self) -> None:
        """Close the database."""
        ...
