"""Stores in files: a good one, and all that is wrong with one; nothing of it is changed."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from choreo.ports.findings import Finding
from choreo.records import DeadLetter, Entry
from choreo.store.sqlite import condition
from choreo.store.sqlite.condition import file_condition
from choreo.store.sqlite.store import SQLiteStore
from tests.cli.command import invoke
from tests.store.conformance import entry

DOCTOR = ("doctor", "examples.orders.inventory:inventory", "--no-cluster", "--store")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Make a store that nobody uses."""
    path = tmp_path / "shop.db"
    SQLiteStore(path).close()
    return path


def found(path: Path, seconds: float = 10.0, free: int = 2**40) -> list[Finding]:
    """Return what is wrong with a store; it may not be changed by that."""
    before = path.read_bytes() if path.is_file() and os.access(path, os.R_OK) else b""
    beside = sorted(each.name for each in path.parent.iterdir()) if path.parent.is_dir() else []
    told = list(file_condition(str(path), seconds, free=lambda _: free))
    if before:
        assert path.read_bytes() == before
    if path.parent.is_dir():
        assert sorted(each.name for each in path.parent.iterdir()) == beside
    return told


def test_nothing_is_wrong_with_a_good_store(store: Path) -> None:
    """Used or not, or not there yet."""
    assert found(store) == []
    with closing(SQLiteStore(store)):
        assert found(store) == []
    assert found(store.with_name("new.db")) == []


def truncated(store: Path) -> None:
    """Lose the end of a file."""
    with closing(SQLiteStore(store)) as opened, opened.turn():
        for number in range(300):
            opened.db.execute(f"create table more_{number} (x)")
    os.truncate(store, store.stat().st_size // 2)


def overwritten(store: Path) -> None:
    """Let a page be rubbish that nobody has looked at."""
    with closing(SQLiteStore(store)) as opened, opened.turn():
        opened.db.execute("create table photos (x)")
        for _ in range(90):
            opened.db.execute("insert into photos values (zeroblob(900))")
    with store.open("r+b") as file:
        file.seek(-4096 * 2, os.SEEK_END)
        file.write(b"\xff" * 4096 * 2)


def impossible(store: Path) -> None:
    """Hold what a table can't."""
    with closing(sqlite3.connect(store)) as opened:
        opened.execute("create table photos (x)")
        opened.execute("insert into photos values (null)")
        opened.execute("pragma writable_schema = on")
        opened.execute(
            "update sqlite_master set sql = 'create table photos (x not null)' where name = 'photos'"
        )
        opened.commit()


def newer(store: Path) -> None:
    """Let a later choreo have been there."""
    with closing(sqlite3.connect(store)) as opened:
        opened.execute(
            "insert into _sqlite_migrations (migration_set, name, applied_at) values ('choreo', '9999_x', '')"
        )
        opened.commit()


def older(store: Path) -> None:
    """Lack what came last."""
    with closing(sqlite3.connect(store)) as opened:
        opened.execute("delete from _sqlite_migrations where name = '0014_unended'")
        opened.commit()


def made_anew(store: Path) -> None:
    """Let a tool have changed a table, which SQLite can only do by a new one."""
    with closing(SQLiteStore(store)) as opened:
        opened.db["saga_log"].transform()


def switched_off(store: Path) -> None:
    """Let a tool have written while the triggers were off."""
    with closing(SQLiteStore(store)) as opened:
        with opened.turn():
            opened.append([entry("s1"), entry("s2")])
        opened.db.execute("delete from sagas_in_flight where saga_id = 's1'")
        opened.db.execute("insert into sagas_in_flight values ('s3', 'shop')")


def rollback_journal(store: Path) -> None:
    """Let another program have changed how it is written."""
    with closing(sqlite3.connect(store)) as opened:
        opened.execute("pragma journal_mode = delete")


def foreign(store: Path) -> None:
    """Put the service's own tables there alone."""
    store.unlink()
    with closing(sqlite3.connect(store)) as opened:
        opened.execute("pragma journal_mode = wal")
        opened.execute("create table orders (id)")
    store.chmod(0o600)


def folder(store: Path) -> None:
    """Name a folder."""
    store.unlink()
    store.mkdir()


BAD: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a folder": (folder, "error", "can't be read"),
    "rubbish": (lambda store: store.write_bytes(b"rubbish" * 1000), "error", "file is not a database"),
    "truncated": (truncated, "error", "is damaged"),
    "a page of rubbish": (overwritten, "error", "is damaged"),
    "a row that can't be": (impossible, "error", "it is damaged: NULL value in photos.x"),
    "of a newer choreo": (newer, "error", "a newer choreo made it (it has 9999_x)"),
    "of an older choreo": (older, "warning", "an older choreo made it"),
    "a table made anew": (made_anew, "error", "its saga log has lost saga_log_refuses_UPDATE, saga_log_ref"),
    "rows that no trigger saw": (switched_off, "error", "are not those of its saga log: 2 differ"),
    "not in WAL mode": (rollback_journal, "warning", "its journal mode is not wal"),
    "others may read it": (lambda store: store.chmod(0o644), "warning", "its mode is 644"),
    "the service's tables alone": (foreign, "warning", "none of choreo's"),
}


