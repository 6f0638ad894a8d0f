"""Maintenance of the saga log in SQLite: reads its chains, erases, prunes and copies rows.

This is the side that `choreo.audit` calls. The table is made by `choreo.store.sqlite.migrations`, and a turn
writes its rows through `choreo.store.sqlite.pending`.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from choreo.chain import PRUNED, ZEROS, Row, digest_of, head_of, link_of
from choreo.errors import StoreError
from choreo.records import Entry
from choreo.store.sqlite.errors import store_error
from choreo.store.sqlite.heads import Heads, rows_of
from choreo.store.sqlite.pending import Pending
from choreo.store.sqlite.rows import UNWRITABLE, Insertion
from choreo.store.sqlite.turn import Turn

_PAGE = 5_000
"""The rows that are searched at once for sagas that have ended."""

_PATIENCE = 50
"""The milliseconds of one wait for a reader."""

_ATTEMPTS = 20

_UNCHAINED = "SELECT unchained FROM choreo_store"
_SAGAS = "SELECT DISTINCT saga_id FROM saga_log WHERE saga_id > ? ORDER BY saga_id LIMIT ?"
_NEXT = "SELECT max(id), min(recorded_at) FROM (SELECT * FROM saga_log WHERE id > ? ORDER BY id LIMIT ?)"
_ENDED = """
SELECT saga_id FROM saga_log AS last
WHERE id > ? AND id <= ? AND recorded_at < ? AND saga_state IN ('completed', 'failed') AND input <> 'pruned'
AND NOT EXISTS (SELECT 1 FROM saga_log AS later WHERE later.saga_id = last.saga_id AND later.id > last.id)
ORDER BY id
"""
_BUSY = """
WITH asked AS (SELECT value AS saga_id FROM json_each(?))
SELECT saga_id, 'there is no such saga' FROM asked
WHERE NOT EXISTS (SELECT 1 FROM saga_log WHERE saga_log.saga_id = asked.saga_id)
UNION ALL SELECT saga_id, 'a dead letter of it is open' FROM dead_letters
WHERE state = 'open' AND saga_id IN (SELECT saga_id FROM asked)
UNION ALL SELECT saga_id, 'an event of it is not published yet' FROM outbox
WHERE saga_id IN (SELECT saga_id FROM asked)
UNION ALL SELECT saga_id, 'something is due for it' FROM asked
WHERE EXISTS (SELECT 1 FROM schedule WHERE schedule.saga_id = asked.saga_id)
UNION ALL SELECT saga_id, 'it has not ended' FROM asked
WHERE EXISTS (
    SELECT 1 FROM saga_log AS last WHERE last.saga_id = asked.saga_id
    AND last.saga_state NOT IN ('completed', 'failed') AND NOT EXISTS (
        SELECT 1 FROM saga_log AS later
        WHERE later.saga_id = last.saga_id AND later.saga_type = last.saga_type AND later.id > last.id
    )
)
"""
_UNLOCK = "UPDATE choreo_store SET unlocked = ?"
_ERASE = "UPDATE saga_log SET payload = NULL, salt = NULL, digest = ? WHERE id = ?"
_ERASE_LETTERS = """
UPDATE dead_letters SET value = NULL, edited = NULL
WHERE saga_id = ? AND (value IS NOT NULL OR edited IS NOT NULL)
"""
_PRUNE = "DELETE FROM saga_log WHERE saga_id = ?"
_TOMBSTONES = Insertion("saga_log", (*Entry._fields, "digest", "link"))


class SQLiteSagaLog:
    """The saga log of one store; see `choreo.ports.SagaLog`."""

    def __init__(
        self, path: str, connection: sqlite3.Connection, turn: Turn, pending: Pending, heads: Heads
    ) -> None:
        self._path = path
        self._connection = connection
        self._turn = turn
        self._pending = pending
        self._heads = heads

    @property
    def unchained(self) -> int:
        """The id up to which rows may have no link, as choreo wrote them before it linked rows."""
        return int(self._rows(_UNCHAINED)[0][0])

    def sagas(self, after: str, limit: int) -> Sequence[str]:
        """Return the ids of sagas that come after the id ``after``, in order; begin with an empty one."""
        return [saga_id for (saga_id,) in self._rows(_SAGAS, after, limit)]

    def chain(self, saga_id: str) -> Sequence[Row]:
        """Return a saga's rows with their links; those that the turn holds back are not among them."""
        self._connection.text_factory = _tolerant
        try:
            return rows_of(self._connection, saga_id)
        except sqlite3.Error as error:
            raise store_error(self._path, error) from error
        finally:
            self._connection.text_factory = str

    def ended(self, before: int, after: int) -> tuple[Sequence[str], int | None]:
        """Return some sagas that ended before that time, and where to go on; None where there are no more."""
        last, oldest = self._rows(_NEXT, after, _PAGE)[0]
        if last is None or oldest >= before:
            return [], None
        return [saga_id for (saga_id,) in self._rows(_ENDED, after, last, before)], last

    def busy(self, saga_ids: Iterable[str]) -> Mapping[str, str]:
        """Return those of these sagas that are not at rest, with the reason."""
        return dict(self._rows(_BUSY, json.dumps(list(saga_ids))))  # of several reasons, the last

    def erase(self, saga_id: str) -> int:
        """Erase the payloads of a saga's rows and dead letters, inside a turn; return how many."""
        with self._unlocked("erase", saga_id) as rows:
            with_payload = [row for row in rows if row.entry.payload is not None]
            for row in with_payload:
                self._rows(_ERASE, digest_of(row.entry.payload, row.salt), row.id)
            return len(with_payload) + self._change(_ERASE_LETTERS, saga_id).rowcount

    def prune(self, saga_id: str, at: int) -> int:
        """Delete a saga's rows, inside a turn, but for one that says how it ended; return how many."""
        with self._unlocked("prune", saga_id) as rows:
            if all(row.entry.input == PRUNED for row in rows):
                return 0
            self._heads.forget(row.entry for row in rows)
            self._rows(_PRUNE, saga_id)
            _TOMBSTONES.write(self._connection, [(*entry, *rest) for entry, *rest in tombstones(rows, at)])
            return len(rows)

    def scrub(self, *, whole: bool = False) -> bool:
        """Remove what was erased or pruned from the disk, outside of a turn; return whether it is gone."""
        if whole:
            self._rows("VACUUM")
        (patience,) = self._rows("PRAGMA busy_timeout")[0]
        # Nobody can write while a checkpoint waits for a reader: so it waits briefly, and often.
        self._rows(f"PRAGMA busy_timeout = {_PATIENCE}")
        try:
            return any(self._is_emptied(attempt) for attempt in range(_ATTEMPTS))
        finally:
            self._rows(f"PRAGMA busy_timeout = {patience}")

    def _is_emptied(self, attempt: int) -> bool:
        """Whether all of the write-ahead log was moved into the database; others may write before."""
        time.sleep(2 * _PATIENCE / 1000 if attempt else 0)
        busy, *_ = self._rows("PRAGMA wal_checkpoint(TRUNCATE)")[0]
        return not busy

    @contextmanager
    def _unlocked(self, what: str, saga_id: str) -> Iterator[Sequence[Row]]:
        """Allow changes of the saga log inside the block; yield the rows of a saga, which must be at rest."""
        self._turn.require(what)
        self._pending.write(self._connection)
        why = self.busy([saga_id]).get(saga_id)
        if why:
            raise StoreError(f"saga {saga_id}: {why}", hint="wait until it is at rest")
        self._rows(_UNLOCK, 1)
        try:
            yield self.chain(saga_id)
        finally:
            self._rows(_UNLOCK, 0)

    def _rows(self, sql: str, *values: object) -> list[Any]:
        return self._change(sql, *values).fetchall()

    def _change(self, sql: str, *values: object) -> sqlite3.Cursor:
        try:
            return self._connection.execute(sql, values)
        except sqlite3.Error as error:
            raise store_error(self._path, error) from error


