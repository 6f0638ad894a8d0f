"""A handler can't end the turn that it runs inside of, however it spells it: on PostgreSQL."""

# ruff: noqa: PT012 (what raises is the leaving of a block, so the block is longer than a statement)

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from choreo.errors import StoreError, TransactionControl, TurnLost
from choreo.store.postgresql.control import refused_in
from choreo.store.postgresql.store import PostgreSQLStore

from .conformance import entry

TEXTS = (
    *("COMMIT", "commit work", "END", "/* so /* deep */ */ END;", "ROLLBACK", "-- so\nROLLBACK", "ABORT"),
    *("BEGIN", "START TRANSACTION", "COMMIT AND CHAIN", "PREPARE TRANSACTION 'x'", "SELECT 1; COMMIT; BEGIN"),
    *("INSERT INTO orders VALUES (9);;COMMIT", "SELECT $a$ ; $a$; COMMIT", r"SELECT E'\''; COMMIT"),
    *(
        "SET TRANSACTION READ ONLY",
        "SET search_path TO elsewhere",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    ),
    *("RESET ALL", "DISCARD ALL", "LISTEN orders", "UNLISTEN *"),
)

SPELLINGS: dict[str, Callable[[PostgreSQLStore], object]] = {
    **{text: lambda store, text=text: store.db.execute(text) for text in TEXTS},
    "bytes": lambda store: store.db.execute(b"COMMIT"),
    "composed": lambda store: store.db.execute(sql.SQL("{}").format(sql.SQL("COMMIT"))),
    "cursor": lambda store: store.db.cursor().execute("COMMIT"),
    "executemany": lambda store: store.db.cursor().executemany("COMMIT", [()]),
    "stream": lambda store: list(store.db.cursor().stream("COMMIT")),
    "copy": lambda store: store.db.cursor().copy("COPY orders TO STDOUT; COMMIT").__enter__(),
    "prepared": lambda store: store.db.execute("COMMIT", prepare=True),
    "pipeline": lambda store: _in_pipeline(store),
    "conn.commit()": lambda store: store.db.commit(),
    "conn.rollback()": lambda store: store.db.rollback(),
    "conn.close()": lambda store: store.db.close(),
    "with conn": lambda store: store.db.__exit__(None, None, None),
    "autocommit": lambda store: setattr(store.db, "autocommit", True),
    "set_autocommit()": lambda store: store.db.set_autocommit(False),
    "isolation_level": lambda store: setattr(
        store.db, "isolation_level", psycopg.IsolationLevel.SERIALIZABLE
    ),
    "read_only": lambda store: setattr(store.db, "read_only", True),
    "deferrable": lambda store: setattr(store.db, "deferrable", True),
    "two phases": lambda store: store.db.tpc_begin("x"),
    "inside of its own savepoint": lambda store: _in_savepoint(store),
}


def _in_pipeline(store: PostgreSQLStore) -> None:
    with store.db.pipeline():
        store.db.execute("COMMIT")


def _in_savepoint(store: PostgreSQLStore) -> None:
    with store.db.transaction():
        store.db.commit()


@pytest.fixture
def store(empty_store: str) -> Iterator[PostgreSQLStore]:
    store = PostgreSQLStore(empty_store)
    store.db.execute("CREATE TABLE orders (id bigint PRIMARY KEY)")
    yield store
    store.close()


def orders(store: PostgreSQLStore) -> list[int]:
    return [number for (number,) in store.db.execute("SELECT id FROM orders ORDER BY id").fetchall()]


def insert(store: PostgreSQLStore, number: int) -> None:
    store.db.execute("INSERT INTO orders VALUES (%s)", (number,))


def test_no_spelling_goes_through(store: PostgreSQLStore) -> None:
    """The item is undone, the turn goes on; swallowing the refusal doesn't help."""
    for spelling, attempt in SPELLINGS.items():
        for swallowed in (False, True):
            store.db.execute("TRUNCATE orders")
            with store.turn():
                insert(store, 1)
                with (
                    pytest.raises(TransactionControl, match=r"refused inside a turn .*hint"),
                    store.savepoint(),
                ):
                    insert(store, 2)
                    with suppress(TransactionControl) if swallowed else nullcontext():
                        attempt(store)
                    insert(store, 3)
                insert(store, 4)
            assert orders(store) == [1, 4], spelling


