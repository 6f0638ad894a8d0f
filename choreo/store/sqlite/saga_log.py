"""The saga log as whoever keeps it needs it: read as chains, checked, thinned out."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from choreo.chain import NOTHING, PRUNED, Row, digest_of, head_of, link_of
from choreo.errors import StoreError
from choreo.records import Entry
from choreo.store.sqlite.errors import refusal
from choreo.store.sqlite.heads import Heads, rows_of
from choreo.store.sqlite.pending import Pending
from choreo.store.sqlite.rows import Insertion
from choreo.store.sqlite.turn import Turn

_PAGE = 5_000
"""How many rows are looked at, at once, for sagas that have ended."""

_LITTLE = 50
"""Milliseconds to wait for a reader at a time."""

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
_RESTLESS = """
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
        """The id up to which rows may have no link, as choreo wrote them before it knew chains."""
        return int(self._rows(_UNCHAINED)[0][0])

    def sagas(self, after: str, limit: int) -> Sequence[str]:
        """Give the ids of sagas that come after that one, in their order; begin with an empty one."""
        return [saga_id for (saga_id,) in self._rows(_SAGAS, after, limit)]

    def chain(self, saga_id: str) -> Sequence[Row]:
        """Give a saga's rows as they stand in its chain; what is pending is not among them."""
        self._connection.text_factory = _tolerant
        try:
            return rows_of(self._connection, saga_id)
        except sqlite3.Error as error:
            raise refusal(self._path, error) from error
        finally:
            self._connection.text_factory = str

    def ended(self, before: int, after: int) -> tuple[Sequence[str], int | None]:
        """Give some sagas that ended before that time, and where to go on; None where there are no more."""
        last, oldest = self._rows(_NEXT, after, _PAGE)[0]
        if last is None or oldest >= before:
            return [], None
        return [saga_id for (saga_id,) in self._rows(_ENDED, after, last, before)], last

    def restless(self, saga_ids: Iterable[str]) -> Mapping[str, str]:
        """Say of those that aren't at rest why."""
        return dict(self._rows(_RESTLESS, json.dumps(list(saga_ids))))  # of several reasons, the last

    def erase(self, saga_id: str) -> int:
        """Take the payloads out of a saga's rows and dead letters, inside a turn; give how many."""
        with self._unlocked("erase", saga_id) as rows:
            told = [row for row in rows if row.entry.payload is not None]
            for row in told:
                self._rows(_ERASE, digest_of(row.entry.payload, row.salt), row.id)
            return len(told) + self._change(_ERASE_LETTERS, saga_id).rowcount

    def prune(self, saga_id: str, at: int) -> int:
        """Take a saga's rows out, inside a turn, but for one that says how it ended; give how many."""
        with self._unlocked("prune", saga_id) as rows:
            if all(row.entry.input == PRUNED for row in rows):
                return 0
            self._heads.forget(row.entry for row in rows)
            self._rows(_PRUNE, saga_id)
            _TOMBSTONES.write(self._connection, [(*entry, *rest) for entry, *rest in tombstones(rows, at)])
            return len(rows)

    def scrub(self, *, whole: bool = False) -> bool:
        """Make what was taken out gone from the disk, outside of a turn; say whether it is."""
        if whole:
            self._rows("VACUUM")
        (patience,) = self._rows("PRAGMA busy_timeout")[0]
        # While it waits for a reader, it keeps everybody from writing: so it waits a little, and often.
        self._rows(f"PRAGMA busy_timeout = {_LITTLE}")
        try:
            return any(self._is_emptied(attempt) for attempt in range(_ATTEMPTS))
        finally:
            self._rows(f"PRAGMA busy_timeout = {patience}")

    def _is_emptied(self, attempt: int) -> bool:
        """Try to move all of the write-ahead log into the database; before, let others write."""
        time.sleep(2 * _LITTLE / 1000 if attempt else 0)
        busy, *_ = self._rows("PRAGMA wal_checkpoint(TRUNCATE)")[0]
        return not busy

    @contextmanager
    def _unlocked(self, what: str, saga_id: str) -> Iterator[Sequence[Row]]:
        """Let rows be changed; give those of a saga, which must be at rest."""
        self._turn.require(what)
        self._pending.write(self._connection)
        why = self.restless([saga_id]).get(saga_id)
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
            raise refusal(self._path, error) from error


def _tolerant(text: bytes) -> str:
    """Read what is no UTF-8, too: somebody may have put it there."""
    return text.decode("utf-8", "surrogateescape")


def tombstones(rows: Sequence[Row], at: int) -> Iterator[tuple[Entry, bytes | None, bytes]]:
    """Give a row for each type of a saga with its digest and its link, instead of all that it has.

    The first one's digest is the last link of what it stands for. Each holds when the type's last row was
    recorded, and how many rows there were.
    """
    head = head_of(rows)
    digest: bytes | None = head
    for saga_type in dict.fromkeys(row.entry.saga_type for row in rows):
        of_type = [row.entry for row in rows if row.entry.saga_type == saga_type]
        last = of_type[-1]
        entry = Entry(
            *(
                last.saga_id,
                saga_type,
                last.saga_version,
                last.saga_state,
                at,
                PRUNED,
                "",
                "pending",
                "pending",
            ),
            event_time=last.recorded_at,
            note=f"{len(of_type)} rows",
        )
        head = link_of(head, entry, NOTHING)
        yield entry, digest, head
        digest = None
