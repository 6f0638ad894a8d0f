"""The chain on a real file: what an intruder does to it by hand, and stores of before it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

from choreo.chain import BrokenLink, first_broken_link
from choreo.records import SagaKey
from choreo.store.sqlite.heads import SQLiteHeads as Heads
from choreo.store.sqlite.migrations import migrations
from choreo.store.sqlite.store import SQLiteStore

from .conformance import check_chain, entry

TRIGGERS = ("saga_log_refuses_UPDATE", "saga_log_refuses_DELETE")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a store with two sagas of six rows each, ids 1, 3, 5… and 2, 4, 6…."""
    store = SQLiteStore(tmp_path / "shop.db")
    for number in range(6):
        with store.turn():
            store.append(entry(saga, note=str(number), payload=b"paid 5", offset=number) for saga in "ab")
    store.close()
    return tmp_path / "shop.db"


def intrude(path: Path, *statements: str) -> None:
    """Change a store's file as somebody does who has it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for trigger in TRIGGERS:
            connection.execute(f"DROP TRIGGER {trigger}")
        for statement in statements:
            connection.execute(statement)


def broken(path: Path, saga_id: str) -> BrokenLink | None:
    store = SQLiteStore(path)
    log = store.saga_log
    try:
        return first_broken_link(log.chain(saga_id, "shop"), log.unchained)
    finally:
        store.close()


FIELDS = [name for name in entry()._fields if name not in ("saga_id", "saga_type", "payload")]


@pytest.mark.parametrize("field", FIELDS)
def test_a_change_of_any_field_is_seen(path: Path, field: str) -> None:
    """At the row that was changed; the other saga is as it was."""
    kind = type(getattr(entry(), field))
    intrude(path, f"""UPDATE saga_log SET "{field}" = {"'x'" if kind is str else 77} WHERE id = 7""")
    found = broken(path, "a")
    assert found is not None
    assert found.row.id == 7
    assert found.why == "it was changed, or rows before it were removed"
    assert broken(path, "b") is None


COPY = "INSERT INTO saga_log SELECT {what} FROM saga_log WHERE id = {row}"


def columns(**given: str) -> str:
    """Return all columns, some of them with other values."""
    names = (*("id", *entry()._fields, "salt", "digest", "link"),)
    return ", ".join(given.get(name, f'"{name}"') for name in names)


@pytest.mark.parametrize(
    ("statements", "row", "why"),
    [
        (("UPDATE saga_log SET payload = x'00' WHERE id = 5",), 5, "changed"),
        (("UPDATE saga_log SET payload = NULL WHERE id = 5",), 5, "changed"),
        (("UPDATE saga_log SET salt = x'00' WHERE id = 5",), 5, "changed"),
        (("UPDATE saga_log SET digest = x'00' WHERE id = 5",), 5, "erased, and is there"),
        (("UPDATE saga_log SET digest = zeroblob(32), payload = NULL WHERE id = 5",), 5, "changed"),
        (("UPDATE saga_log SET link = zeroblob(32) WHERE id = 5",), 5, "changed"),
        (("UPDATE saga_log SET link = NULL WHERE id = 5",), 5, "no link"),
        (("UPDATE saga_log SET link = NULL",), 1, "no link"),
        (("UPDATE saga_log SET note = CAST(x'ff' AS TEXT) WHERE id = 5",), 5, "no text"),
        (("UPDATE saga_log SET step = 'a' || char(31) || 'b' WHERE id = 5",), 5, "no text"),
        (("DELETE FROM saga_log WHERE id = 1",), 3, "removed"),
        (("DELETE FROM saga_log WHERE id = 5",), 7, "removed"),
        (("DELETE FROM saga_log WHERE id IN (5, 7)",), 9, "removed"),
        (("UPDATE saga_log SET saga_id = 'a' WHERE id = 6",), 6, "inserted"),
        (("UPDATE saga_log SET saga_id = 'b' WHERE id = 5",), 7, "removed"),
        (("UPDATE saga_log SET saga_type = 'x' WHERE id = 5",), 7, "removed"),
        (
            (
                "UPDATE saga_log SET id = 99 WHERE id = 5",
                "UPDATE saga_log SET id = 5 WHERE id = 7",
                "UPDATE saga_log SET id = 7 WHERE id = 99",
            ),
            5,
            "out of its order",
        ),
        (("UPDATE saga_log SET id = 99 WHERE id = 5",), 7, "out of its order"),
        ((COPY.format(what=columns(id="99"), row=5),), 99, "changed"),
        (
            ("UPDATE saga_log SET id = 103 + id WHERE id > 5", COPY.format(what=columns(id="50"), row=3)),
            50,
            "inserted",
        ),
    ],
)
def test_the_first_row_that_does_not_fit_is_named(
    path: Path, statements: tuple[str, ...], row: int, why: str
) -> None:
    """With what most likely happened to it."""
    intrude(path, *statements)
    found = broken(path, "a")
    assert found is not None
    assert (found.row.id, why in found.why) == (row, True), found.why


def test_a_cut_tail_shows_in_no_chain(path: Path) -> None:
    """Which is why heads are kept elsewhere."""
    intrude(path, "DELETE FROM saga_log WHERE id > 7")
    assert broken(path, "a") is None


def old_store(path: Path) -> None:
    """Make a store as the choreo before chains did, with two sagas."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        db = Database(connection)
        migrations.apply(db, stop_before="0004_chain")
        names = ", ".join(f'"{name}"' for name in entry()._fields)
        marks = ", ".join("?" * len(entry()))
        for saga_id in ("a", "b", "a"):
            row = entry(saga_id, payload=b"old")
            connection.execute(f"INSERT INTO saga_log ({names}) VALUES ({marks})", row)


