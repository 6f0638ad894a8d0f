"""The SQLite store: the common suite, and what concerns one file on one disk."""

from __future__ import annotations

import multiprocessing
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from choreo.errors import StoreError
from choreo.records import Partition
from choreo.store.sqlite.store import SQLiteStore

from .conformance import ClaimedStoreConformance, Connect, StoreConformance, entry, scheduled, unpublished


class TestSQLite(StoreConformance, ClaimedStoreConformance):
    """Every store's tests, on a file."""

    @pytest.fixture
    def connect(self, tmp_path: Path) -> Connect:
        return lambda: SQLiteStore(tmp_path / "shop.db")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "shop.db")
    yield store
    store.close()


def pragma(store: SQLiteStore, name: str) -> object:
    return store.db.execute(f"PRAGMA {name}").fetchone()[0]


def test_every_commit_is_durable(store: SQLiteStore) -> None:
    """NORMAL could lose turns that others have heard of."""
    assert pragma(store, "journal_mode") == "wal"
    assert pragma(store, "synchronous") == 2
    assert pragma(store, "foreign_keys") == 1


def test_memory_will_do() -> None:
    """For tests and examples, without a file."""
    store = SQLiteStore(":memory:")
    with store.turn():
        store.append([entry()])
    assert store.history("s1")
    store.close()


def test_the_services_tables_share_the_transaction(store: SQLiteStore) -> None:
    """What sqlite-utils inserts inside a turn is committed, or undone, with it."""
    with store.turn():
        store.db["orders"].insert({"id": 1}, pk="id")
        with suppress(ZeroDivisionError), store.savepoint():
            store.db["orders"].insert({"id": 2})
            _ = 1 / 0
    with suppress(ZeroDivisionError), store.turn():
        store.db["orders"].insert({"id": 3})
        _ = 1 / 0
    assert [row["id"] for row in store.db["orders"].rows] == [1]


def test_the_saga_log_is_append_only(store: SQLiteStore) -> None:
    """Not even a handler can rewrite history."""
    with store.turn():
        store.append([entry()])
    for change in ("UPDATE saga_log SET note = 'x'", "DELETE FROM saga_log"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            store.db.execute(change)


def test_values_that_no_database_takes_are_refused_in_one_line(store: SQLiteStore) -> None:
    """A lone surrogate, a number over 64 bits, text for bytes."""
    for odd in (entry(note="\ud800"), entry(offset=2**70), entry(payload="text")):
        with pytest.raises(StoreError, match=r"shop\.db failed"), store.turn():
            store.append([odd])
    assert not store.history("s1")


def test_a_turn_waits_no_longer_than_told(store: SQLiteStore, tmp_path: Path) -> None:
    """A database that stays locked is an error with a hint; afterwards the store works."""
    hasty = SQLiteStore(tmp_path / "shop.db", busy_timeout=0.01)
    store.db.begin()
    store.db["orders"].insert({"id": 1})
    with pytest.raises(StoreError, match=r"is locked .*hint"), hasty.turn():
        pass
    store.db.rollback()
    with hasty.turn():
        hasty.append([entry()])
    hasty.close()


def test_a_transaction_of_somebody_else_must_end_before_a_turn(store: SQLiteStore) -> None:
    """Or the turn's commit would be theirs as well."""
    store.db.begin()
    with pytest.raises(StoreError, match="transaction is open already"), store.turn():
        pass
    store.db.rollback()
    with store.turn():
        store.join(Partition("orders", 0), 0, 0, 0)


DYING = """
import os, sys
from choreo.store.sqlite.store import SQLiteStore
from choreo.records import Entry
def entry(note): return Entry("s1", "shop", 1, "started", 1, "event", "reserve", "", "", note=note)
store = SQLiteStore(sys.argv[1])
with store.turn():
    store.append([entry("whole")])
with store.turn():
    store.append([entry("half")])
    store.history("s1")
    store.db["orders"].insert({"id": 1})
    os._exit(9)
"""


def test_a_crash_leaves_the_last_turn(tmp_path: Path) -> None:
    """A process that dies in the middle of a turn leaves the boundary before it; others notice the turn."""
    store = SQLiteStore(tmp_path / "shop.db")
    assert not store.changed()
    child = subprocess.run([sys.executable, "-c", DYING, str(tmp_path / "shop.db")], check=False)
    assert child.returncode == 9
    assert store.changed()
    assert [e.note for e in store.history("s1")] == ["whole"]
    assert not store.db["orders"].exists()
    store.close()


def _open_and_join(path: str, number: int, barrier: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    store = SQLiteStore(path)
    with store.turn():
        store.join(Partition("orders", number), 0, 0, 0)
    store.close()


def test_processes_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    """One makes the tables, the others wait."""
    processes = multiprocessing.get_context("spawn")
    barrier = processes.Barrier(3)
    path = str(tmp_path / "new.db")
    children = [processes.Process(target=_open_and_join, args=(path, n, barrier)) for n in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    store = SQLiteStore(path)
    assert len(store.positions()) == 3
    store.close()


def test_threads_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    """The same race, run often."""
    failures: list[BaseException] = []

    def run(path: Path, barrier: threading.Barrier) -> None:
        try:
            barrier.wait()
            SQLiteStore(path).close()
        except BaseException as error:
            failures.append(error)

    for n in range(10):
        barrier = threading.Barrier(4)
        threads = [threading.Thread(target=run, args=(tmp_path / f"{n}.db", barrier)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


PLANS = {
    "history": lambda store: store.history("s1", "shop"),
    "payload": lambda store: store.payload("s1", "shop", "shop.OrderCreated"),
    "unpublished": lambda store: store.unpublished(0, 10),
    "due": lambda store: store.due(10, 10),
    "next_due": lambda store: store.next_due(),
    "unschedule": lambda store: store.unschedule("s1", "shop", "action", "reserve"),
    "schedule": lambda store: store.schedule([scheduled()]),
    "acknowledge": lambda store: store.acknowledge([1]),
    "enqueue": lambda store: store.enqueue([unpublished()]),
    "advance": lambda store: store.advance(Partition("orders", 0), 0, 1),
    "close_dead_letter": lambda store: store.close_dead_letter(1, "requeued", "", 1),
    "edited": lambda store: store.edited("s1", "shop", "action", "reserve", "e1"),
}


@pytest.mark.parametrize("name", PLANS)
def test_no_statement_of_the_hot_path_scans_or_sorts(store: SQLiteStore, name: str) -> None:
    """Each finds its rows by an index, in their order."""
    statements: list[str] = []
    with store.turn():
        store.join(Partition("orders", 0), 0, 0, 0)
        store.history("s1")
        store.db.conn.set_trace_callback(statements.append)
        PLANS[name](store)
    store.db.conn.set_trace_callback(None)
    ours = [sql for sql in statements if sql.split()[0] in ("SELECT", "INSERT", "UPDATE", "DELETE")]
    assert ours
    plan = [row[3] for sql in ours for row in store.db.execute(f"EXPLAIN QUERY PLAN {sql}")]
    # An index read in its own order, up to a LIMIT, is called a scan too.
    bad = [line for line in plan if "TEMP B-TREE" in line or ("SCAN" in line and "INDEX" not in line)]
    assert not bad
    if name == "due":
        assert plan == ["SEARCH schedule USING INDEX schedule_by_lane (lane=? AND due<?)"]


def test_a_closed_store_is_one_file(tmp_path: Path) -> None:
    """Closing folds the write-ahead log into the database: the file can be copied."""
    store = SQLiteStore(tmp_path / "shop.db")
    store.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shop.db"]
