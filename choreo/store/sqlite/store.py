"""The store in SQLite: one file, with a write-ahead log, synced at every commit."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, cast, get_args

from sqlite_utils import Database

from choreo.errors import Fenced, PayloadErased, StoreError, StoreMismatch
from choreo.ports.saga_log import SagaLog
from choreo.records import (
    DeadLetter,
    Entry,
    InFlight,
    Lane,
    LetterState,
    Partition,
    Release,
    Scheduled,
    Unpublished,
)
from choreo.store.sqlite import releases as release_rows
from choreo.store.sqlite.errors import store_error, turn_error
from choreo.store.sqlite.files import Files
from choreo.store.sqlite.guard import Guard, GuardedConnection
from choreo.store.sqlite.heads import Heads
from choreo.store.sqlite.in_flight import in_flight
from choreo.store.sqlite.opening import open_database
from choreo.store.sqlite.pending import Pending
from choreo.store.sqlite.rows import UNWRITABLE, columns
from choreo.store.sqlite.saga_log import SQLiteSagaLog
from choreo.store.sqlite.turn import Claim, Savepoint, Turn
from choreo.store.sqlite.wal import WriteAheadLog


def _of_each_lane(sql: str) -> Mapping[str, str]:
    """Return a statement for each lane, with the lane in its text.

    As one of the indices is of one lane, SQLite plans a statement anew whenever a parameter has another lane.
    """
    return {lane: sql.replace("lane = ?", f"lane = '{lane}'") for lane in get_args(Lane)}


_LETTER_FIELDS = DeadLetter._fields[:-1]  # all but the id, which the database gives

_HISTORY = f"SELECT {columns(Entry._fields)} FROM saga_log WHERE saga_id = ? AND saga_type = ? ORDER BY id"
_HISTORIES = f"SELECT {columns(Entry._fields)} FROM saga_log WHERE saga_id = ? ORDER BY id"
_ROWS = f"SELECT id, {columns(Entry._fields)} FROM saga_log WHERE id > ? ORDER BY id LIMIT ?"
_LAST_ENTRY = "SELECT max(id) FROM saga_log WHERE saga_id = ?"
_PAYLOAD = """
SELECT payload FROM saga_log
WHERE saga_id = ? AND saga_type = ? AND event_type = ?
    AND (payload IS NOT NULL OR digest IS NOT NULL) AND note <> 'void'