def _tolerant(text: bytes) -> str:
    """Return a text even where its bytes are no UTF-8: another program may have written them."""
    return text.decode("utf-8", "surrogateescape")


def tombstones(rows: Sequence[Row], at: int) -> Iterator[tuple[Entry, bytes | None, bytes]]:
    """Yield the row that stands for all rows of each type of a saga, with its digest and its link.

    The digest of the first is the last link of the rows that it stands for. Each says when the last row of
    its type was recorded, and how many rows there were.
    """
    head = head_of(rows)
    digest: bytes | None = head
    for saga_type in dict.fromkeys(row.entry.saga_type for row in rows):
        of_type = [row.entry for row in rows if row.entry.saga_type == saga_type]
        last = of_type[-1]
        saga = (last.saga_id, saga_type, last.saga_version, last.saga_state)
        entry = Entry(
            *(*saga, at, PRUNED, "", "pending", "pending"),
            event_time=last.recorded_at,
            note=f"{len(of_type)} rows",
        )
        head = link_of(head, entry, ZEROS)
        yield entry, digest, head
        digest = None


IMPORTED = "(imported)"
"""The cluster that a store made of an export belongs to: no worker is on it."""

_COPIES = Insertion("saga_log", ("id", *Entry._fields, "salt", "digest", "link"))
_COPY_OWNER = "UPDATE choreo_store SET store_id = ?, participant = ?, unchained = ?, cluster_id = ?"


def copy_owner(connection: sqlite3.Connection, store_id: str, participant: str, unchained: int) -> None:
    """Copy to a new store, inside a turn, the id and the participant of the store whose rows it will hold."""
    connection.execute(_COPY_OWNER, [store_id, participant, unchained, IMPORTED])


def copy_rows(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Write rows of another store with their ids and links, inside a turn. Raises `StoreError`."""
    try:
        _COPIES.write(connection, [(row.id, *row.entry, row.salt, row.digest, row.link) for row in rows])
    except UNWRITABLE as error:
        raise StoreError(f"a row can't be written: {error}", hint="is it there already?") from error
