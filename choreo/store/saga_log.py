"""Maintenance of the saga log: reads its chains, erases and prunes rows; the part that all stores share.

This is the side that `choreo.audit` calls.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

from choreo.chain import PRUNED, ZEROS, Row, digest_of, head_of, link_of, pruned_note
from choreo.errors import StoreError
from choreo.outcome import CANCEL
from choreo.records import Entry, Release, SagaKey
from choreo.store.chains import Chains
from choreo.store.dialect import Dialect
from choreo.store.heads import Heads
from choreo.store.releases import values_of

_PAGE = 5_000
"""The rows that are searched at once for sagas that have ended."""

# A saga of which nothing but its cancellation is known may never start: by its age, it is at rest as well.
_BEGAN = f"""
EXISTS (
    SELECT 1 FROM {{saga_log}} AS began
    WHERE began.saga_id = $.saga_id AND began.saga_type = $.saga_type AND began.step <> '{CANCEL}'
)
"""
_ENDED = f"""
SELECT saga_id, saga_type FROM {{saga_log}} AS last
WHERE id > ? AND id <= ? AND recorded_at < ? AND input <> 'pruned'
AND (saga_state IN ('completed', 'failed') OR NOT {_BEGAN.replace("$", "last")})
AND NOT EXISTS (
    SELECT 1 FROM {{saga_log}} AS later
    WHERE later.saga_id = last.saga_id AND later.saga_type = last.saga_type AND later.id > last.id
)
ORDER BY id
"""
_BUSY = f"""
WITH asked (saga_id, saga_type) AS ({{pairs}})
SELECT saga_id, saga_type, 'there is no such saga' FROM asked
WHERE NOT EXISTS (
    SELECT 1 FROM {{saga_log}} AS seen WHERE seen.saga_id = asked.saga_id AND seen.saga_type = asked.saga_type
)
UNION ALL SELECT saga_id, saga_type, 'a dead letter of it is open' FROM {{dead_letters}}
WHERE state = 'open' AND (saga_id, saga_type) IN (SELECT saga_id, saga_type FROM asked)
UNION ALL SELECT saga_id, saga_type, 'an event of it is not published yet' FROM {{outbox}}
WHERE (saga_id, saga_type) IN (SELECT saga_id, saga_type FROM asked)
UNION ALL SELECT saga_id, saga_type, 'something is due for it' FROM asked
WHERE EXISTS (
    SELECT 1 FROM {{schedule}} AS due WHERE due.saga_id = asked.saga_id AND due.saga_type = asked.saga_type
)
UNION ALL SELECT saga_id, saga_type, 'it has not ended' FROM asked
WHERE (
    SELECT saga_state FROM {{saga_log}} AS last
    WHERE last.saga_id = asked.saga_id AND last.saga_type = asked.saga_type ORDER BY id DESC LIMIT 1
) NOT IN ('completed', 'failed')
AND {_BEGAN.replace("$", "asked")}
"""
# A letter of a record that could not be read, or imported, names no saga; its key may be a saga's id.
_LETTERS_OF = """
(value IS NOT NULL OR edited IS NOT NULL OR result IS NOT NULL) AND (
    (saga_id = ? AND saga_type = ?)
    OR (saga_id = '' AND key = {as_bytes} AND (saga_type = '' OR state <> 'open'))
)
"""
# What was edited is needed until the saga has ended, and a request to settle one until it is carried out.
_OLD_LETTERS = """
SELECT id FROM {dead_letters} AS letter WHERE id > ? AND state <> 'open' AND closed_at < ?
AND NOT EXISTS (
    SELECT 1 FROM {schedule} AS due WHERE due.saga_id = letter.saga_id AND due.saga_type = letter.saga_type
)
AND coalesce((
    SELECT saga_state FROM {saga_log} AS last
    WHERE last.saga_id = letter.saga_id AND last.saga_type = letter.saga_type ORDER BY last.id DESC LIMIT 1
), 'completed') IN ('completed', 'failed')
ORDER BY id LIMIT ?
"""

IMPORTED = "(imported)"
"""The cluster of a store that was made of an export: no worker may use it."""

ALL_KEYED_BY_ID = 2**63 - 1
"""The ``keyed_by_id`` of a store that was made of an export in which all rows are so."""

Tombstone = tuple[Entry, bytes, bytes]
"""The row that stands for all rows of a saga, with its digest and its link."""


class Maintenance:
    """The statements of `TableSagaLog` in one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        sql = dialect.sql
        self.unchained = sql("SELECT unchained FROM {store}")
        self.sagas = sql(
            "SELECT DISTINCT saga_id, saga_type FROM {saga_log} WHERE (saga_id, saga_type) > (?, ?)"
            " ORDER BY saga_id, saga_type LIMIT ?"
        )
        self.with_id = sql(
            "SELECT DISTINCT saga_id, saga_type FROM {saga_log} WHERE saga_id = ? ORDER BY saga_type"
        )
        self.next = sql(
            "SELECT max(id), min(recorded_at) FROM ("
            "SELECT id, recorded_at FROM {saga_log} WHERE id > ? ORDER BY id LIMIT ?) AS page"
        )
        self.page = sql(
            "SELECT {entry}, id, salt, digest, link FROM {saga_log} WHERE id > ? ORDER BY id LIMIT ?"
        )
        self.ended = sql(_ENDED)
        self.busy = sql(_BUSY)
        self.unlock = sql("UPDATE {store} SET unlocked = ?")
        self.erase = sql("UPDATE {saga_log} SET payload = NULL, salt = NULL, digest = ? WHERE id = ?")
        self.erase_letters = sql(
            f"UPDATE {{dead_letters}} SET value = NULL, edited = NULL, result = NULL WHERE {_LETTERS_OF}"
        )
        self.payloads = sql(
            "SELECT (SELECT count(*) FROM {saga_log}"
            " WHERE saga_id = ? AND saga_type = ? AND payload IS NOT NULL)"
            f" + (SELECT count(*) FROM {{dead_letters}} WHERE {_LETTERS_OF})"
        )
        self.old_letters = sql(_OLD_LETTERS)
        self.last_id = sql("SELECT max(id) FROM {saga_log}")
        self.delete_letter = sql("DELETE FROM {dead_letters} WHERE id = ?")
        self.adopt = sql(
            "UPDATE {store} SET store_id = ?, participant = ?, unchained = ?, keyed_by_id = ?, cluster_id = ?"
        )
        self.adopt_release = sql(
            "INSERT INTO {releases} (digest, manifest, since, positions, retired, after)"
            " VALUES (?, ?, ?, ?, ?, ?)"
        )
        self.prune = sql("DELETE FROM {saga_log} WHERE saga_id = ? AND saga_type = ?")