def test_outside_of_a_turn_the_database_is_free(store: PostgreSQLStore) -> None:
    """After a turn, and after a failed one."""
    with pytest.raises(TransactionControl), store.turn():
        store.db.commit()
    store.db.execute("BEGIN")
    insert(store, 1)
    store.db.commit()
    with store.db.transaction():
        insert(store, 2)
    insert(store, 3)
    assert orders(store) == [1, 2, 3]


def test_outside_of_a_savepoint_the_turn_itself_fails(store: PostgreSQLStore) -> None:
    """Even where the attempt was swallowed."""
    with pytest.raises(TransactionControl), store.turn():
        insert(store, 1)
        with suppress(TransactionControl):
            store.db.commit()
    assert orders(store) == []


def test_a_handlers_own_savepoints_work(store: PostgreSQLStore) -> None:
    """Plain ones and those of psycopg; a failed statement in one of them is undone alone."""
    with store.turn(), store.savepoint():
        insert(store, 1)
        with suppress(ZeroDivisionError), store.db.transaction():
            insert(store, 2)
            _ = 1 / 0
        with suppress(psycopg.errors.UniqueViolation), store.db.transaction():
            insert(store, 1)
        store.db.execute("SAVEPOINT mine")
        insert(store, 3)
        store.db.execute("ROLLBACK TO mine")
        store.db.execute("RELEASE mine")
        store.db.execute("SET LOCAL app.tenant = '7'; SET CONSTRAINTS ALL IMMEDIATE")
        store.db.execute("CREATE TABLE more (id bigint); INSERT INTO more VALUES (1)")
        with store.db.cursor("mine") as cursor:
            cursor.execute("SELECT id FROM orders")
            assert cursor.fetchall() == [(1,)]
    assert orders(store) == [1]


@pytest.mark.parametrize("fails", [False, True])
def test_a_savepoint_that_a_handler_leaves_open_goes_with_ours(store: PostgreSQLStore, fails: bool) -> None:
    """Kept or undone with it; the next item is not concerned."""
    with store.turn():
        with suppress(ZeroDivisionError), store.savepoint():
            store.db.execute("SAVEPOINT mine")
            insert(store, 1)
            _ = 1 / (not fails)
        with store.savepoint():
            insert(store, 2)
    assert orders(store) == ([2] if fails else [1, 2])


def test_a_failed_statement_undoes_its_item_only(store: PostgreSQLStore) -> None:
    """Whether the handler raises it or goes on, as it may on SQLite."""
    with store.turn():
        insert(store, 1)
        with pytest.raises(psycopg.errors.UniqueViolation), store.savepoint():
            insert(store, 2)
            insert(store, 1)
        with pytest.raises(TransactionControl, match=r"failed inside a turn.*hint"), store.savepoint():
            insert(store, 3)
            with suppress(psycopg.Error):
                insert(store, 1)
        with store.savepoint():
            insert(store, 4)
    assert orders(store) == [1, 4]


def test_a_failed_statement_outside_of_a_savepoint_loses_the_turn(store: PostgreSQLStore) -> None:
    """PostgreSQL would answer the COMMIT with a rollback, and say nothing."""
    with pytest.raises(TurnLost, match="went on"), store.turn():
        store.append([entry()])
        insert(store, 1)
        with suppress(psycopg.Error):
            insert(store, 1)
    assert orders(store) == []
    assert not store.history("s1")


def test_rows_that_were_not_all_read_undo_their_item_only(store: PostgreSQLStore) -> None:
    """The connection would stay busy with them."""
    kept = []
    with store.turn():
        with pytest.raises(TransactionControl, match="not all read"), store.savepoint():
            rows = store.db.cursor().stream("SELECT * FROM generate_series(1, 100000)")
            kept += [next(iter(rows)), rows]
        with store.savepoint():
            insert(store, 1)
    assert orders(store) == [1]