def test_rows_of_before_are_sealed_by_the_next_of_their_saga(tmp_path: Path) -> None:
    """They have no link, and a change shows all the same; those of a saga that had ended stay open."""
    path = tmp_path / "old.db"
    old_store(path)
    store = SQLiteStore(path)
    assert store.saga_log.unchained == 3
    with store.turn():
        store.append([entry("a", note="new"), entry("c")])
    assert [row.link is None for row in store.saga_log.chain("a", "shop")] == [True, True, False]
    check_chain(store, "c")
    store.close()
    assert broken(path, "a") is None
    assert broken(path, "b") is None
    intrude(path, "UPDATE saga_log SET payload = x'01' WHERE id < 3")
    found = broken(path, "a")
    assert found is not None
    assert found.row.id == 4
    assert broken(path, "b") is None


def test_an_older_choreo_that_still_writes_is_seen(path: Path) -> None:
    """Its rows have no link, and are not of before; the next row seals them nevertheless."""
    names = ", ".join(f'"{name}"' for name in entry()._fields)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        marks = ", ".join("?" * len(entry()))
        connection.execute(f"INSERT INTO saga_log ({names}) VALUES ({marks})", entry("a"))
    store = SQLiteStore(path)
    with store.turn():
        store.append([entry("a")])
    store.close()
    found = broken(path, "a")
    assert found is not None
    assert found.why == "it has no link: something else than this choreo wrote it"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "shop.db")
    yield store
    store.close()


def test_few_heads_will_do(store: SQLiteStore) -> None:
    """What isn't remembered is read again."""
    heads = Heads(store.db.conn, limit=2)
    store._pending._heads = store._heads = heads
    for number in range(5):
        with store.turn():
            for saga in "abcde":
                store.history(saga)
            store.append(entry(saga, note=str(number)) for saga in "abcdeedcba")
    for saga in "abcde":
        assert len(check_chain(store, saga)) == 10
    assert len(heads._known) <= 2


def queries_for_heads(store: SQLiteStore, saga_id: str) -> int:
    """Append to a saga in a turn; give how often its head was asked for."""
    statements: list[str] = []
    with store.turn():
        store.history(saga_id, "shop")
        store.db.conn.set_trace_callback(statements.append)
        store.append([entry(saga_id), entry(saga_id)])
        assert store.history(saga_id)
    store.db.conn.set_trace_callback(None)
    return sum("ORDER BY id DESC" in statement for statement in statements)


def test_heads_are_remembered(store: SQLiteStore, tmp_path: Path) -> None:
    """Of a new saga, too, as the worker has asked for its history already; until somebody else writes."""
    assert [queries_for_heads(store, "s1") for _ in range(3)] == [0, 0, 0]
    other = SQLiteStore(tmp_path / "shop.db")
    with other.turn():
        other.append([entry("s2")])
    other.close()
    assert [queries_for_heads(store, "s1") for _ in range(3)] == [1, 0, 0]


PLANS: dict[str, Callable[[SQLiteStore], object]] = {
    "sagas": lambda store: store.saga_log.sagas(SagaKey("a", ""), 9),
    "chain": lambda store: store.saga_log.chain("a", "shop"),
    "head": lambda store: store._heads._head("a", "shop"),
}


@pytest.mark.parametrize("name", PLANS)
def test_no_statement_scans(store: SQLiteStore, name: str) -> None:
    """Each finds its rows by the one index of the saga log."""
    statements: list[str] = []
    store.db.conn.set_trace_callback(statements.append)
    PLANS[name](store)
    store.db.conn.set_trace_callback(None)
    about = [sql for sql in statements if "FROM saga_log" in sql]
    plan = [row[3] for sql in about for row in store.db.execute(f"EXPLAIN QUERY PLAN {sql}")]
    assert plan
    assert all("INDEX saga_log_by_saga" in line for line in plan), plan