@pytest.mark.parametrize(("spoil", "level", "words"), BAD.values(), ids=BAD)
def test_what_is_wrong_with_a_file_is_said(
    store: Path, spoil: Callable[[Path], object], level: str, words: str
) -> None:
    """In one line, with what to do; a file that is damaged breaks nothing."""
    spoil(store)
    told = [each for each in found(store) if words in each.text]
    assert [each.level for each in told] == [level]
    assert all("\n" not in each.text for each in told)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    """A store would not be made in it."""
    (only,) = found(tmp_path / "nowhere" / "shop.db")
    assert (only.level, "there is no folder" in only.text) == ("error", True)


@pytest.mark.parametrize("name", ["x" * 300, "loop", "loop/shop.db"], ids=["too long", "a loop", "below it"])
def test_a_path_that_leads_nowhere_is_said(tmp_path: Path, name: str) -> None:
    """A worker couldn't open it, either."""
    (tmp_path / "loop").symlink_to("loop")
    (only,) = file_condition(str(tmp_path / name), 10.0)
    assert only.level == "error"
    assert only.hint


@pytest.mark.parametrize(("room", "level"), [(2**20, "error"), (2**29, "warning")])
def test_a_disk_that_is_nearly_full_is_said(store: Path, room: int, level: str) -> None:
    """Before a worker waits for room."""
    (only,) = found(store, free=room)
    assert (only.level, f"{room // 2**20} MB left" in only.text) == (level, True)


def test_a_store_that_may_not_be_written_is_said(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By whoever runs this; the superuser may."""
    monkeypatch.setattr(condition, "may_be_written", lambda path: False)
    (only,) = found(store)
    assert (only.level, "may not be written" in only.text) == ("error", True)


def test_a_network_file_system_is_said(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the log beside the file is not shared."""
    monkeypatch.setattr(condition, "_file_system", lambda path: "nfs4")
    (only,) = found(store)
    assert (only.level, "network file system (nfs4)" in only.text) == ("error", True)


def test_a_look_takes_no_longer_than_it_may(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a store that is too large, it is said that not all was looked at."""
    monkeypatch.setattr(condition, "_STEPS", 1)
    (only,) = found(store, seconds=-1)
    assert (only.level, "too large" in only.text) == ("warning", True)


def test_a_writer_that_never_ends_is_said(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its process, where the system tells; a turn that ends is none."""
    monkeypatch.setattr(condition, "_PATIENCE", 0.1)
    with closing(SQLiteStore(store)) as opened, suppress(ZeroDivisionError), opened.turn():
        (only,) = found(store)
        assert (only.level, f"process {os.getpid()}" in only.text) == ("error", True)
        raise ZeroDivisionError


def test_a_log_that_grows_is_said(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody reads for too long."""
    monkeypatch.setattr(condition, "LIMIT", 10)
    with closing(SQLiteStore(store)) as opened:
        with opened.turn():
            opened.db.execute("create table more (x)")
        (only,) = found(store)
    assert (only.level, "write-ahead log" in only.text) == ("warning", True)


def test_the_command_tells_people_and_scripts(store: Path) -> None:
    """With exit codes as those of verify."""
    good = invoke(*DOCTOR, str(store))
    assert (good.exit_code, good.stdout) == (0, "nothing is wrong\n")
    store.chmod(0o644)
    warned = invoke(*DOCTOR, str(store), "--json")
    assert warned.exit_code == 0
    (only,) = json.loads(warned.stdout)["findings"]
    assert set(only) == {"level", "subject", "text", "hint"}
    assert invoke(*DOCTOR, str(store), "--strict").exit_code == 1
    newer(store)
    bad = invoke(*DOCTOR, str(store))
    assert bad.exit_code == 1
    assert f"error: {store}: a newer choreo made it (it has 9999_x) (hint: upgrade choreo here" in bad.stdout
    assert invoke("doctor", "examples.orders.inventory:inventory").exit_code == 2


def test_the_store_of_another_participant_is_said(store: Path) -> None:
    """Also where no cluster is asked, or it is away: a start would be refused."""
    with closing(SQLiteStore(store)) as opened:
        opened.bind("cluster-1", "payments")
    checked = invoke(*DOCTOR, str(store))
    assert checked.exit_code == 1
    assert "it belongs to the participant 'payments'" in checked.stdout
    assert checked.stdout.count("error: ") == 1


def test_a_release_that_a_start_would_refuse_is_said(store: Path) -> None:
    """As `choreo run --check` does."""
    head = ("s1", "order-fulfilment", 1, "pending", 1)
    row = Entry(
        *head,
        "event",
        "start",
        "pending",
        "completed",
        "e1",
        "shop.OrderCreated",
        "succeeded",
        "start",
        "orders",
    )
    letter = DeadLetter("gave-up", "", 1, "s1", "order-fulfilment", "action", "inventory.gone", "e1")
    with closing(SQLiteStore(store)) as opened, opened.turn():
        opened.append([row._replace(topic="order-fulfilment", partition=0, offset=0)])
        opened.add_dead_letter(letter)
    told = invoke(*DOCTOR, str(store))
    assert told.exit_code == 1
    assert "error: release of inventory: " in told.stdout
    assert "inventory.gone" in told.stdout
