"""The table of the sagas in flight says what the saga log says, whoever writes there, in which release."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from random import Random
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from choreo.chain import PRUNED
from choreo.errors import StoreUnavailable
from choreo.records import Entry, SagaKey
from choreo.store.copying import copy_store
from choreo.store.opening import is_address, migrate, open_reader, open_store
from choreo.store.postgresql.dialect import POSTGRESQL
from choreo.store.reader import UNENDED_LATERAL, Reading
from choreo.store.sqlite.dialect import SQLITE
from choreo.store.tables import TableStore
from tests.postgresql.databases import new_database

from .conformance import entry, key

STATES = ("pending", "started", "started", "compensating", "completed", "failed")
ENDED = ("completed", "failed")


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the place of a new store."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("empty_store"))
    return str(tmp_path / "shop.db")


class Undone(Exception):
    """Undoes a turn or a savepoint."""


def row(random: Random, sagas: int) -> Entry:
    """Return a row of one of so many sagas, in any state."""
    saga_id, state = f"s{random.randrange(sagas)}", random.choice(STATES)
    return entry(saga_id, saga_type=random.choice(["order", "trip"]), saga_state=state, payload=b"body")


def logged(store: TableStore) -> set[SagaKey]:
    """Return the sagas whose last row, in the saga log, is of no end."""
    last = {SagaKey(*each.entry[:2]): each.entry.saga_state for each in store.saga_log.page(0, 10_000)}
    return {saga for saga, state in last.items() if state not in ENDED}


def told(place: str) -> set[SagaKey]:
    """Return the sagas that a reader tells as such."""
    with open_reader(place) as reader:
        found = [SagaKey(each.saga_id, each.saga_type) for each in reader.unended()]
    assert len(found) == len(set(found))
    return set(found)


def write(store: TableStore, random: Random) -> None:
    """Write a turn of many rows, of which some are undone, or all."""
    with suppress(Undone), store.turn():
        for _ in range(random.randrange(1, 4)):
            store.append([row(random, 12) for _ in range(random.randrange(1, 40))])
            with suppress(Undone), store.savepoint():
                store.append([row(random, 12)])
                assert store.history("s0") or True  # the rows are written before
                if random.random() < 0.5:
                    raise Undone
        if random.random() < 0.2:
            raise Undone


def prune(store: TableStore, random: Random) -> None:
    """Prune some sagas that have ended, or that were forgotten before their start."""
    after: int | None = 0
    while after is not None:
        found, after = store.saga_log.ended(2**53, after)
        with store.turn():
            for saga in {each for each in found if random.random() < 0.7}:
                store.saga_log.prune(saga, 7)


@pytest.mark.parametrize("seed", range(4))
def test_it_says_what_the_saga_log_says(place: str, tmp_path: Path, seed: int) -> None:
    """After each turn, undone or not, after a pruning, and in a copy."""
    random, seen = Random(seed), set()
    with closing(open_store(place)) as store:
        for do in [write, *random.choices([write, write, prune], k=10), prune, write]:
            do(store, random)
            assert told(place) == logged(store)
            seen.add(len(logged(store)))
        assert any(each.entry.input == PRUNED for each in store.saga_log.page(0, 10_000))
        assert len(seen) > 3
        with closing(open_store(tmp_path / "copy.db")) as copy:
            copy_store(store, copy)
        assert told(str(tmp_path / "copy.db")) == logged(store)


@contextmanager
def older(place: str) -> Iterator[Callable[[str], object]]:
    """Make a store one of before the table; yield what executes a statement there, as its worker would."""
    undo = """
    DROP TABLE {0}sagas_in_flight;
    CREATE INDEX saga_log_completed ON {0}saga_log (saga_id, saga_type) WHERE saga_state = 'completed';
    """
    if is_address(place):
        migrate(place)
        with psycopg.connect(place, autocommit=True) as connection:
            connection.execute("DROP FUNCTION choreo.saga_log_goes_on CASCADE")
            connection.execute(undo.format("choreo.").encode())
            connection.execute("DELETE FROM choreo.migrations WHERE name = '0007_in_flight'")
            yield lambda sql: connection.execute(sql.replace("saga_log", "choreo.saga_log").encode())
        return
    open_store(place).close()
    with closing(sqlite3.connect(place, isolation_level=None)) as file:
        file.executescript("DROP TRIGGER saga_log_goes_on; DROP TRIGGER saga_log_ends;" + undo.format(""))
        file.execute("DELETE FROM _sqlite_migrations WHERE name = '0015_in_flight'")
        yield file.execute


def plain(saga_id: str, state: str) -> str:
    """Return a statement that adds a row without choreo's help."""
    numbers = dict.fromkeys(("saga_version", "recorded_at", "partition", '"offset"', "event_time"), "0")
    texts = dict.fromkeys(
        ("input", "step", "old_state", "new_state", "event_id", "event_type", "outcome", "kind", "source"),
        "''",
    )
    rest = dict.fromkeys(("causation_id", "topic", "note", "traceparent"), "''")
    own = {"saga_id": f"'{saga_id}'", "saga_type": "'shop'", "saga_state": f"'{state}'"}
    values = {**own, **numbers, **texts, **rest}
    return f"INSERT INTO saga_log ({', '.join(values)}) VALUES ({', '.join(values.values())})"


