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

from choreo.chain import PRUNED, ZEROS, Row, digest_of, head_of, link_of, pruned_note
from choreo.errors import StoreError
from choreo.outcome import CANCEL
from choreo.records import Entry, SagaKey
from choreo.store.sqlite.errors import store_error
from choreo.store.sqlite.heads import Heads, chain_rows, keyed_by_id, rows_with_id
from choreo.store.sqlite.pending import Pending
from choreo.store.sqlite.rows import UNWRITABLE, Insertion
from choreo.store.sqlite.turn import Turn

_PAGE = 5_000
"""The rows that are searched at once for sagas that have ended."""

_PATIENCE = 50
"""The milliseconds of one wait for a reader."""

_ATTEMPTS = 20

_UNCHAINED = "SELECT unchained FROM choreo_store"
_SAGAS = """
SELECT DISTINCT saga_id, saga_type FROM saga_log WHERE (saga_id, saga_type) > (?, ?)
ORDER BY saga_id, saga_type LIMIT ?
"""
_WITH_ID = "SELECT DISTINCT saga_id, saga_type FROM saga_log WHERE saga_id = ? ORDER BY saga_type"
_NEXT = "SELECT max(id), min(recorded_at) FROM (SELECT * FROM saga_log WHERE id > ? ORDER BY id LIMIT ?)"
# A saga of which nothing but its cancellation is known may never start: by its age, it is at rest as well.
_BEGAN = f"""
EXISTS (
    SELECT 1 FROM saga_log AS row
    WHERE row.saga_id = {{0}}.saga_id AND row.saga_type = {{0}}.saga_type AND row.step <> '{CANCEL}'
)
"""
_ENDED = f"""
SELECT saga_id, saga_type FROM saga_log AS last
WHERE id > ? AND id <= ? AND recorded_at < ? AND input <> 'pruned'
AND (saga_state IN ('completed', 'failed') OR NOT {_BEGAN.format("last")})
AND NOT EXISTS (
    SELECT 1 FROM saga_log AS later
    WHERE later.saga_id = last.saga_id AND later.saga_type = last.saga_type AND later.id > last.id
)
ORDER BY id
"""
_BUSY = f"""
WITH asked AS (
    SELECT json_extract(value, '$[0]') AS saga_id, json_extract(value, '$[1]') AS saga_type FROM json_each(?)
)
SELECT saga_id, saga_type, 'there is no such saga' FROM asked
WHERE NOT EXISTS (
    SELECT 1 FROM saga_log AS row WHERE row.saga_id = asked.saga_id AND row.saga_type = asked.saga_type
)
UNION ALL SELECT saga_id, saga_type, 'a dead letter of it is open' FROM dead_letters
WHERE state = 'open' AND (saga_id, saga_type) IN (SELECT saga_id, saga_type FROM asked)
UNION ALL SELECT saga_id, saga_type, 'an event of it is not published yet' FROM outbox
WHERE (saga_id, saga_type) IN (SELECT saga_id, saga_type FROM asked)
UNION ALL SELECT saga_id, saga_type, 'something is due for it' FROM asked
WHERE EXISTS (
    SELECT 1 FROM schedule AS row WHERE row.saga_id = asked.saga_id AND row.saga_type = asked.saga_type
)
UNION ALL SELECT saga_id, saga_type, 'it has not ended' FROM asked
WHERE (
    SELECT saga_state FROM saga_log AS row
    WHERE row.saga_id = asked.saga_id AND row.saga_type = asked.saga_type ORDER BY id DESC LIMIT 1
) NOT IN ('completed', 'failed')
AND {_BEGAN.format("asked")}
"""
_UNLOCK = "UPDATE choreo_store SET unlocked = ?"
_ERASE = "UPDATE saga_log SET payload = NULL, salt = NULL, digest = ? WHERE id = ?"
# A letter of a record that could not be read, or imported, names no saga; its key may be a saga's id.
_LETTERS_OF = """
(value IS NOT NULL OR edited IS NOT NULL) AND (
    (saga_id = ?1 AND saga_type = ?2)
    OR (saga_id = '' AND key = CAST(?1 AS BLOB) AND (saga_type = '' OR state <> 'open'))
)
"""
_ERASE_LETTERS = f"UPDATE dead_letters SET value = NULL, edited = NULL WHERE {_LETTERS_OF}"
_PAYLOADS = f"""
SELECT (SELECT count(*) FROM saga_log WHERE saga_id = ?1 AND saga_type = ?2 AND payload IS NOT NULL)
    + (SELECT count(*) FROM dead_letters WHERE {_LETTERS_OF})
"""
# What was edited is needed until the saga has ended, and a request to settle one until it is carried out.
_OLD_LETTERS = """
SELECT id FROM dead_letters AS letter WHERE id > ? AND state <> 'open' AND closed_at < ?
AND NOT EXISTS (
    SELECT 1 FROM schedule AS row WHERE row.saga_id = letter.saga_id AND row.saga_type = letter.saga_type
)
AND ifnull((
    SELECT saga_state FROM saga_log AS row
    WHERE row.saga_id = letter.saga_id AND row.saga_type = letter.saga_type ORDER BY id DESC LIMIT 1
), 'completed') IN ('completed', 'failed')
ORDER BY id LIMIT ?
"""
_DELETE_LETTER = "DELETE FROM dead_letters WHERE id = ?"
_PRUNE = "DELETE FROM saga_log WHERE saga_id = ? AND saga_type = ?"
_LAST_ID = "SELECT max(id) FROM saga_log"
_TOMBSTONES = Insertion("saga_log", ("id", *Entry._fields, "digest", "link"))


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

    @property
    def keyed_by_id(self) -> int:
        """The id up to which the rows of all sagas with an id form one chain, whatever their types."""
        return keyed_by_id(self._connection)

    def sagas(self, after: SagaKey, limit: int) -> Sequence[SagaKey]:
        """Return the sagas that come after ``after``, in the order of their ids; begin with empty texts."""
        return [SagaKey._make(row) for row in self._rows(_SAGAS, *after, limit)]

    def with_id(self, saga_id: str) -> Sequence[SagaKey]:
        """Return the sagas with an id, one for each type."""
        return [SagaKey._make(row) for row in self._rows(_WITH_ID, saga_id)]

    def chain(self, saga_id: str, saga_type: str) -> Sequence[Row]:
        """Return the rows of a saga's chain; those that the turn holds back are not among them."""
        with self._tolerant():
            return chain_rows(self._connection, saga_id, saga_type)

    def rows(self, saga_id: str) -> Sequence[Row]:
        """Return the rows of all sagas with an id, in the order in which they were written."""
        with self._tolerant():
            return rows_with_id(self._connection, saga_id)

    def sharing(self, saga: SagaKey) -> Sequence[SagaKey]:
        """Return the sagas that share rows of their chains with a saga, itself among them."""
        shared = {SagaKey(*row.entry[:2]) for row in self.chain(*saga)}
        return sorted(shared | {saga})

    def ended(self, before: int, after: int) -> tuple[Sequence[SagaKey], int | None]:
        """Return some sagas that ended before that time, and where to go on; None where there are no more."""
        last, oldest = self._rows(_NEXT, after, _PAGE)[0]
        if last is None or oldest >= before:
            return [], None
        return [SagaKey._make(row) for row in self._rows(_ENDED, after, last, before)], last

    def busy(self, sagas: Iterable[SagaKey]) -> Mapping[SagaKey, str]:
        """Return those of these sagas that are not at rest, with the reason."""
        rows = self._rows(_BUSY, json.dumps(list(sagas)))
        return {SagaKey(saga_id, saga_type): why for saga_id, saga_type, why in rows}  # of several, the last

    def erase(self, saga: SagaKey) -> int:
        """Erase the payloads of a saga's rows and dead letters, inside a turn; return how many."""
        if not saga.saga_type:  # of no saga that is known: letters that have its id as their key
            self._turn.require("erase")
            return self._change(_ERASE_LETTERS, *saga).rowcount
        with self._unlocked("erase", [saga]):
            rows = [row for row in self.chain(*saga) if row.entry.saga_type == saga.saga_type]
            with_payload = [row for row in rows if row.entry.payload is not None]
            for row in with_payload:
                self._rows(_ERASE, digest_of(row.entry.payload, row.salt), row.id)
            return len(with_payload) + self._change(_ERASE_LETTERS, *saga).rowcount

    def payloads(self, saga: SagaKey) -> int:
        """Return how many payloads `erase` would erase."""
        return int(self._rows(_PAYLOADS, *saga)[0][0])

    def old_letters(self, before: int, after: int, limit: int) -> Sequence[int]:
        """Return ids of letters that were settled before a time and are needed no more, after an id."""
        return [identity for (identity,) in self._rows(_OLD_LETTERS, after, before, limit)]

    def delete_letters(self, identities: Iterable[int]) -> None:
        """Delete dead letters, inside a turn."""
        self._turn.require("delete_letters")
        for identity in identities:
            self._change(_DELETE_LETTER, identity)

    def prune(self, saga: SagaKey, at: int) -> int:
        """Delete a saga's rows, inside a turn, but for one that says how it ended; return how many."""
        self._turn.require("prune")
        self._pending.write(self._connection)
        together = self.sharing(saga)
        with self._unlocked("prune", together):
            chains = {each: self.chain(*each) for each in together}
            rows = {row.id: row for chain in chains.values() for row in chain}
            if all(row.entry.input == PRUNED for row in rows.values()):
                return 0
            self._heads.forget(row.entry for row in rows.values())
            # Ids only ever grow, as older ones say which rows were written before what.
            number = int(self._rows(_LAST_ID)[0][0])
            for each in together:
                self._rows(_PRUNE, *each)
            tombstones = [tombstone(each, chain, at) for each, chain in chains.items()]
            _TOMBSTONES.write(
                self._connection,
                [(number + n, *entry, *rest) for n, (entry, *rest) in enumerate(tombstones, 1)],
            )
            return len(rows)

    def scrub(self, *, whole: bool = False) -> bool:
        """Remove what was erased or pruned from the disk, outside of a turn; return whether it is gone."""
        if whole:
            self._rows("VACUUM")
        # Nobody can write while a checkpoint waits for a reader: so it waits briefly, and often.
        self._rows(f"PRAGMA busy_timeout = {_PATIENCE}")
        try:
            return any(self._is_emptied(attempt) for attempt in range(_ATTEMPTS))
        finally:
            self._rows("PRAGMA busy_timeout = 0")

    def _is_emptied(self, attempt: int) -> bool:
        """Whether all of the write-ahead log was moved into the database; others may write before."""
        time.sleep(2 * _PATIENCE / 1000 if attempt else 0)
        busy, *_ = self._rows("PRAGMA wal_checkpoint(TRUNCATE)")[0]
        return not busy

    @contextmanager
    def _unlocked(self, what: str, sagas: Sequence[SagaKey]) -> Iterator[None]:
        """Allow changes of the saga log inside the block, for sagas that must be at rest."""
        self._turn.require(what)
        self._pending.write(self._connection)
        for saga, why in self.busy(sagas).items():
            raise StoreError(f"saga {saga.saga_id}: {why}", hint="wait until it is at rest")
        self._rows(_UNLOCK, 1)
        try:
            yield
        finally:
            self._rows(_UNLOCK, 0)

    @contextmanager
    def _tolerant(self) -> Iterator[None]:
        """Read texts even where their bytes are no UTF-8: another program may have written them."""
        self._connection.text_factory = _surrogates
        try:
            yield
        except sqlite3.Error as error:
            raise store_error(self._path, error) from error
        finally:
            self._connection.text_factory = str

    def _rows(self, sql: str, *values: object) -> list[Any]:
        found = self._change(sql, *values)
        try:
            return found.fetchall()
        except sqlite3.Error as error:  # of a later page, which can't be read
            raise store_error(self._path, error) from error

    def _change(self, sql: str, *values: object) -> sqlite3.Cursor:
        try:
            return self._turn.execute(sql, values)
        except sqlite3.Error as error:
            raise store_error(self._path, error) from error


