"""``TableStore``: the part of a `choreo.ports.Store` that is the same on every database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

from choreo.errors import Fenced, PayloadErased, StoreMismatch
from choreo.participant import Sessions
from choreo.ports.joined import JoinedStore, OpenTransaction
from choreo.ports.saga_log import SagaLog
from choreo.records import (
    DeadLetter,
    Entry,
    InFlight,
    Lane,
    LetterState,
    Partition,
    Release,
    SagaKey,
    Scheduled,
    Unpublished,
    Work,
)
from choreo.store.heads import Heads
from choreo.store.in_flight import Searches, in_flight, work
from choreo.store.pending import Pending
from choreo.store.releases import release_of, values_of
from choreo.store.statements import Statements


class TableStore(ABC):
    """The tables of a store, read and written by the statements of one dialect.

    Rows of the saga log, the outbox and the schedule are written together when the turn ends, or when
    a method reads them. ``_path`` is how the database is called in messages.
    """

    has_requests = False
    _path: str
    _sql: Statements
    _searches: Searches
    _heads: Heads
    _pending: Pending
    _turn: Any
    _savepoint: AbstractContextManager[None]
    _saga_log: SagaLog

    @property
    @abstractmethod
    def db(self) -> Any:
        """The open database as handlers see it. Inside a turn it refuses to commit and to roll back."""

    @property
    @abstractmethod
    def store_id(self) -> str:
        """A random id given when the store was made; a copy keeps it."""

    @property
    @abstractmethod
    def is_free(self) -> bool:
        """Whether no transaction is open in it, and this process may use it."""

    @abstractmethod
    def claim(self) -> int:
        """Claim the store; see `choreo.ports.Store.claim`."""

    @abstractmethod
    def within(self, transaction: OpenTransaction, participant: str) -> AbstractContextManager[JoinedStore]:
        """Open a block inside of a transaction of the service's own; see `choreo.ports.Store.within`."""

    @abstractmethod
    def changed(self) -> bool:
        """Whether another connection has committed since the last call; cheap."""

    @abstractmethod
    def check_files(self) -> None:
        """Raise `StoreGone` where the store's files were deleted, moved or replaced since it was opened."""

    @abstractmethod
    def trim(self) -> None:
        """Free space that is needed no more, without waiting for readers; outside of a turn."""

    @abstractmethod
    def close(self) -> None:
        """Close the store; closing twice does no harm."""

    @property
    def name(self) -> str:
        """How the store is called in messages."""
        return self._path

    @property
    def cluster(self) -> str:
        """The cluster that the store belongs to, empty where it has not been used."""
        return str(self._rows(self._sql.owner)[0][1] or "")

    @property
    def owner(self) -> str:
        """The participant that has used the store, empty where none has."""
        return str(self._rows(self._sql.owner)[0][2] or "")

    @property
    def saga_log(self) -> SagaLog:
        """The saga log as `choreo.audit` needs it."""
        return self._saga_log

    @abstractmethod
    def sessions(self, declared: Any) -> Sessions:
        """Return the sessions on this store's connection; see the port."""

    def turn(self) -> AbstractContextManager[None]:
        """Open the one transaction of a turn; see `choreo.ports.Store.turn`."""
        opened: AbstractContextManager[None] = self._turn
        return opened

    @property
    def blocks_here(self) -> bool:
        """Whether the calling thread or task has a turn of this database open, by any connection."""
        return bool(self._turn.blocks_here)

    def savepoint(self) -> AbstractContextManager[None]:
        """Open a savepoint inside a turn; see `choreo.ports.Store.savepoint`."""
        return self._savepoint

    def skip_savepoints(self) -> None:
        """Make savepoints all the same, as they cost next to nothing."""
        self._turn.require("skip_savepoints")

    @abstractmethod
    def _write(self) -> None:
        """Write what is pending in the open turn, if one is open. Raises `StoreError`."""

    @abstractmethod
    def _rows(self, sql: str, *values: object) -> list[Any]:
        """Execute a statement, and return its rows. Raises `StoreError`."""

    @abstractmethod
    def _count(self, sql: str, *values: object) -> int:
        """Execute a statement, and return how many rows it changed. Raises `StoreError`."""

    def append(self, entries: Iterable[Entry]) -> None:
        """Add to the saga log."""
        self._turn.require("append")
        self._pending.entries.extend(entries)

    def history(self, saga_id: str, saga_type: str = "") -> Sequence[Entry]:
        """Return a saga's entries, oldest first; without a type, those of all sagas with the id."""
        if self._pending.concerns(saga_id):
            self._write()
        if not saga_type:
            return [Entry._make(row) for row in self._rows(self._sql.histories, saga_id)]
        entries = [Entry._make(row) for row in self._rows(self._sql.history, saga_id, saga_type)]
        if not entries:
            self._heads.new(saga_id, saga_type)
        return entries

    @abstractmethod
    def histories(self, sagas: Collection[SagaKey]) -> Mapping[SagaKey, Sequence[Entry]]:
        """Return what `history` would of some sagas, as far as it is faster to read them together."""

    def last_entry(self, saga_id: str) -> int:
        """Return the number of the last entry of the sagas with an id, 0 where there is none; cheap."""
        if self._pending.concerns(saga_id):
            self._write()
        return self._rows(self._sql.last_entry, saga_id)[0][0] or 0

    def is_keyed_by_id(self, saga_id: str, saga_type: str) -> bool:
        """Whether the store held a saga before it was keyed by saga type and id."""
        return bool(self._rows(self._sql.is_keyed_by_id, saga_id, saga_type))

    def rows(self, after: int, limit: int) -> Sequence[tuple[int, Entry]]:
        """Return entries of all sagas with their numbers, from the one after ``after`` on, oldest first."""
        self._write()
        return [(row[0], Entry._make(row[1:])) for row in self._rows(self._sql.rows, after, limit)]

    def payload(self, saga_id: str, saga_type: str, event_type: str) -> bytes | None:
        """Return the kept body of the saga's first event of that type that counts; None where there is none.

        Raises `PayloadErased` where the body was erased.
        """
        if self._pending.concerns(saga_id):
            self._write()
        rows = self._rows(self._sql.payload, saga_id, saga_type, event_type)
        if rows and rows[0][0] is None:
            raise PayloadErased(f"{event_type}: the payload was erased")
        return rows[0][0] if rows else None

    def enqueue(self, rows: Iterable[Unpublished]) -> None:
        """Add to the outbox; the store numbers the rows, whatever their ``seq``."""
        self._turn.require("enqueue")
        self._pending.unpublished.extend(rows)

    def emit(self, entry: Entry, rows: Sequence[Unpublished]) -> None:
        """Write an event: its entry of the saga log, and its rows of the outbox, one for each topic."""
        self.append((entry,))
        self.enqueue(rows)

    def take_up(self, limit: int) -> int:
        """Take up requests, of which there are none."""
        self._turn.require("take_up")
        return 0

    def unpublished(self, after: int, limit: int) -> Sequence[Unpublished]:
        """Return outbox rows whose ``seq`` is greater than ``after``, in order."""
        self._write()
        return [Unpublished._make(row) for row in self._rows(self._sql.unpublished, after, limit)]

    def acknowledge(self, seqs: Iterable[int]) -> None:
        """Take acknowledged rows out of the outbox; numbers that are gone already do no harm."""
        self._turn.require("acknowledge")
        self._pending.acknowledged.extend(seqs)

    def schedule(self, rows: Iterable[Scheduled]) -> None:
        """Put rows on the schedule, or move them."""
        self._turn.require("schedule")
        self._pending.changes.extend(rows)

    def unschedule(self, saga_id: str, saga_type: str, task: str, name: str) -> None:
        """Take a saga's rows of that task and name off the schedule."""
        self._turn.require("unschedule")
        self._pending.changes.append((saga_id, saga_type, task, name))

    def scheduled(self, saga_id: str, saga_type: str) -> Sequence[Scheduled]:
        """Return a saga's rows of the schedule, of all lanes, in the order of scheduling."""
        self._write()
        return [Scheduled._make(row) for row in self._rows(self._sql.scheduled, saga_id, saga_type)]

    def all_scheduled(self) -> Sequence[Scheduled]:
        """Return all rows of the schedule, in the order of scheduling."""
        self._write()
        return [Scheduled._make(row) for row in self._rows(self._sql.all_scheduled)]

    def due(self, now: int, limit: int, lane: Lane = "turn") -> Sequence[Scheduled]:
        """Return what is due in a lane at ``now``, the oldest first, then in the order of scheduling."""
        self._write()
        sql = (self._sql.doubted if lane == "doubt" else self._sql.due)[lane]
        return [Scheduled._make(row) for row in self._rows(sql, now, limit)]

    def postponed(self, now: int) -> Sequence[Scheduled]:
        """Return the rows, other than deadlines, that are due after ``now``."""
        self._write()
        return [Scheduled._make(row) for row in self._rows(self._sql.postponed, now)]

    def next_due(self, lane: Lane = "turn") -> int | None:
        """Return when the next row of a lane is due; None where there is none."""
        self._write()
        rows = self._rows(self._sql.next_due[lane])
        return rows[0][0] if rows else None

    def overdue(self, now: int, limit: int) -> Sequence[Scheduled]:
        """Return the rows of the lane ``call`` whose time limit has passed at ``now``, oldest limit first."""
        self._write()
        return [Scheduled._make(row) for row in self._rows(self._sql.overdue, now, limit)]

    def next_limit(self) -> int | None:
        """Return the earliest time limit in the lane ``call``, None where no row has one."""
        self._write()
        rows = self._rows(self._sql.next_limit)
        return rows[0][0] if rows else None

    def waiting(self, lane: Lane, now: int) -> tuple[int, int]:
        """Return how many rows of a lane are due at ``now``, and since when the oldest is; 0 for none."""
        self._write()
        count, since = self._rows(self._sql.waiting[lane], now)[0]
        return count, since

    @property
    def serves_one(self) -> bool:
        """Whether the store is claimed as a whole, by one worker at a time."""
        return True

    def spread(self, topics: Mapping[str, tuple[str, int]]) -> Mapping[str, int]:
        """Do nothing, and return nothing: the worker of the store has all partitions."""
        self._turn.require("spread")
        return {}

    def partitions_at_first(self) -> Mapping[str, int]:
        """Return nothing: the worker of the store has joined all partitions that there were."""
        return {}

    def take_over(self, partitions: Collection[Partition]) -> int:
        """Do nothing, and return 0: the store was claimed as a whole."""
        self._turn.require("take_over")
        return 0

    def visit(self, saga_id: str, saga_type: str) -> bool:
        """Do nothing, as there is no other worker; return False."""
        self._turn.require("visit")
        return False

    def give_up(self, partitions: Collection[Partition]) -> None:
        """Do nothing, as the store stays claimed."""
        self._turn.require("give_up")

    def disown(self, partitions: Collection[Partition]) -> None:
        """Do nothing, as the store stays claimed."""
        del partitions

    def recall(self) -> None:
        """Put what was out back into its lane, and count that the process ended meanwhile."""
        self._turn.require("recall")
        self._write()
        self._count(self._sql.recall)
        self._count(self._sql.release)
        self._count(self._sql.let_go)

    def trust(self) -> None:
        """Forget how often the process has ended without `release`."""
        self._turn.require("trust")
        self._count(self._sql.trust)

    def release(self) -> None:
        """End in order: put what is out back into the lane of calls, uncounted."""
        self._turn.require("release")
        self._write()
        self._count(self._sql.release)
        self._count(self._sql.trust)

    def hold(self, row: Scheduled) -> None:
        """Hold a row, so that it isn't due before `let_go`."""
        self.schedule((row._replace(lane=cast(Lane, f"held-{row.lane}")),))

    def let_go(self) -> None:
        """Put the held rows back into their lanes."""
        self._turn.require("let_go")
        self._write()
        self._count(self._sql.let_go)

    def partition_of(self, saga_id: str, saga_type: str) -> Partition | None:
        """Return the partition of a saga's events, None where none was folded."""
        self._write()
        rows = self._rows(self._sql.partition_of, saga_id, saga_type)
        return Partition(*rows[0]) if rows else None

    def positions(self) -> Mapping[Partition, int]:
        """Return the next offset to fold, for every partition that was ever assigned."""
        return {Partition(topic, number): at for topic, number, at in self._rows(self._sql.positions)}

    def joined(self) -> Mapping[Partition, tuple[int, int]]:
        """Return the end offset at joining and the offset from which to act, for every such partition."""
        rows = self._rows(self._sql.joined)
        return {Partition(topic, number): (end, acts) for topic, number, end, acts in rows}

    def join(self, partition: Partition, position: int, end: int, acts_from: int) -> None:
        """Note a partition at its first assignment. Raises `Fenced` when another worker has just done so."""
        self._turn.require("join")
        if self._count(self._sql.join, *partition, position, end, acts_from) != 1:
            raise _fenced(partition, "has been joined already")

    def advance(self, partition: Partition, expected: int, position: int) -> None:
        """Move a position by compare-and-set. Raises `Fenced` when it isn't ``expected`` any more."""
        self._turn.require("advance")
        if self._count(self._sql.advance, position, *partition, expected) != 1:
            raise moved(partition, expected)

    def topics(self) -> Mapping[str, str]:
        """Return the topics that have positions, each with its id, empty where it isn't known."""
        return dict(self._rows(self._sql.topics))

    def identify(self, topics: Mapping[str, str]) -> None:
        """Note the ids of topics with the positions that have none."""
        self._turn.require("identify")
        for topic, identity in topics.items():
            self._count(self._sql.identify, identity, topic)

    def leave(self, topic: str, identity: str) -> None:
        """Forget the positions of the topic with an id."""
        self._turn.require("leave")
        self._count(self._sql.leave, topic, identity)

    def bind(self, cluster_id: str, participant: str) -> None:
        """Note, the first time, to whom this store belongs; raise `StoreMismatch` for anyone else later."""
        owner = self._rows(self._sql.owner)[0][1:]
        if owner == (None, None):
            with nullcontext() if self._turn.is_open else self.turn():
                self._count(self._sql.own, cluster_id, participant)
                owner = self._rows(self._sql.owner)[0][1:]
        self._compare("cluster", owner[0], cluster_id)
        self._compare("participant", owner[1], participant)

    def add_dead_letter(self, letter: DeadLetter) -> int:
        """Keep a dead letter, and return its id."""
        self._turn.require("add_dead_letter")
        return int(self._rows(self._sql.add_letter, *letter[:-1])[0][0])

    def restore_letters(self, letters: Iterable[DeadLetter]) -> None:
        """Add dead letters of another store, inside a turn, with their ids, to a store that has none."""
        self._turn.require("restore_letters")
        for letter in letters:
            self._count(self._sql.restore_letter, *letter)

    def dead_letters(self) -> Sequence[DeadLetter]:
        """Return the dead letters, open or closed, oldest first."""
        return [DeadLetter._make(row) for row in self._rows(self._sql.letters)]

    def open_letters(self, reason: str) -> Sequence[DeadLetter]:
        """Return the open dead letters with a reason, oldest first."""
        return [DeadLetter._make(row) for row in self._rows(self._sql.open_letters, reason)]

    def letters(self, after: int, limit: int) -> Sequence[DeadLetter]:
        """Return dead letters without their bodies, those after the id ``after``, oldest first."""
        return [DeadLetter._make(row) for row in self._rows(self._sql.letter_page, after, limit)]

    def letters_of(self, saga_id: str, saga_type: str) -> Sequence[DeadLetter]:
        """Return a saga's dead letters without their bodies, open or closed, oldest first."""
        return [DeadLetter._make(row) for row in self._rows(self._sql.letters_of, saga_id, saga_type)]

    def dead_letter(self, identity: int) -> DeadLetter | None:
        """Return one dead letter, None where there is none with that id."""
        rows = self._rows(self._sql.letter, identity)
        return DeadLetter._make(rows[0]) if rows else None

    def close_dead_letter(
        self, identity: int, state: LetterState, comment: str, at: int, by: str = ""
    ) -> bool:
        """Close a dead letter; return whether it was still open, so that one of two takers gets it."""
        self._turn.require("close_dead_letter")
        return self._count(self._sql.close_letter, state, comment, at, by, identity) == 1

    def add_result(self, identity: int, event_type: str, body: bytes) -> None:
        """Add to a dead letter the event with which it is resolved."""
        self._turn.require("add_result")
        self._count(self._sql.add_result, event_type, body, identity)

    def edit_dead_letter(self, identity: int, body: bytes) -> bool:
        """Keep another body beside that of an open dead letter; return whether it was still open."""
        self._turn.require("edit_dead_letter")
        return self._count(self._sql.edit_letter, body, identity) == 1

    def edited(self, saga_id: str, saga_type: str, task: str, name: str, event_id: str) -> bytes | None:
        """Return the latest body that was written by hand for that event and handler; None where none was."""
        rows = self._rows(self._sql.edited, saga_id, saga_type, task, name, event_id)
        return rows[0][0] if rows else None

    def releases(self) -> Sequence[Release]:
        """Return the declarations that the store's workers ran with, oldest first."""
        return [release_of(row, self._path) for row in self._rows(self._sql.releases)]

    def newest_release(self) -> Release | None:
        """Return the newest of them, None where there is none."""
        rows = self._rows(self._sql.newest_release)
        return release_of(rows[0], self._path) if rows else None

    def add_release(self, release: Release) -> int:
        """Add a release, and return its id; it is in force after the last entry of the saga log."""
        self._turn.require("add_release")
        self._write()
        return int(self._rows(self._sql.add_release, *values_of(release))[0][0])

    def in_flight(
        self,
        lacks: Callable[[str, str, str, str], bool],
        steps: Collection[str] | None,
        types: Collection[str],
    ) -> InFlight:
        """Return what sagas still need of some handlers, and which events they have seen; see the port."""
        self._write()
        return in_flight(self._rows, self._searches, lacks, steps, types)

    def work(
        self, lacks: Callable[[str, str, str, str], bool], steps: Collection[str] | None
    ) -> Sequence[Work]:
        """Return each work of those that `in_flight` counts; see the port."""
        self._write()
        return list(work(self._rows, self._searches, lacks, steps))

    def _compare(self, what: str, noted: str, given: str) -> None:
        if noted != given:
            raise StoreMismatch(
                f"the store {self._path} belongs to the {what} {noted!r}, not to {given!r}",
                hint="check the configuration; another cluster or participant needs a store of its own",
            )


def moved(partition: Partition, expected: int) -> Fenced:
    """Return the error for a position that another worker has moved."""
    return _fenced(partition, f"is not at {expected} any more")


def _fenced(partition: Partition, what: str) -> Fenced:
    return Fenced(
        f"partition {partition.number} of {partition.topic} {what} in this store",
        hint="another worker uses the same store: stop one of them",
    )