LEFT = {
    "a copy": lambda store: _entered(store.db.cursor().copy("COPY orders FROM STDIN")),
    "a pipeline": lambda store: _entered(store.db.pipeline()),
    "libpq": lambda store: store.db.pgconn.exec_(b"ROLLBACK"),
}


def _entered(block: AbstractContextManager[object]) -> object:
    block.__enter__()
    return block


@pytest.mark.parametrize("what", LEFT)
def test_what_keeps_the_connection_busy_loses_the_turn(store: PostgreSQLStore, what: str) -> None:
    """It is of an item; the next turn has another connection."""
    kept = []
    with pytest.raises(TurnLost, match="left busy"), store.turn():
        store.append([entry()])
        with store.savepoint():
            insert(store, 1)
            kept.append(LEFT[what](store))
            raise ZeroDivisionError
    with store.turn():
        insert(store, 2)
    assert orders(store) == [2]
    with suppress(psycopg.Error):
        kept.clear()


def test_what_a_handler_sets_for_its_rows_is_its_own(store: PostgreSQLStore) -> None:
    """The store reads its tables as before, and so does the next handler."""
    with store.turn():
        with store.savepoint():
            store.db.row_factory = psycopg.rows.dict_row
            assert store.db.execute("SELECT 1 AS one").fetchone() == {"one": 1}
            store.db.execute("SET LOCAL search_path TO pg_catalog")
            store.append([entry()])
            assert len(store.history("s1")) == 1
        with store.savepoint():
            assert store.db.execute("SELECT 1").fetchone() == (1,)


def test_inside_of_a_turn_nothing_is_committed_by_itself(store: PostgreSQLStore) -> None:
    """So a library that asks is told."""
    with store.turn():
        assert store.db.autocommit is False


def test_where_another_process_replaced_the_store_the_turn_is_refused(store: PostgreSQLStore) -> None:
    """What it knows is of another store."""
    store.db.execute("UPDATE choreo.store SET store_id = 'other'")
    with pytest.raises(StoreError, match="replaced"), store.turn():
        pass


QUOTED = st.sampled_from(
    [
        "'a;COMMIT'",
        '"COMMIT;"',
        "$$;COMMIT;$$",
        "$x$ $$;COMMIT $x$",
        r"E'\';COMMIT'",
        "/* ;COMMIT /* */ ; */",
        "-- ;COMMIT\n",
        "7",
        "f(x)",
        "''",
    ]
)
ENDS = st.sampled_from(
    ["COMMIT", "rollback", "End", "BEGIN", "abort", "START TRANSACTION", "set x to 1", "RESET x"]
)
ALLOWED = st.sampled_from(
    [
        "SELECT 1",
        "ROLLBACK TO a",
        "ROLLBACK WORK TO SAVEPOINT a",
        "SAVEPOINT begin_",
        "RELEASE a",
        "SET LOCAL x TO 1",
        "UPDATE t SET a = 1",
        "INSERT INTO t SELECT 'x'",
        "WITH a AS (SELECT 1) SELECT * FROM a",
        "PREPARE p AS SELECT 1",
        "",
    ]
)


@given(
    st.lists(st.tuples(ALLOWED, st.lists(QUOTED, max_size=3)), max_size=4), ENDS, st.lists(QUOTED, max_size=2)
)
def test_a_statement_is_found_wherever_it_stands(
    others: list[tuple[str, list[str]]], end: str, quoted: list[str]
) -> None:
    """And nothing that is quoted or a comment is taken for one."""
    texts = [" ".join((statement, *more)) for statement, more in others]
    assert refused_in("; ".join(texts)) == ""
    comments = " ".join(each for each in quoted if each.startswith(("/", "--")))
    assert refused_in("; ".join([*texts, f"{comments} {end} {' '.join(quoted)}"])) != ""
