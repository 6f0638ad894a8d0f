"""The store in PostgreSQL: the tables of the schema ``choreo`` in the service's own database."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import product
from typing import Any

from psycopg.pq import TransactionStatus

from choreo.participant import Sessions
from choreo.ports.joined import JoinedStore, OpenTransaction
from choreo.records import DeadLetter, Entry, Lane, Partition, SagaKey, Unpublished
from choreo.store.chains import Chains
from choreo.store.postgresql.dialect import POSTGRESQL, SEARCHES, SQL
from choreo.store.postgresql.guard import Guard, GuardedConnection, GuardedCursor
from choreo.store.postgresql.heads import PostgreSQLHeads
from choreo.store.postgresql.identity import IDENTITY, Identity
from choreo.store.postgresql.joined import joined_in
from choreo.store.postgresql.ownership import Homes, Ownership
from choreo.store.postgresql.pending import PostgreSQLPending
from choreo.store.postgresql.requests import (
    DELETE,
    FIRST,
    FIRST_OWN,
    INSERT,
    IS_ASKED,
    request_of,
    values_of,
)
from choreo.store.postgresql.saga_log import PostgreSQLSagaLog
from choreo.store.postgresql.scope import SCOPED, Scope
from choreo.store.postgresql.session import Session
from choreo.store.postgresql.turn import Savepoint, Turn
from choreo.store.sessions import sessions_of
from choreo.store.tables import TableStore

_NUMBER_LETTERS = """
SELECT setval(pg_get_serial_sequence('choreo.dead_letters', 'id'), greatest(max(id), 1), max(id) IS NOT NULL)
FROM choreo.dead_letters
"""
_HISTORIES = POSTGRESQL.sql(
    "SELECT {entry} FROM {saga_log} WHERE (saga_id, saga_type) IN"
    " (SELECT * FROM unnest(?::text[], ?::text[])) ORDER BY id"
)
_TURNS = "SELECT turns FROM choreo.store"
_TOPICS = "SELECT saga_type, topic, partitions FROM choreo.topics"
_AT_FIRST = "SELECT topic, at_first FROM choreo.topics"
_SPREAD = """
INSERT INTO choreo.topics (saga_type, topic, partitions, at_first) VALUES (%s, %s, %s, %s)
ON CONFLICT (saga_type) DO UPDATE SET topic = excluded.topic, partitions = excluded.partitions
"""
_LYING = "SELECT DISTINCT saga_id FROM choreo.{} WHERE saga_type = %s"
_MOVE = """
UPDATE choreo.{} SET partition = home.number FROM unnest(%s::text[], %s::bigint[]) AS home (id, number)
WHERE saga_type = %s AND saga_id = home.id AND partition <> home.number
"""
_PLACES = "(SELECT * FROM unnest(%s::text[], %s::bigint[]))"
# In one order, and no longer than for other writers: an earlier owner may have a turn open.
_WAIT_FOR = f"""
SELECT 1 FROM choreo.positions WHERE (topic, partition) IN {_PLACES} ORDER BY topic, partition FOR UPDATE
"""
_TAKE_OVER = f"""
UPDATE choreo.positions SET epoch = epoch + 1, deaths = deaths + 1 WHERE (topic, partition) IN {_PLACES}
RETURNING topic, partition, epoch, deaths - 1
"""
_TRUST = f"UPDATE choreo.positions SET deaths = 0 WHERE (topic, partition) IN {_PLACES}"


class PostgreSQLStore(TableStore):
    """A `choreo.ports.Store` in a PostgreSQL database, in which the service keeps its own tables.

    ``address`` is a URL or a text of libpq's, whose environment variables and service files count as well;
    the tables must be there (see `choreo.store.postgresql.schema`). ``busy_timeout`` is the time to wait for
    another writer, in seconds. Turns follow each other, whichever process opens them.

    A store belongs to the thread that made it, unless ``any_thread`` may use it, one after the other; and to
    the process that made it: a forked one is refused every use. Opening raises `StoreError` with a hint;
    later `StoreUnavailable` is raised where the connection is lost, and the next use opens another one.
    ``chance`` returns so many random bytes.

    Nothing of a session is used, so that a pooler may give each transaction another one.
    """

    _sql = SQL
    _searches = SEARCHES
    _heads: PostgreSQLHeads
    _pending: PostgreSQLPending
    _turn: Turn
    _is_beside = False

    def __init__(
        self,
        address: str,
        *,
        busy_timeout: float = 5.0,
        chance: Callable[[int], bytes] = os.urandom,
        any_thread: bool = False,
    ) -> None:
        guard = Guard()
        self._guard = guard
        self._session = Session(address, guard, any_thread=any_thread, patience=busy_timeout)
        self._path = self._session.name
        try:
            self._set_up(chance, any_thread=any_thread)
        except BaseException:
            self._session.drop()
            raise

    def _set_up(self, chance: Callable[[int], bytes], *, any_thread: bool) -> None:
        guard = self._guard
        self._homes = Homes()
        self._ownership = Ownership(self._homes)
        self._heads = PostgreSQLHeads(Chains(self._read, POSTGRESQL), chance=chance)
        self._pending = PostgreSQLPending(self._heads, self._homes, self._ownership)
        self._turn = Turn(
            self._session,
            guard,
            self._pending,
            self._heads,
            self._ownership,
            self._look_again,
            moves=any_thread,
            beside=self._is_beside,
        )
        self._savepoint = Savepoint(self._turn, self._session, guard, self._pending)
        self._saga_log = PostgreSQLSagaLog(self._session, self._turn, self._pending, self._heads)
        self._turn.number = self._rows(_TURNS)[0][0]
        self._read_topics()

    def _look_again(self) -> None:
        """Know nothing more of what another process may have written."""
        self._read_topics()
        self._ownership.prepare()

    def _read_topics(self) -> None:
        self._homes.begin({saga: (topic, count) for saga, topic, count in self._rows(_TOPICS)})

    @property
    def db(self) -> GuardedConnection:
        """The open psycopg connection. Inside a turn it refuses to commit and to roll back."""
        return self._session.connection

    @property
    def store_id(self) -> str:
        """A random id given when the tables were made; a copied database keeps it."""
        return self._session.store_id

    @property
    def identity(self) -> Identity:
        """What tells the store from every other one."""
        return Identity(*self._rows(f"SELECT {IDENTITY} FROM choreo.store")[0])

    def sessions(self, declared: Any) -> Sessions:
        """Return the sessions on this store's connection; see the port."""
        return sessions_of(declared, "postgresql+psycopg://", lambda: self._session.connection, GuardedCursor)

    def within(self, transaction: OpenTransaction, participant: str) -> AbstractContextManager[JoinedStore]:
        """Open a block inside of a transaction of the service's own; see `choreo.ports.Store.within`."""
        return joined_in(self._path, self.identity, transaction, participant)

    def skip_savepoints(self) -> None:
        """Make no savepoints in the open turn; see the port."""
        self._turn.require("skip_savepoints")
        self._guard.skips = True

    def histories(self, sagas: Collection[SagaKey]) -> Mapping[SagaKey, Sequence[Entry]]:
        """Return the entries of some sagas, but for those of which some wait to be written."""
        read = [key for key in sagas if not self._pending.concerns(key.saga_id)]
        if not read:
            return {}
        found: dict[SagaKey, list[Entry]] = {key: [] for key in read}
        for row in self._rows(_HISTORIES, *([*column] for column in zip(*read, strict=True))):
            entry = Entry._make(row)
            found[SagaKey(entry.saga_id, entry.saga_type)].append(entry)
        for key, entries in found.items():
            if not entries:
                self._heads.new(*key)
        return found

    def is_keyed_by_id(self, saga_id: str, saga_type: str) -> bool:
        """Whether the store held a saga before it was keyed by saga type and id, as a copied one may."""
        return self._heads.may_be_keyed_by_id and super().is_keyed_by_id(saga_id, saga_type)

    @property
    def has_requests(self) -> bool:  # type: ignore[override]
        """Whether another process had asked for something, at the beginning of the last turn at least."""
        return self._turn.is_asked

    def emit(self, entry: Entry, rows: Sequence[Unpublished]) -> None:
        """Write an event, or ask the owner of its saga's partition to; see the port."""
        self._turn.require("emit")
        if self._ownership.owns(entry.saga_type, entry.saga_id):
            super().emit(entry, rows)
        else:
            self._count(INSERT, *values_of(entry, rows))

    def unpublished(self, after: int, limit: int) -> Sequence[Unpublished]:
        """Return outbox rows whose ``seq`` is greater than ``after``, in order; see the port."""
        own = self._ownership
        if self._turn.is_open or not own.is_worker:
            return super().unpublished(after, limit)
        known = own.known.take(after, limit)
        if known is not None:
            return known
        rows = super().unpublished(after, limit)
        if len(rows) < limit:
            own.known.reach(rows[-1].seq if rows else after)
        return rows

    def take_up(self, limit: int) -> int:
        """Write requests as `emit` would, but for those that the saga log has already; see the port."""
        self._turn.require("take_up")
        self._write()
        found = [request_of(row) for row in self._rows(*self._of_own(FIRST, FIRST_OWN), limit)]
        written: set[str] = set()
        for each in found:
            if not each.is_known and each.event_id not in written:
                self.emit(each.entry, each.rows)
                written.add(each.event_id)
        self._count(DELETE, [each.id for each in found])
        return len(found)

    def _of_own(self, of_all: str, of_own: str) -> tuple[Any, ...]:
        """Return a statement about requests, and the values that say which are this worker's to take up."""
        if not self._ownership.is_worker:
            return (of_all,)
        types, numbers = self._ownership.scope
        return of_own, types, numbers, [self._homes.topics[each][1] for each in types]

    @property
    def serves_one(self) -> bool:
        """False: each worker claims some partitions."""
        return False

    def claim(self) -> int:
        """See and write nothing but the rows of partitions that are taken over, from now on; return 0."""
        self._turn.require("claim")
        self._turn.claim()
        return 0

    def join(self, partition: Partition, position: int, end: int, acts_from: int) -> None:
        """Add a partition at its first assignment, unless another worker has just done so."""
        if not self._ownership.is_worker:
            super().join(partition, position, end, acts_from)
            return
        self._turn.require("join")
        self._count(self._sql.join, *partition, position, end, acts_from)

    def advance(self, partition: Partition, expected: int, position: int) -> None:
        """Move a position by compare-and-set, at the end of the turn. Raises `Fenced`, also then."""
        self._turn.require("advance")
        self._turn.advance(partition, expected, position)

    def positions(self) -> Mapping[Partition, int]:
        """Return the next offset to fold, for every partition that was ever assigned."""
        self._write()
        return super().positions()

    def spread(self, topics: Mapping[str, tuple[str, int]]) -> Mapping[str, int]:
        """Note on how many partitions the sagas of each type lie, inside a turn; see the port."""
        self._turn.require("spread")
        self._read_topics()
        changed = {saga: each for saga, each in topics.items() if self._homes.topics.get(saga) != each}
        for saga_type, (topic, count) in changed.items():
            self._count(_SPREAD, saga_type, topic, count, count)
        before = dict(self._homes.topics.values())
        self._homes.begin({**self._homes.topics, **changed})
        self._ownership.prepare()
        for saga_type, table in product(changed, ("outbox", "schedule")):
            ids = [saga_id for (saga_id,) in self._rows(_LYING.format(table), saga_type)]
            homes = [self._homes.of(saga_type, saga_id) for saga_id in ids]
            self._count(_MOVE.format(table), ids, homes, saga_type)
        return {topic: before[topic] for topic, _ in changed.values() if topic in before}

    def next_due(self, lane: Lane = "turn") -> int | None:
        """Return when the next row of a lane is due; None where there is none."""
        known = self._ownership.known.due
        if self._pending.changes_schedule or not self._ownership.is_worker:
            return super().next_due(lane)
        if lane not in known:
            known[lane] = super().next_due(lane)
        return known[lane]

    def partitions_at_first(self) -> Mapping[str, int]:
        """Return how many partitions each topic had when the first worker began; see the port."""
        return dict(self._rows(_AT_FIRST))

    def take_over(self, partitions: Collection[Partition]) -> int:
        """Own partitions from now on: an earlier owner is fenced from its next turn on; see the port."""
        self._turn.require("take_over")
        places = _places(partitions)
        self._rows(_WAIT_FOR, *places)
        found = self._rows(_TAKE_OVER, *places)
        scope = self._ownership.scope_of(partitions)
        for sql in (self._sql.recall, self._sql.release, self._sql.let_go):
            self._count_of(sql, scope)
        self._turn.own({Partition(topic, number): epoch for topic, number, epoch, _ in found})
        return max((deaths for *_, deaths in found), default=0)

    def visit(self, saga_id: str, saga_type: str) -> bool:
        """Keep the owner of a saga out until the turn ends, where that is another worker; whether it is."""
        self._turn.require("visit")
        if self._ownership.owns(saga_type, saga_id):
            return False
        self._turn.visit(self._homes.place(saga_type, saga_id))
        self._heads.drop(saga_id, saga_type)
        return True

    def give_up(self, partitions: Collection[Partition]) -> None:
        """End the ownership of partitions in order; see the port."""
        self._turn.require("give_up")
        self._write()
        own = self._ownership.partitions.intersection(partitions)
        self._count_of(self._sql.release, self._ownership.scope_of(own))
        self._count(_TRUST, *_places(own))

    def disown(self, partitions: Collection[Partition]) -> None:
        """See and write no rows of partitions any more, whatever the database says."""
        self._ownership.drop(partitions)

    def trust(self) -> None:
        """Forget how often the owners of these partitions have ended without `give_up`."""
        self._turn.require("trust")
        self._count(_TRUST, *_places(self._ownership.partitions))

    def release(self) -> None:
        """End in order: what is out goes back into the lane of calls, uncounted."""
        self._turn.require("release")
        self.give_up(self._ownership.partitions)

    @property
    def is_free(self) -> bool:
        """Whether no transaction is open in it, and this process may use it."""
        return (
            self._guard.phase == "outside"
            and self._session.is_usable
            and self._session.status is TransactionStatus.IDLE
        )

    def restore_letters(self, letters: Iterable[DeadLetter]) -> None:
        """Add dead letters of another store, inside a turn; the next one's id is greater than theirs."""
        super().restore_letters(letters)
        self._rows(_NUMBER_LETTERS)

    def check_files(self) -> None:
        """Do nothing: a turn finds out by itself where the tables were replaced."""

    def trim(self) -> None:
        """Do nothing: the server frees by itself what is needed no more."""

    def changed(self) -> bool:
        """Whether another connection has committed since the last call; cheap.

        Raises `Fenced` where another worker has taken partitions over.
        """
        before, own = self._turn.number, self._ownership
        is_asked = own.is_asked if own.is_worker else IS_ASKED
        found = self._rows(f"SELECT turns, {is_asked}, {own.count} FROM choreo.store")
        self._turn.number, self._turn.is_asked, owned = found[0]
        if owned != len(own.partitions):
            self._turn.refuse_lost()
        if before == self._turn.number:
            return False
        self._heads.clear()
        self._ownership.known.forget()
        return True

    def close(self) -> None:
        """Close the connection; closing twice does no harm."""
        self._session.close()

    def _read(self, sql: str, *values: object) -> Sequence[Any]:
        return self._session.execute(sql, values).fetchall()

    def _write(self) -> None:
        if not self._turn.is_open:
            return
        self._turn.require("write")
        self._turn.write_first()

    def _rows(self, sql: str, *values: object) -> list[Any]:
        return self._turn.rows(*self._scoped(sql, values))

    def _count(self, sql: str, *values: object) -> int:
        self._pending.is_due_unsure = True
        return self._turn.count(*self._scoped(sql, values))

    def _scoped(self, sql: str, values: Sequence[object]) -> tuple[str, Sequence[object]]:
        own = self._ownership
        return (SCOPED.of(sql, own.scope, values) if own.is_worker else None) or (sql, values)

    def _count_of(self, sql: str, scope: Scope) -> None:
        found = SCOPED.of(sql, scope, ())
        assert found is not None
        self._pending.is_due_unsure = True
        self._turn.count(*found)


def _places(partitions: Collection[Partition]) -> Scope:
    return [topic for topic, _ in sorted(partitions)], [number for _, number in sorted(partitions)]
