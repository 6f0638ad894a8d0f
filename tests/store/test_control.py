"""A handler can't end the turn that it runs inside of, however it spells it."""

# ruff: noqa: PT012 (what raises is the leaving of a block, so the block is longer than a statement)

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest

from choreo.errors import StoreError, TransactionControl
from choreo.store.sqlite.store import SQLiteStore

from .conformance import entry

SPELLINGS: dict[str, Callable[[SQLiteStore], object]] = {
    **{
        sql: lambda store, sql=sql: store.db.conn.execute(sql)
        for sql in (
            *(
                "COMMIT",
                "commit",
                "COMMIT TRANSACTION",
                "END",
                "/* so */ END;",
                "ROLLBACK",
                "-- so\nROLLBACK",
            ),
            *("BEGIN", "BEGIN IMMEDIATE", "ATTACH ':memory:' AS elsewhere", "DETACH main"),
        )
    },
    "conn.commit()": lambda store: store.db.conn.commit(),
    "conn.rollback()": lambda store: store.db.conn.rollback(),
    "conn.executescript()": lambda store: store.db.conn.executescript("SELECT 1"),
    "with conn": lambda store: store.db.conn.__exit__(None, None, None),
    "isolation_level": lambda store: setattr(store.db.conn, "isolation_level", None),
    "cursor": lambda store: store.db.conn.cursor().execute("COMMIT"),
    "db.commit()": lambda store: store.db.commit(),
    "db.rollback()": lambda store: store.db.rollback(),
    "db.begin()": lambda store: store.db.begin(),
    "db.execute()": lambda store: store.db.execute("COMMIT"),
    "db.executescript()": lambda store: store.db.executescript("SELECT 1; COMMIT; SELECT 2"),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "shop.db")
    store.db["orders"].create({"id": int}, pk="id")
    yield store
    store.close()


def orders(store: SQLiteStore) -> list[int]:
    return [row["id"] for row in store.db["orders"].rows]


@pytest.mark.parametrize("swallowed", [False, True])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_goes_through(store: SQLiteStore, spelling: str, swallowed: bool) -> None:
    """The item is undone, the turn goes on; swallowing the database's error doesn't help."""
    with store.turn():
        store.db["orders"].insert({"id": 1})
        with pytest.raises(TransactionControl, match=r"refused inside a turn .*hint"), store.savepoint():
            store.db["orders"].insert({"id": 2})
            with suppress(sqlite3.Error) if swallowed else nullcontext():
                SPELLINGS[spelling](store)
            store.db["orders"].insert({"id": 3})
        store.db["orders"].insert({"id": 4})
    assert orders(store) == [1, 4]


@pytest.mark.parametrize("text", ["COMMIT", "ROLLBACK", "END"])
def test_a_statement_that_is_kept_prepared_is_refused_too(store: SQLiteStore, text: str) -> None:
    """Outside of a turn it is allowed, and Python keeps it: the second use must be judged again."""
    for _ in range(2):
        store.db.conn.execute("BEGIN")
        store.db.conn.execute(text)
        with store.turn(), pytest.raises(TransactionControl), store.savepoint():
            store.db.conn.execute(text)


def test_outside_of_a_turn_the_database_is_free(store: SQLiteStore) -> None:
    """After a turn, and after a failed one."""
    with pytest.raises(TransactionControl), store.turn():
        store.db.conn.commit()
    store.db.conn.execute("BEGIN")
    store.db["orders"].insert({"id": 1})
    store.db.conn.commit()
    with store.db.atomic():
        store.db["orders"].insert({"id": 2})
    store.db["orders"].insert({"id": 3})
    assert orders(store) == [1, 2, 3]


def test_outside_of_a_savepoint_the_turn_itself_fails(store: SQLiteStore) -> None:
    """Even where the attempt was swallowed."""
    with pytest.raises(TransactionControl), store.turn():
        store.db["orders"].insert({"id": 1})
        with suppress(sqlite3.Error):
            store.db.conn.commit()
    assert orders(store) == []