ORDER BY id LIMIT 1
"""
_UNPUBLISHED = f"SELECT {columns(Unpublished._fields)} FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?"
_SCHEDULED = (
    f"SELECT {columns(Scheduled._fields)} FROM schedule WHERE saga_id = ? AND saga_type = ? ORDER BY id"
)
_DUE = _of_each_lane(
    f"SELECT {columns(Scheduled._fields)} FROM schedule WHERE lane = ? AND due <= ? ORDER BY due, id LIMIT ?"
)
_DOUBTED = _of_each_lane(
    f"SELECT {columns(Scheduled._fields)} FROM schedule WHERE lane = ? AND due <= ?"
    " ORDER BY deaths, due, id LIMIT ?"
)
_POSTPONED = (
    f"SELECT {columns(Scheduled._fields)} FROM schedule WHERE due > ? AND task <> 'deadline' ORDER BY id"
)
_NEXT_DUE = _of_each_lane("SELECT due FROM schedule WHERE lane = ? ORDER BY due LIMIT 1")
_OVERDUE = f"""
SELECT {columns(Scheduled._fields)} FROM schedule
WHERE lane = 'call' AND until > 0 AND until < ? ORDER BY until, id LIMIT ?
"""
_NEXT_LIMIT = "SELECT until FROM schedule WHERE lane = 'call' AND until > 0 ORDER BY until LIMIT 1"
_WAITING = _of_each_lane("SELECT count(*), ifnull(min(due), 0) FROM schedule WHERE lane = ? AND due <= ?")
_ITS_LANE = "CASE task WHEN 'compensation' THEN 'undo' ELSE 'call' END"
_RECALL = "UPDATE schedule SET lane = 'doubt', deaths = deaths + 1 WHERE lane = 'out'"
# An older choreo kept compensations in the lane of actions.
_RELEASE = f"""
UPDATE schedule SET lane = {_ITS_LANE} WHERE lane = 'out' OR (lane = 'call' AND task = 'compensation')
"""
_TRUST = "UPDATE choreo_store SET deaths = 0"
_LET_GO = "UPDATE schedule SET lane = substr(lane, 6) WHERE lane LIKE 'held-%'"
_PARTITION_OF = """
SELECT topic, partition FROM saga_log WHERE saga_id = ? AND saga_type = ? AND partition >= 0 LIMIT 1
"""
_POSITIONS = "SELECT topic, partition, next_offset FROM positions"
_JOINED = "SELECT topic, partition, end_offset, acts_from FROM positions"
_JOIN = """
INSERT INTO positions (topic, partition, next_offset, end_offset, acts_from) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING
"""
_ADVANCE = "UPDATE positions SET next_offset = ? WHERE topic = ? AND partition = ? AND next_offset = ?"
_TOPICS = "SELECT topic, max(topic_id) FROM positions GROUP BY topic"
_IDENTIFY = "UPDATE positions SET topic_id = ? WHERE topic = ? AND topic_id = ''"
_LEAVE = "DELETE FROM positions WHERE topic = ?"
_OWNER = "SELECT store_id, cluster_id, participant FROM choreo_store"
_OWN = "UPDATE choreo_store SET cluster_id = ?, participant = ? WHERE cluster_id IS NULL"
_ADD_LETTER = (
    f"INSERT INTO dead_letters ({columns(_LETTER_FIELDS)}) VALUES ({', '.join('?' * len(_LETTER_FIELDS))})"
)
_LETTERS = f"SELECT {columns(DeadLetter._fields)} FROM dead_letters ORDER BY id"
_OPEN_LETTERS = (
    f"SELECT {columns(DeadLetter._fields)} FROM dead_letters WHERE state = 'open' AND reason = ? ORDER BY id"
)
_LETTER = f"SELECT {columns(DeadLetter._fields)} FROM dead_letters WHERE id = ?"
_BODILESS = {
    "key": "NULL",
    "headers": "'[]'",
    "value": "NULL",
    "edited": "CASE WHEN edited IS NULL THEN NULL ELSE x'' END",
}
_HEADS = ", ".join(_BODILESS.get(name, columns([name])) for name in DeadLetter._fields)
_LETTER_PAGE = f"SELECT {_HEADS} FROM dead_letters WHERE id > ? ORDER BY id LIMIT ?"
_LETTERS_OF = f"SELECT {_HEADS} FROM dead_letters WHERE saga_id = ? AND saga_type = ? ORDER BY id"
_CLOSE_LETTER = """
UPDATE dead_letters SET state = ?, comment = ?, closed_at = ? WHERE id = ? AND state = 'open'
"""
_EDIT_LETTER = "UPDATE dead_letters SET edited = ? WHERE id = ? AND state = 'open'"
_EDITED = """
SELECT edited FROM dead_letters
WHERE saga_id = ? AND saga_type = ? AND edited IS NOT NULL AND task = ? AND name = ? AND event_id = ?
ORDER BY id DESC LIMIT 1
"""
_IS_KEYED_BY_ID = """
SELECT 1 FROM saga_log
WHERE saga_id = ? AND saga_type = ? AND id <= (SELECT keyed_by_id FROM choreo_store) LIMIT 1
"""
_DATA_VERSION = "PRAGMA data_version"


class SQLiteStore:
    """A `choreo.ports.Store` in an SQLite file, in which the service may keep its own tables.

    ``path`` may be ``":memory:"``; ``busy_timeout`` is the time to wait for another writer, in seconds.
    A store belongs to the thread that made it, unless ``any_thread`` may use it, one after the other; and to
    the process that made it: a forked one is refused every use. Opening raises `StoreError` with a hint;
    later `StoreError` is raised when the database is locked too long, or fails.

    A store in memory begins as a copy of another one where ``image`` is what `image` returned of that.
    ``chance`` returns so many random bytes.

    Rows of the saga log, the outbox and the schedule are written together when the turn ends, or when
    a method reads them.

    >>> store = SQLiteStore(":memory:")
    >>> with store.turn():
    ...     store.enqueue([Unpublished("e1", "saga-1", "order", "orders", "[]", b"...")])
    ...     store.join(Partition("orders", 0), position=7, end=7, acts_from=7)
    >>> [row.seq for row in store.unpublished(after=0, limit=10)]
    [1]
    >>> store.positions()
    {Partition(topic='orders', number=0): 7}
    >>> store.close()
    """

    def __init__(
        self,
        path: str | Path,
        *,
        busy_timeout: float = 5.0,
        image: bytes = b"",
        chance: Callable[[int], bytes] = os.urandom,
        any_thread: bool = False,
    ) -> None:
        self._path = str(path)
        self._db = open_database(path, busy_timeout, image, any_thread=any_thread)
        self._connection = cast(GuardedConnection, self._db.conn)
        guard = Guard()
        guard.watch(self._connection)
        self._heads = Heads(self._connection, chance=chance)
        self._pending = Pending(self._heads)
        self._claim = Claim(self._connection, chance)
        self._guard = guard
        self._files = Files(self._path)
        self._turn = Turn(
            self._path,
            self._connection,
            guard,
            self._pending,
            self._claim,
            self._files,
            moves=any_thread,
            patience=busy_timeout,
        )
        self._savepoint = Savepoint(self._turn, self._connection, guard, self._pending)
        self._saga_log = SQLiteSagaLog(self._path, self._connection, self._turn, self._pending, self._heads)
        self._wal = WriteAheadLog(self._path, self._connection)
        self._store_id = str(self._rows(_OWNER)[0][0])
        self._data_version = self._rows(_DATA_VERSION)[0][0]

    @property
    def db(self) -> Database:
        """The open database as handlers see it. Inside a turn it refuses to commit and to roll back."""
        return self._db

    @property
    def store_id(self) -> str:
        """A random id given when the store was made; a copied file keeps it."""
        return self._store_id

    @property
    def saga_log(self) -> SagaLog:
        """The saga log as `choreo.audit` needs it."""
        return self._saga_log

    def turn(self) -> AbstractContextManager[None]:
        """Open the one transaction of a turn; see `choreo.ports.Store.turn`."""
        return self._turn

    @property
    def blocks_here(self) -> bool:
        """Whether the calling thread or task has a turn of this database open, by any connection."""
        return self._turn.blocks_here

    def savepoint(self) -> AbstractContextManager[None]:
        """Open a savepoint inside a turn; see `choreo.ports.Store.savepoint`."""
        return self._savepoint

    def append(self, entries: Iterable[Entry]) -> None:
        """Add to the saga log."""
        self._turn.require("append")
        self._pending.entries.extend(entries)

    def history(self, saga_id: str, saga_type: str = "") -> Sequence[Entry]:
        """Return a saga's entries, oldest first; without a type, those of all sagas with the id."""
        if self._pending.concerns(saga_id):
            self._write()
        if not saga_type:
            return [Entry._make(row) for row in self._rows(_HISTORIES, saga_id)]
        entries = [Entry._make(row) for row in self._rows(_HISTORY, saga_id, saga_type)]
        if not entries:
            self._heads.new(saga_id, saga_type)
        return entries

    def last_entry(self, saga_id: str) -> int:
        """Return the number of the last entry of the sagas with an id, 0 where there is none; cheap."""
        if self._pending.concerns(saga_id):
            self._write()
        return self._rows(_LAST_ENTRY, saga_id)[0][0] or 0

    def is_keyed_by_id(self, saga_id: str, saga_type: str) -> bool:
        """Whether the store held a saga before it was keyed by saga type and id."""
        return bool(self._rows(_IS_KEYED_BY_ID, saga_id, saga_type))

    def rows(self, after: int, limit: int) -> Sequence[tuple[int, Entry]]:
        """Return entries of all sagas with their numbers, from the one after ``after`` on, oldest first."""
        self._write()
        return [(row[0], Entry._make(row[1:])) for row in self._rows(_ROWS, after, limit)]

    def payload(self, saga_id: str, saga_type: str, event_type: str) -> bytes | None:
        """Return the kept body of the saga's first event of that type that counts; None where there is none.

        Raises `PayloadErased` where the body was erased.
        """
        if self._pending.concerns(saga_id):
            self._write()
        rows = self._rows(_PAYLOAD, saga_id, saga_type, event_type)
        if rows and rows[0][0] is None:
            raise PayloadErased(f"{event_type}: the payload was erased")
        return rows[0][0] if rows else None

    def enqueue(self, rows: Iterable[Unpublished]) -> None:
        """Add to the outbox; the store numbers the rows, whatever their ``seq``."""
        self._turn.require("enqueue")
        self._pending.unpublished.extend(rows)

    def unpublished(self, after: int, limit: int) -> Sequence[Unpublished]:
        """Return outbox rows whose ``seq`` is greater than ``after``, in order."""
        self._write()
        return [Unpublished._make(row) for row in self._rows(_UNPUBLISHED, after, limit)]

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
        return [Scheduled._make(row) for row in self._rows(_SCHEDULED, saga_id, saga_type)]

    def due(self, now: int, limit: int, lane: Lane = "turn") -> Sequence[Scheduled]:
        """Return what is due in a lane at ``now``, the oldest first, then in the order of scheduling."""
        self._write()
        sql = (_DOUBTED if lane == "doubt" else _DUE)[lane]
        return [Scheduled._make(row) for row in self._rows(sql, now, limit)]

    def postponed(self, now: int) -> Sequence[Scheduled]:
        """Return the rows, other than deadlines, that are due after ``now``."""
        self._write()
        return [Scheduled._make(row) for row in self._rows(_POSTPONED, now)]

    def next_due(self, lane: Lane = "turn") -> int | None:
        """Return when the next row of a lane is due; None where there is none."""
        self._write()
        rows = self._rows(_NEXT_DUE[lane])
        return rows[0][0] if rows else None

    def overdue(self, now: int, limit: int) -> Sequence[Scheduled]:
        """Return the rows of the lane ``call`` whose time limit has passed at ``now``, oldest limit first."""
        self._write()
        return [Scheduled._make(row) for row in self._rows(_OVERDUE, now, limit)]

    def next_limit(self) -> int | None:
        """Return the earliest time limit in the lane ``call``, None where no row has one."""
        self._write()
        rows = self._rows(_NEXT_LIMIT)
        return rows[0][0] if rows else None

    def waiting(self, lane: Lane, now: int) -> tuple[int, int]:
        """Return how many rows of a lane are due at ``now``, and since when the oldest is; 0 for none."""
        self._write()
        count, since = self._rows(_WAITING[lane], now)[0]
        return count, since

    def claim(self) -> int:
        """Claim the store: whoever claimed it before is fenced from its next turn on; see the port."""
        self._turn.require("claim")
        try:
            return self._claim.take()
        except sqlite3.Error as error:
            raise store_error(self._path, error) from error

    def recall(self) -> None:
        """Put what was out back into its lane, and count that the process ended meanwhile."""
        self._turn.require("recall")
        self._write()
        self._change(_RECALL)
        self._change(_RELEASE)
        self._change(_LET_GO)

    def trust(self) -> None:
        """Forget how often the process has ended without `release`."""
        self._turn.require("trust")
        self._change(_TRUST)

    def release(self) -> None:
        """End in order: put what is out back into the lane of calls, uncounted."""
        self._turn.require("release")
        self._write()
        self._change(_RELEASE)
        self._change(_TRUST)

    def hold(self, row: Scheduled) -> None:
        """Hold a row, so that it isn't due before `let_go`."""
        self.schedule((row._replace(lane=cast(Lane, f"held-{row.lane}")),))

    def let_go(self) -> None:
        """Put the held rows back into their lanes."""
        self._turn.require("let_go")
        self._write()
        self._change(_LET_GO)

    def partition_of(self, saga_id: str, saga_type: str) -> Partition | None:
        """Return the partition of a saga's events, None where none was folded."""
        self._write()
        rows = self._rows(_PARTITION_OF, saga_id, saga_type)
        return Partition(*rows[0]) if rows else None

    def positions(self) -> Mapping[Partition, int]:
        """Return the next offset to fold, for every partition that was ever assigned."""
        return {Partition(topic, number): at for topic, number, at in self._rows(_POSITIONS)}

    def joined(self) -> Mapping[Partition, tuple[int, int]]:
        """Return the end offset at joining and the offset from which to act, for every such partition."""
        return {Partition(topic, number): (end, acts) for topic, number, end, acts in self._rows(_JOINED)}

    def join(self, partition: Partition, position: int, end: int, acts_from: int) -> None:
        """Note a partition at its first assignment. Raises `Fenced` when another worker has just done so."""
        self._turn.require("join")
        if self._change(_JOIN, *partition, position, end, acts_from).rowcount != 1:
            raise _fenced(partition, "has been joined already")

    def advance(self, partition: Partition, expected: int, position: int) -> None:
        """Move a position by compare-and-set. Raises `Fenced` when it isn't ``expected`` any more."""
        self._turn.require("advance")
        if self._change(_ADVANCE, position, *partition, expected).rowcount != 1:
            raise _fenced(partition, f"is not at {expected} any more")

    def topics(self) -> Mapping[str, str]:
        """Return the topics that have positions, each with its id, empty where it isn't known."""
        return dict(self._rows(_TOPICS))

    def identify(self, topics: Mapping[str, str]) -> None:
        """Note the ids of topics with the positions that have none."""
        self._turn.require("identify")
        for topic, identity in topics.items():
            self._change(_IDENTIFY, identity, topic)

    def leave(self, topic: str) -> None:
        """Forget the positions of a topic, which then begins anew."""
        self._turn.require("leave")
        self._change(_LEAVE, topic)

    def bind(self, cluster_id: str, participant: str) -> None:
        """Note, the first time, to whom this store belongs; raise `StoreMismatch` for anyone else later."""
        owner = self._rows(_OWNER)[0][1:]
        if owner == (None, None):
            with nullcontext() if self._turn.is_open else self._turn:
                self._change(_OWN, cluster_id, participant)
                owner = self._rows(_OWNER)[0][1:]
        self._compare("cluster", owner[0], cluster_id)
        self._compare("participant", owner[1], participant)

    def add_dead_letter(self, letter: DeadLetter) -> int:
        """Keep a dead letter, and return its id."""
        self._turn.require("add_dead_letter")
        identity = self._change(_ADD_LETTER, *letter[:-1]).lastrowid
        assert identity is not None  # SQLite numbers every inserted row
        return identity

    def dead_letters(self) -> Sequence[DeadLetter]:
        """Return the dead letters, open or closed, oldest first."""
        return [DeadLetter._make(row) for row in self._rows(_LETTERS)]

    def open_letters(self, reason: str) -> Sequence[DeadLetter]:
        """Return the open dead letters with a reason, oldest first."""
        return [DeadLetter._make(row) for row in self._rows(_OPEN_LETTERS, reason)]

    def letters(self, after: int, limit: int) -> Sequence[DeadLetter]:
        """Return dead letters without their bodies, those after the id ``after``, oldest first."""
        return [DeadLetter._make(row) for row in self._rows(_LETTER_PAGE, after, limit)]

    def letters_of(self, saga_id: str, saga_type: str) -> Sequence[DeadLetter]:
        """Return a saga's dead letters without their bodies, open or closed, oldest first."""
        return [DeadLetter._make(row) for row in self._rows(_LETTERS_OF, saga_id, saga_type)]

    def dead_letter(self, identity: int) -> DeadLetter | None:
        """Return one dead letter, None where there is none with that id."""
        rows = self._rows(_LETTER, identity)
        return DeadLetter._make(rows[0]) if rows else None

    def close_dead_letter(self, identity: int, state: LetterState, comment: str, at: int) -> bool:
        """Close a dead letter; return whether it was still open, so that one of two takers gets it."""
        self._turn.require("close_dead_letter")
        return self._change(_CLOSE_LETTER, state, comment, at, identity).rowcount == 1

    def edit_dead_letter(self, identity: int, body: bytes) -> bool:
        """Keep another body beside that of an open dead letter; return whether it was still open."""
        self._turn.require("edit_dead_letter")
        return self._change(_EDIT_LETTER, body, identity).rowcount == 1

    def edited(self, saga_id: str, saga_type: str, task: str, name: str, event_id: str) -> bytes | None:
        """Return the latest body that was written by hand for that event and handler; None where none was."""
        rows = self._rows(_EDITED, saga_id, saga_type, task, name, event_id)
        return rows[0][0] if rows else None

    def releases(self) -> Sequence[Release]:
        """Return the declarations that the store's workers ran with, oldest first."""
        return [release_rows.release_of(row, self._path) for row in self._rows(release_rows.ALL)]

    def newest_release(self) -> Release | None:
        """Return the newest of them, None where there is none."""
        rows = self._rows(release_rows.NEWEST)
        return release_rows.release_of(rows[0], self._path) if rows else None

    def add_release(self, release: Release) -> int:
        """Add a release, and return its id; it is in force after the last entry of the saga log."""
        self._turn.require("add_release")
        self._write()
        identity = self._change(release_rows.ADD, *release_rows.values_of(release)).lastrowid
        assert identity is not None  # SQLite numbers every inserted row
        return identity

    def in_flight(
        self,
        lacks: Callable[[str, str, str, str], bool],
        steps: Collection[str] | None,
        types: Collection[str],
    ) -> InFlight:
        """Return what sagas still need of some handlers, and which events they have seen; see the port."""
        self._write()
        return in_flight(self._rows, lacks, steps, types)

    @property
    def is_free(self) -> bool:
        """Whether no transaction is open in it, and this process may use it."""
        return self._guard.phase == "outside" and not self._connection.in_transaction

    def check_files(self) -> None:
        """Raise `StoreGone` where the store's files were deleted, moved or replaced since it was opened."""
        self._files.check()

    def trim(self) -> None:
        """Keep the write-ahead log small, without waiting for readers; outside of a turn."""
        self._wal.trim()

    def changed(self) -> bool:
        """Whether another connection has committed since the last call; cheap."""
        before, self._data_version = self._data_version, self._rows(_DATA_VERSION)[0][0]
        return bool(before != self._data_version)

    def image(self) -> bytes:
        """Return the bytes of the whole database, as in its file."""
        return self._connection.serialize()

    def close(self) -> None:
        """Close the database; closing twice does no harm."""
        self._connection.close()

    def _write(self) -> None:
        if not self._turn.is_open:
            return
        self._turn.require("write")
        try:
            self._pending.write(self._connection)
        except UNWRITABLE as error:
            raise turn_error(self._path, error) from error

    def _rows(self, sql: str, *values: object) -> list[Any]:
        found = self._change(sql, *values)
        try:
            return found.fetchall()
        except sqlite3.Error as error:  # of a later page, which can't be read
            raise self._failed(error) from error

    def _change(self, sql: str, *values: object) -> sqlite3.Cursor:
        try:
            return self._turn.execute(sql, values)
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _failed(self, error: sqlite3.Error) -> StoreError:
        return (turn_error if self._turn.is_open else store_error)(self._path, error)

    def _compare(self, what: str, noted: str, given: str) -> None:
        if noted != given:
            raise StoreMismatch(
                f"the store {self._path} belongs to the {what} {noted!r}, not to {given!r}",
                hint="check the configuration; another cluster or participant needs a store of its own",
            )


def _fenced(partition: Partition, what: str) -> Fenced:
    return Fenced(
        f"partition {partition.number} of {partition.topic} {what} in this store",
        hint="another worker uses the same store: stop one of them",
    )
