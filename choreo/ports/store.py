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
        """The saga log as `choreo.audit` needs it."""
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
        """Return a saga's entries, oldest first."""
        ...

    def rows(self, after: int, limit: int) -> Sequence[tuple[int, Entry]]:
        """Return entries of all sagas with their numbers, from the one after ``after`` on, oldest first."""
        ...

    def payload(self, saga_id: str, event_type: str) -> bytes | None:
        """Return the kept body of the saga's first event of that type that counts; None where there is none.

        An entry counts unless its ``note`` is ``void``. Raises `PayloadErased` where the body was erased.
        """
        ...

    def enqueue(self, rows: Iterable[Unpublished]) -> None:
        """Add to the outbox; the store numbers the rows, whatever their ``seq``."""
        ...

    def unpublished(self, after: int, limit: int) -> Sequence[Unpublished]:
        """Return outbox rows whose ``seq`` is greater than ``after``, in order."""
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
        """Return a saga's rows of the schedule, of all lanes, in the order of scheduling."""
        ...

    def due(self, now: int, limit: int, lane: Lane = "turn") -> Sequence[Scheduled]:
        """Return what is due in a lane at ``now``, the oldest first, then in the order of scheduling."""
        ...

    def next_due(self, lane: Lane = "turn") -> int | None:
        """Return when the next row of a lane is due; None where there is none."""
        ...

    def claim(self) -> None:
        """Claim the store, inside a turn: whoever claimed it before is fenced from its next turn on.

        A process that never claims it, such as a web process that starts sagas, is never fenced.
        """
        ...

    def recall(self) -> None:
        """Put the calls that were out back into the lane of calls: the process that made them is gone."""
        ...

    def positions(self) -> Mapping[Partition, int]:
        """Return the next offset to fold, for every partition that was ever assigned."""
        ...

    def joined(self) -> Mapping[Partition, tuple[int, int]]:
        """Return the end offset at joining and the offset from which to act, for every such partition."""
        ...

    def join(self, partition: Partition, position: int, end: int, acts_from: int) -> None:
        """Note a partition at its first assignment. Raises `Fenced` when another worker has just done so."""
        ...

    def advance(self, partition: Partition, expected: int, position: int) -> None:
        """Move a position by compare-and-set. Raises `Fenced` when it isn't ``expected`` any more."""
        ...

    def bind(self, cluster_id: str, participant: str) -> None:
        """Note, the first time, to whom this store belongs; raise `StoreMismatch` for anyone else later.

        It may be called inside a turn or outside of one.
        """
        ...

    def add_dead_letter(self, letter: DeadLetter) -> int:
        """Keep a dead letter, and return its id."""
        ...

    def dead_letters(self) -> Sequence[DeadLetter]:
        """Return the dead letters, open or closed, oldest first."""
        ...

    def dead_letter(self, identity: int) -> DeadLetter | None:
        """Return one dead letter, None where there is none with that id."""
        ...

    def close_dead_letter(self, identity: int, state: LetterState, comment: str, at: int) -> bool:
        """Close a dead letter; return whether it was still open, so that one of two takers gets it."""
        ...

    def edit_dead_letter(self, identity: int, body: bytes) -> bool:
        """Keep another body beside that of an open dead letter; return whether it was still open."""
        ...

    def edited(self, saga_id: str, task: str, name: str, event_id: str) -> bytes | None:
        """Return the latest body that was written by hand for that event and handler; None where none was."""
        ...

    def changed(self) -> bool:
        """Whether another connection has committed since the last call; cheap."""
        ...

    def close(self) -> None:
        """Close the database."""
        ...