def test_a_store_of_before_gets_it(place: str) -> None:
    """With the sagas that went on then; and whoever had opened it before goes on to write it."""
    with older(place) as execute:
        for saga_id, states in {
            "a": ("started",),
            "b": ("started", "completed"),
            "c": ("completed", "started"),
            "d": ("started", "compensating", "failed"),
            "e": ("started", "failed", "compensating"),
        }.items():
            for state in states:
                execute(plain(saga_id, state))
        if is_address(place):
            assert migrate(place) == ["0007_in_flight"]
        with closing(open_store(place)) as store:
            assert told(place) == logged(store) == {key(each) for each in "ace"}
            for saga_id, state in (
                ("a", "failed"),
                ("b", "started"),
                ("f", "pending"),
                ("e", "compensating"),
            ):
                execute(plain(saga_id, state))
            assert told(place) == logged(store) == {key(each) for each in "bcef"}


@contextmanager
def role(place: str, *grants: str) -> Iterator[str]:
    """Make a role with some rights; yield its address of the database."""
    name = f"Odd-{uuid4().hex[:8]}"
    with psycopg.connect(place, autocommit=True) as owner:
        owner.execute(f'CREATE ROLE "{name}" LOGIN'.encode())
        try:
            for grant in grants:
                owner.execute(f'GRANT {grant} TO "{name}"'.encode())
            yield f"{place}&user={name}"
        finally:
            owner.execute(f'DROP OWNED BY "{name}"'.encode())
            owner.execute(f'DROP ROLE "{name}"'.encode())


def test_whoever_had_few_rights_has_enough(postgresql: str) -> None:
    """A worker may go on to add rows, and those who may read the saga log read the table, too."""
    with new_database(postgresql) as place, older(place):
        adds = ("USAGE ON SCHEMA choreo", "SELECT, INSERT ON ALL TABLES IN SCHEMA choreo")
        with role(place, *adds) as worker, psycopg.connect(worker, autocommit=True) as connection:
            assert migrate(place) == ["0007_in_flight"]
            for saga_id, state in (("a", "started"), ("b", "started"), ("a", "completed")):
                connection.execute(plain(saga_id, state).replace("saga_log", "choreo.saga_log").encode())
            assert told(worker) == {key("b")}


def test_nobody_uses_the_rights_of_the_trigger_for_a_table_of_his_own(empty_store: str) -> None:
    """It would add and delete what he likes."""
    with role(empty_store, "USAGE ON SCHEMA choreo") as web, psycopg.connect(web, autocommit=True) as own:
        own.execute("CREATE TEMP TABLE log (id int, saga_id text, saga_type text, saga_state text)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            own.execute(
                "CREATE TRIGGER own AFTER INSERT ON log REFERENCING NEW TABLE AS written"
                " FOR EACH STATEMENT EXECUTE FUNCTION choreo.saga_log_goes_on()"
            )


WAITED_FOR = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"