class TableSagaLog(ABC):
    """The saga log of one store; see `choreo.ports.SagaLog`."""

    _sql: Maintenance
    _chains: Chains
    _heads: Heads
    _turn: Any

    @abstractmethod
    def _write(self) -> None:
        """Write what is pending in the open turn. Raises `StoreError`."""

    @abstractmethod
    def _rows(self, sql: str, *values: object) -> list[Any]:
        """Execute a statement, and return its rows. Raises `StoreError`."""

    @abstractmethod
    def _count(self, sql: str, *values: object) -> int:
        """Execute a statement, and return how many rows it changed. Raises `StoreError`."""

    @abstractmethod
    def _stand_in(self, tombstones: Sequence[Tombstone], last: int) -> None:
        """Write rows in place of pruned ones, with ids that are greater than ``last``, the last one before.

        Ids only ever grow, as older ones say which rows were written before what.
        """

    @abstractmethod
    def restore(self, rows: Sequence[Row]) -> None:
        """Write rows of another store, inside a turn, with their ids and links. Raises `StoreError`."""

    def adopt(
        self,
        store_id: str,
        participant: str,
        unchained: int,
        keyed_by_id: int | None,
        releases: Iterable[Release],
        cluster_id: str = IMPORTED,
    ) -> None:
        """Make a new store, inside a turn, the copy of another one; see the port."""
        self._turn.require("adopt")
        keyed = ALL_KEYED_BY_ID if keyed_by_id is None else keyed_by_id
        self._count(self._sql.adopt, store_id, participant, unchained, keyed, cluster_id)
        for release in releases:
            self._count(self._sql.adopt_release, *values_of(release), release.after)

    def _tolerant(self) -> AbstractContextManager[None]:
        """Read texts in the block even where another program has written what is no text."""
        return nullcontext()

    @property
    def unchained(self) -> int:
        """The id up to which rows may have no link, as choreo wrote them before it linked rows."""
        return int(self._rows(self._sql.unchained)[0][0])

    @property
    def keyed_by_id(self) -> int:
        """The id up to which the rows of all sagas with an id form one chain, whatever their types."""
        return self._chains.keyed_by_id()

    @property
    def last_id(self) -> int:
        """The id of the last row; 0 where there is none."""
        return int(self._rows(self._sql.last_id)[0][0] or 0)

    def sagas(self, after: SagaKey, limit: int) -> Sequence[SagaKey]:
        """Return the sagas that come after ``after``, in the order of their ids; begin with empty texts."""
        return [SagaKey._make(row) for row in self._rows(self._sql.sagas, *after, limit)]

    def with_id(self, saga_id: str) -> Sequence[SagaKey]:
        """Return the sagas with an id, one for each type."""
        return [SagaKey._make(row) for row in self._rows(self._sql.with_id, saga_id)]

    def chain(self, saga_id: str, saga_type: str) -> Sequence[Row]:
        """Return the rows of a saga's chain; those that the turn holds back are not among them."""
        with self._tolerant():
            return self._chains.chain(saga_id, saga_type)

    def rows(self, saga_id: str) -> Sequence[Row]:
        """Return the rows of all sagas with an id, in the order in which they were written."""
        with self._tolerant():
            return self._chains.with_id(saga_id)

    def page(self, after: int, limit: int) -> Sequence[Row]:
        """Return rows of all sagas with their salts and links, those after an id, oldest first."""
        with self._tolerant():
            found = self._rows(self._sql.page, after, limit)
        return [
            Row(identity, Entry._make(fields), salt, digest, link)
            for *fields, identity, salt, digest, link in found
        ]

    def sharing(self, saga: SagaKey) -> Sequence[SagaKey]:
        """Return the sagas that share rows of their chains with a saga, itself among them."""
        shared = {SagaKey(*row.entry[:2]) for row in self.chain(*saga)}
        return sorted(shared | {saga})

    def ended(self, before: int, after: int) -> tuple[Sequence[SagaKey], int | None]:
        """Return some sagas that ended before that time, and where to go on; None where there are no more."""
        last, oldest = self._rows(self._sql.next, after, _PAGE)[0]
        if last is None or oldest >= before:
            return [], None
        return [SagaKey._make(row) for row in self._rows(self._sql.ended, after, last, before)], last

    def busy(self, sagas: Iterable[SagaKey]) -> Mapping[SagaKey, str]:
        """Return those of these sagas that are not at rest, with the reason."""
        rows = self._rows(self._sql.busy, json.dumps(list(sagas)))
        return {SagaKey(saga_id, saga_type): why for saga_id, saga_type, why in rows}  # of several, the last

    def erase(self, saga: SagaKey) -> int:
        """Erase the payloads of a saga's rows and dead letters, inside a turn; return how many."""
        if not saga.saga_type:  # of no saga that is known: letters that have its id as their key
            self._turn.require("erase")
            return self._count(self._sql.erase_letters, *saga, saga.saga_id)
        with self._unlocked("erase", [saga]):
            rows = [row for row in self.chain(*saga) if row.entry.saga_type == saga.saga_type]
            with_payload = [row for row in rows if row.entry.payload is not None]
            for row in with_payload:
                self._count(self._sql.erase, digest_of(row.entry.payload, row.salt), row.id)
            return len(with_payload) + self._count(self._sql.erase_letters, *saga, saga.saga_id)

    def payloads(self, saga: SagaKey) -> int:
        """Return how many payloads `erase` would erase."""
        return int(self._rows(self._sql.payloads, *saga, *saga, saga.saga_id)[0][0])

    def old_letters(self, before: int, after: int, limit: int) -> Sequence[int]:
        """Return ids of letters that were settled before a time and are needed no more, after an id."""
        return [identity for (identity,) in self._rows(self._sql.old_letters, after, before, limit)]

    def delete_letters(self, identities: Iterable[int]) -> None:
        """Delete dead letters, inside a turn."""
        self._turn.require("delete_letters")
        for identity in identities:
            self._count(self._sql.delete_letter, identity)

    def prune(self, saga: SagaKey, at: int) -> int:
        """Delete a saga's rows, inside a turn, but for one that says how it ended; return how many."""
        self._turn.require("prune")
        self._write()
        together = self.sharing(saga)
        with self._unlocked("prune", together):
            chains = {each: self.chain(*each) for each in together}
            rows = {row.id: row for chain in chains.values() for row in chain}
            if all(row.entry.input == PRUNED for row in rows.values()):
                return 0
            self._heads.forget(row.entry for row in rows.values())
            last = self.last_id
            for each in together:
                self._count(self._sql.prune, *each)
            self._stand_in([tombstone(each, chain, at) for each, chain in chains.items()], last)
            return len(rows)

    @contextmanager
    def _unlocked(self, what: str, sagas: Sequence[SagaKey]) -> Iterator[None]:
        """Allow changes of the saga log inside the block, for sagas that must be at rest."""
        self._turn.require(what)
        self._write()
        for saga, why in self.busy(sagas).items():
            raise StoreError(f"saga {saga.saga_id}: {why}", hint="wait until it is at rest")
        self._count(self._sql.unlock, 1)
        try:
            yield
        except BaseException:
            with suppress(StoreError):  # a transaction that has failed is rolled back, and this with it
                self._count(self._sql.unlock, 0)
            raise
        self._count(self._sql.unlock, 0)


def tombstone(saga: SagaKey, chain: Sequence[Row], at: int) -> Tombstone:
    """Return the row that stands for all rows of a saga, with its digest and its link.

    The digest is the last link of the chain that the row stands for. The row says when the saga's last row
    was recorded, and how many there were. A saga that was cancelled before its start is failed from then on;
    its step says that it was no more than that.
    """
    head = head_of(chain)
    of_saga = [row.entry for row in chain if row.entry.saga_type == saga.saga_type]
    last = of_saga[-1]
    state = last.saga_state if last.saga_state in ("completed", "failed") else "failed"
    step = CANCEL if all(entry.step == CANCEL for entry in of_saga) else ""
    entry = Entry(
        *(*saga, last.saga_version, state, at, PRUNED, step, "pending", "pending"),
        event_time=last.recorded_at,
        note=pruned_note(len(of_saga), of_saga[0].recorded_at),
    )
    return entry, head, link_of(head, entry, ZEROS)
