"""Opening a store: what is made, what is migrated, what is refused and how clearly."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

import choreo
from choreo.errors import StoreError
from choreo.store.sqlite.condition import file_condition
from choreo.store.sqlite.errors import store_error
from choreo.store.sqlite.migrations import NAMES, TABLES, migrations
from choreo.store.sqlite.reader import StoreReader
from choreo.store.sqlite.store import SQLiteStore


def refused(path: Path, **options: float) -> str:
    with pytest.raises(StoreError) as error:
        SQLiteStore(path, **options)
    assert error.value.hint
    assert "\n" not in str(error.value)
    return error.value.message


def test_a_new_file_gets_all_tables_and_an_id(tmp_path: Path) -> None:
    """Two stores have two ids; opening again keeps both."""
    one, two = SQLiteStore(tmp_path / "one.db"), SQLiteStore(str(tmp_path / "two.db"))
    assert set(TABLES) <= set(one.db.table_names())
    assert one.store_id != two.store_id
    one.close()
    again = SQLiteStore(tmp_path / "one.db")
    assert again.store_id == one.store_id
    again.close()
    two.close()


def test_an_old_sqlite_is_refused_before_any_file_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system's own may lack what statements use, such as ``->>``: it would name a syntax error."""
    path, new = tmp_path / "shop.db", tmp_path / "new.db"
    SQLiteStore(path).close()
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 37, 2))
    for each in (path, new):
        assert "choreo needs 3.40 or newer" in refused(each)
        (finding,) = file_condition(str(each), 10.0)
        assert (finding.level, finding.hint != "") == ("error", True)
    assert not new.exists()
    with pytest.raises(StoreError, match="choreo needs"):
        StoreReader(path)


def test_opening_again_writes_nothing(tmp_path: Path) -> None:
    """So that a look at a store never waits for its worker."""
    worker = SQLiteStore(tmp_path / "shop.db")
    with worker.turn():
        SQLiteStore(tmp_path / "shop.db", busy_timeout=0).close()
    worker.close()


def test_the_names_are_those_of_the_migrations() -> None:
    """`NAMES` says which are known; a migration that isn't among them would refuse its own store."""
    with closing(sqlite3.connect(":memory:")) as connection:
        assert tuple(m.name for m in migrations.pending(Database(connection))) == NAMES


def test_the_services_file_keeps_what_it_has(tmp_path: Path) -> None:
    """Its tables, its own migrations, its user_version."""
    theirs = Migrations("shop")

    @theirs()
    def orders(db: Database) -> None:
        db["orders"].insert({"id": 1}, pk="id")

    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 7")
        theirs.apply(Database(connection))
    store = SQLiteStore(tmp_path / "shop.db")
    assert store.db.execute("PRAGMA user_version").fetchone()[0] == 7
    assert store.db["orders"].count == 1
    assert not theirs.pending(store.db)
    store.close()


def test_a_table_of_the_same_name_is_not_taken_over(tmp_path: Path) -> None:
    """And nothing else is made beside it."""
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.execute("CREATE TABLE outbox (id)")
    assert "outbox" in refused(tmp_path / "shop.db")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("outbox",)]


def test_a_later_table_of_the_same_name_is_not_taken_over(tmp_path: Path) -> None:
    """A store of before may stand beside the service's own table of a name that choreo needs only now."""
    SQLiteStore(tmp_path / "shop.db").close()
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection, connection:
        connection.execute("DROP TABLE releases")
        connection.execute("DELETE FROM _sqlite_migrations WHERE name = '0012_releases'")
        connection.execute("CREATE TABLE releases (name)")
    assert "releases" in refused(tmp_path / "shop.db")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection, connection:
        connection.execute("ALTER TABLE releases RENAME TO our_releases")
    store = SQLiteStore(tmp_path / "shop.db")
    assert store.newest_release() is None
    store.close()


def test_a_store_of_a_newer_choreo_is_refused(tmp_path: Path) -> None:
    """It may mean things that we don't know."""
    store = SQLiteStore(tmp_path / "shop.db")
    newer = Migrations("choreo")
    newer(name="9999_future")(lambda db: None)
    newer.apply(store.db)
    store.close()
    assert "newer choreo" in refused(tmp_path / "shop.db")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    """With the way out in the hint."""
    assert "is a folder" in refused(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    """It is not made: the path may be mistyped."""
    assert "doesn't exist" in refused(tmp_path / "nowhere" / "shop.db")


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    """And left as it was."""
    (tmp_path / "notes.txt").write_text("not a database, but long enough to look at" * 9)
    assert "is not an SQLite database" in refused(tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text().startswith("not a database")


def test_a_locked_database_is_refused(tmp_path: Path) -> None:
    """After the time that was given, whether it is new or not."""
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert "is locked" in refused(tmp_path / "shop.db", busy_timeout=0.02)


@pytest.mark.parametrize(("right", "says"), [(os.R_OK, "can't be read"), (os.W_OK, "can't be written")])
def test_a_file_without_rights_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right: int, says: str
) -> None:
    """Root may do everything, so the system's answer is given here."""
    SQLiteStore(tmp_path / "shop.db").close()
    may: Callable[[Path, int], bool] = lambda path, mode: mode != right  # noqa: E731
    monkeypatch.setattr(os, "access", may)
    assert says in refused(tmp_path / "shop.db")


def test_what_sqlite_says_of_a_read_only_file_is_understood(tmp_path: Path) -> None:
    """The real error, of a connection that may only read."""
    SQLiteStore(tmp_path / "shop.db").close()
    with closing(sqlite3.connect(f"file:{tmp_path / 'shop.db'}?mode=ro", uri=True)) as connection:
        with pytest.raises(sqlite3.OperationalError) as error:
            connection.execute("CREATE TABLE more (id)")
        assert "can't be written" in str(store_error("shop.db", error.value))


def test_a_path_that_sqlite_can_not_open_is_refused(tmp_path: Path) -> None:
    """Here: its log is a folder."""
    SQLiteStore(tmp_path / "shop.db").close()
    (tmp_path / "shop.db-wal").mkdir()
    assert "can't be opened" in refused(tmp_path / "shop.db")


def test_no_other_code_knows_which_database_a_store_is_in() -> None:
    """It opens a store by its address, or its path, in `choreo.store.opening`; the rest is of the port."""
    knowing = {"SQLiteStore", "StoreReader", "PostgreSQLStore", "PostgreSQLReader"}
    root = Path(choreo.__file__).parent
    found = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if not path.is_relative_to(root / "store") and knowing & set(re.findall(r"\w+", path.read_text()))
    }
    assert found <= {"client/pool.py"}