def migrated_beside(place: str) -> list[str]:
    """Migrate while a turn is open that has read the saga log, and writes there once it is waited for."""
    with closing(psycopg.connect(place)) as turn, ThreadPoolExecutor(1) as pool:
        turn.execute("SELECT * FROM choreo.saga_log")
        migration, process = pool.submit(migrate, place), [turn.info.backend_pid]
        with psycopg.connect(place, autocommit=True) as other:
            while not migration.done() and other.execute(WAITED_FOR, process).fetchone() == (0,):
                pass
        turn.execute(plain("b", "started").replace("saga_log", "choreo.saga_log").encode())
        turn.commit()
        return list(migration.result())


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
@pytest.mark.parametrize("lacks", [["0007_in_flight"], ["0006_unended", "0007_in_flight"]], ids=len)
def test_a_turn_that_is_open_is_waited_for(empty_store: str, isolation: str, lacks: list[str]) -> None:
    """It goes on to write, and what it has written counts, whatever the default of the database is."""
    name = urlsplit(empty_store).path[1:]
    with older(empty_store) as execute, psycopg.connect(empty_store, autocommit=True) as owner:
        if len(lacks) > 1:
            owner.execute("DROP INDEX choreo.saga_log_completed")
            owner.execute("DELETE FROM choreo.migrations WHERE name = '0006_unended'")
        execute(plain("a", "started"))
        owner.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = '{isolation}'".encode())
        try:
            assert migrated_beside(empty_store) == lacks
        finally:
            owner.execute(f"ALTER DATABASE {name} RESET default_transaction_isolation".encode())
    assert told(empty_store) == {key("a"), key("b")}


def test_who_could_be_waited_for_for_ever_is_not(empty_store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As everybody else would wait behind the migration."""
    monkeypatch.setattr("choreo.store.postgresql.schema._PATIENCE", "1ms")
    with older(empty_store), closing(psycopg.connect(empty_store)) as turn:
        turn.execute("SELECT * FROM choreo.saga_log")
        with pytest.raises(StoreUnavailable, match="is locked"):
            migrate(empty_store)
    assert migrate(empty_store) == ["0007_in_flight"]


def test_the_rows_of_sagas_that_have_ended_are_not_looked_at(tmp_path: Path) -> None:
    open_store(tmp_path / "shop.db").close()
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        plan = [each[3] for each in connection.execute(f"EXPLAIN QUERY PLAN {Reading(SQLITE).unended}")]
    assert [each for each in plan if each.startswith("SCAN")] == ["SCAN each"]


def test_postgresql_reads_no_row_but_those_of_the_turn(empty_store: str) -> None:
    """However big the table has become since its trigger was planned."""
    with closing(open_store(empty_store)) as store, psycopg.connect(empty_store, autocommit=True) as other:
        other.execute("VACUUM ANALYZE choreo.sagas_in_flight")

        def rows_read() -> int:
            """Return how many rows the trigger has read, in all turns."""
            with store.turn():
                store.append([entry("s1"), entry("s2", saga_state="completed")])
            store.db.execute("SELECT pg_stat_force_next_flush()")
            told = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = %s"
            found = other.execute(told, ["sagas_in_flight"]).fetchone()
            return int(found[0]) if found else 0

        before = [rows_read() for _ in range(10)]
        other.execute(
            "INSERT INTO choreo.sagas_in_flight SELECT 'many' || n, 'shop' FROM generate_series(1, 5000) AS n"
        )
        assert rows_read() - before[-1] < 100


def test_postgresql_joins_them_to_their_own_rows_alone(empty_store: str) -> None:
    """It would rather read the whole saga log; what is told is the same."""
    random = Random(7)
    each_way = (Reading(POSTGRESQL).unended, Reading(POSTGRESQL, UNENDED_LATERAL).unended)
    with closing(open_store(empty_store)) as store, psycopg.connect(empty_store, autocommit=True) as other:
        for _ in range(8):
            write(store, random)
        one, another = (other.execute(each.encode()).fetchall() for each in each_way)
        assert one == another
        assert one
        with store.turn():
            ends = ["completed"] * 30 + ["pending"]
            many = [(f"many{n}", state) for n, state in enumerate(ends * 15)]
            store.append(entry(name, saga_state=state) for name, state in many for _ in range(4))
        other.execute("ANALYZE choreo.saga_log, choreo.sagas_in_flight")
        plans = [
            "\n".join(line for (line,) in other.execute(f"EXPLAIN {each}".encode())) for each in each_way
        ]
        assert ["Seq Scan on saga_log" in plan for plan in plans] == [True, False]