def test_the_error_names_its_cause(store: SQLiteStore) -> None:
    """The traceback leads to the handler's line."""
    refusal = pytest.raises(TransactionControl, match="COMMIT was refused")
    with store.turn(), refusal as refused, store.savepoint():
        store.db.conn.commit()
    assert isinstance(refused.value.__cause__, sqlite3.DatabaseError)


def test_a_handlers_own_savepoints_work(store: SQLiteStore) -> None:
    """Plain ones and those of sqlite-utils."""
    with store.turn(), store.savepoint():
        store.db["orders"].insert({"id": 1})
        with suppress(ZeroDivisionError), store.db.atomic():
            store.db["orders"].insert({"id": 2})
            _ = 1 / 0
        store.db.conn.execute("SAVEPOINT mine")
        store.db["orders"].insert({"id": 3})
        store.db.conn.execute("ROLLBACK TO mine")
        store.db.conn.execute("RELEASE mine")
        store.db.executescript("CREATE TABLE more (id); INSERT INTO more VALUES (1);")
    assert orders(store) == [1]
    assert store.db["more"].count == 1


@pytest.mark.parametrize("fails", [False, True])
def test_a_savepoint_that_a_handler_leaves_open_goes_with_ours(store: SQLiteStore, fails: bool) -> None:
    """Kept or undone with it; the next item is not concerned."""
    with store.turn():
        with suppress(ZeroDivisionError), store.savepoint():
            store.db.conn.execute("SAVEPOINT mine")
            store.db["orders"].insert({"id": 1})
            _ = 1 / (not fails)
        with store.savepoint():
            store.db["orders"].insert({"id": 2})
    assert orders(store) == ([2] if fails else [1, 2])


def test_an_unfinished_statement_undoes_its_item_only(store: SQLiteStore) -> None:
    """SQLite can't release a savepoint while a writing cursor is open."""
    insert = "INSERT INTO orders VALUES (1), (2) RETURNING id"
    with store.turn():
        with pytest.raises(TransactionControl, match="unfinished"), store.savepoint():
            cursor = store.db.conn.execute(insert)
        cursor.close()
        with suppress(ZeroDivisionError), store.savepoint():
            cursor = store.db.conn.execute(insert)
            _ = 1 / 0
        cursor.close()
        with store.savepoint():
            store.db["orders"].insert({"id": 3})
    assert orders(store) == [3]


def test_a_savepoint_that_the_disk_refuses_to_close_is_no_fault_of_the_handler(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written is undone, and the turn must be left: its step has not failed, nor succeeded."""
    real = store._savepoint._execute

    def broken(sql: str) -> object:
        if not sql.startswith("RELEASE"):
            return real(sql)
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    monkeypatch.setattr(store._savepoint, "_execute", broken)
    with pytest.raises(StoreError, match="the disk failed"), store.turn(), store.savepoint():
        store.db["orders"].insert({"id": 1})
    assert orders(store) == []


def test_a_transaction_that_a_statement_rolls_back_loses_the_turn(store: SQLiteStore) -> None:
    """OR ROLLBACK can't be seen coming: but nothing half-done is committed."""
    store.db["orders"].insert({"id": 1})
    lost = "rolled back by a statement"
    with pytest.raises(StoreError, match=lost), store.turn():
        store.append([entry()])
        with pytest.raises(StoreError, match=lost), store.savepoint(), suppress(sqlite3.IntegrityError):
            store.db.conn.execute("INSERT OR ROLLBACK INTO orders VALUES (1)")
        with pytest.raises(StoreError, match=lost):
            store.append([entry()])
        with pytest.raises(StoreError, match=lost):
            store.history("s1")
    assert not store.history("s1")
    with store.turn():
        store.append([entry()])


def test_a_handler_that_closes_the_database_is_refused(store: SQLiteStore) -> None:
    """Its item is undone, the turn goes on."""
    with store.turn():
        with pytest.raises(TransactionControl, match="CLOSE"), store.savepoint():
            store.append([entry()])
            store.db.close()
        store.append([entry()])
    assert len(store.history(entry().saga_id)) == 1