def _surrogates(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def tombstone(saga: SagaKey, chain: Sequence[Row], at: int) -> tuple[Entry, bytes, bytes]:
    """Return the row that stands for all rows of a saga, with its digest and its link.

    The digest is the last link of the chain that the row stands for. The row says when the saga's last row
    was recorded, and how many there were. A saga that was cancelled before its start is failed from then on.
    """
    head = head_of(chain)
    of_saga = [row.entry for row in chain if row.entry.saga_type == saga.saga_type]
    last = of_saga[-1]
    state = last.saga_state if last.saga_state in ("completed", "failed") else "failed"
    entry = Entry(
        *(*saga, last.saga_version, state, at, PRUNED, "", "pending", "pending"),
        event_time=last.recorded_at,
        note=pruned_note(len(of_saga), of_saga[0].recorded_at),
    )
    return entry, head, link_of(head, entry, ZEROS)


IMPORTED = "(imported)"
"""The cluster that a store made of an export belongs to: no worker is on it."""

_COPIES = Insertion("saga_log", ("id", *Entry._fields, "salt", "digest", "link"))
_COPY_OWNER = (
    "UPDATE choreo_store SET store_id = ?, participant = ?, unchained = ?, keyed_by_id = ?, cluster_id = ?"
)


ALL_KEYED_BY_ID = 2**63 - 1
"""The ``keyed_by_id`` of a store that was made of an export in which all rows are so."""


def copy_owner(
    connection: sqlite3.Connection, store_id: str, participant: str, unchained: int, keyed_by_id: int | None
) -> None:
    """Copy to a new store, inside a turn, the id and the participant of the store whose rows it will hold."""
    keyed = ALL_KEYED_BY_ID if keyed_by_id is None else keyed_by_id
    connection.execute(_COPY_OWNER, [store_id, participant, unchained, keyed, IMPORTED])


def copy_rows(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Write rows of another store with their ids and links, inside a turn. Raises `StoreError`."""
    try:
        _COPIES.write(connection, [(row.id, *row.entry, row.salt, row.digest, row.link) for row in rows])
    except UNWRITABLE as error:
        raise StoreError(f"a row can't be written: {error}", hint="is it there already?") from error
