"""A store whose files are deleted, moved or replaced while it is open: noticed at the next turn."""

# ruff: noqa: PT012 (what raises is the leaving of a block, so the block is longer than a statement)

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from choreo import Participant, connect
from choreo.errors import StoreError, StoreGone, StoreMismatch
from choreo.store.sqlite.store import SQLiteStore
from choreo.worker.failure import detail_of
from tests.worker.conftest import Rigs, rig
from tests.worker.services import agency
from tests.worker.trip import TripRequested

__all__ = ["rig"]

Damage = Callable[[Path], None]


@pytest.mark.parametrize("is_deleted", [False, True])
def test_a_working_directory_that_changes_matters_to_nobody(
    rig: Rigs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_deleted: bool
) -> None:
    """A handler changes it, or it is deleted: the worker and the web process go on with their store."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(home)
    made = agency()
    with connect(made, "agency.db"), closing(SQLiteStore("agency.db")) as store:
        with made.transaction() as tx:
            tx.start(TripRequested("t"), "s1")
        monkeypatch.chdir(elsewhere)
        if is_deleted:
            elsewhere.rmdir()
        store.changed()
        store.trim()
        with made.transaction() as tx:
            tx.start(TripRequested("t"), "s2")
        with store.turn():
            assert {row.saga_id for row in store.unpublished(0, 9)} == {"s1", "s2"}
    assert "attempt" in detail_of(ValueError("attempt"))
    with pytest.raises(LookupError) as raised:
        raise LookupError("x")
    assert "test_files.py" in detail_of(raised.value)
    assert [each.name for each in home.iterdir()] == ["agency.db"]


def deleted(path: Path) -> None:
    path.unlink()


def moved(path: Path) -> None:
    path.rename(path.with_suffix(".old"))


def all_deleted(path: Path) -> None:
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()


def folder_removed(path: Path) -> None:
    shutil.rmtree(path.parent)


def folder_moved(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


def replaced(path: Path) -> None:
    other = path.with_suffix(".new")
    SQLiteStore(other).close()
    all_deleted(path)
    other.rename(path)


def restored(path: Path) -> None:
    backup = path.with_suffix(".backup")
    with closing(sqlite3.connect(path)) as connection, closing(sqlite3.connect(backup)) as copy:
        connection.backup(copy)
    all_deleted(path)
    backup.rename(path)


def wal_deleted(path: Path) -> None:
    path.with_name(f"{path.name}-wal").unlink()


def wal_replaced(path: Path) -> None:
    wal_deleted(path)
    path.with_name(f"{path.name}-wal").touch()


def index_deleted(path: Path) -> None:
    path.with_name(f"{path.name}-shm").unlink()


GONE: list[Damage] = [deleted, moved, all_deleted, folder_removed, folder_moved]
OTHER: list[Damage] = [replaced]
SAME: list[Damage] = [restored, wal_deleted, wal_replaced, index_deleted]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder / "agency.db"


def start(shop: Participant, saga_id: str) -> None:
    with shop.transaction() as tx:
        tx.start(TripRequested("t"), saga_id)


def kept(path: Path) -> set[str]:
    if not path.exists():
        return set()
    store = SQLiteStore(path)
    try:
        return {entry.saga_id for _, entry in store.rows(0, 1000)}
    finally:
        store.close()


@pytest.mark.parametrize("damage", [*GONE, *OTHER, *SAME])
@pytest.mark.parametrize("work", [False, True], ids=["idle", "busy"])
def test_a_worker_stops_within_a_turn(rig: Rigs, damage: Damage, path: Path, work: bool) -> None:
    """It publishes nothing of what it does after that; and says what has happened to which file."""
    rigged = rig(agency(), opened=False)
    rigged.path = path
    rigged.open()
    start(rigged.participant, "before")
    rigged.settle()
    damage(path)
    if work:
        rigged.append(TripRequested("t"), "after")
    with pytest.raises(StoreGone, match="agency") as said:
        rigged.worker.turn()
    assert said.value.hint
    assert len(rigged.records()) == 1 + work


@pytest.mark.parametrize("damage", [*GONE, *OTHER, *SAME])
@pytest.mark.parametrize("opened", [True, False], ids=["in a transaction", "between two"])
def test_a_web_process_tells_nobody_of_a_saga_that_is_in_no_file(
    path: Path, damage: Damage, opened: bool
) -> None:
    """Within a transaction, and in those after it; nothing is made anew where the store was."""
    shop, told = agency(), set()
    with connect(shop, path):
        start(shop, "before")
        if opened:
            with pytest.raises(StoreGone, match="agency"), shop.transaction() as tx:
                tx.start(TripRequested("t"), "during")
                damage(path)
        else:
            damage(path)
        for saga_id in ("a1", "a2"):
            try:
                start(shop, saga_id)
                told.add(saga_id)
            except StoreGone:
                assert damage in GONE
            except StoreMismatch:
                assert damage in OTHER
        if damage in GONE:
            assert not path.exists()
            with pytest.raises(StoreError):
                shop.status("before")
    assert told == ({"a1", "a2"} if damage in SAME else set())
    assert told <= kept(path)


def test_a_store_that_comes_back_is_used_again(path: Path) -> None:
    """It was moved away, and back."""
    shop = agency()
    with connect(shop, path):
        start(shop, "before")
        path.parent.rename(path.parent.with_name("elsewhere"))
        with pytest.raises(StoreGone):
            start(shop, "away")
        path.parent.with_name("elsewhere").rename(path.parent)
        start(shop, "back")
    assert kept(path) == {"before", "back"}


def test_the_look_at_the_files_is_cheap(path: Path) -> None:
    """A few calls of stat, none for each event: a thousand turns' looks in less than 50 ms."""
    store = SQLiteStore(path)
    began = time.process_time()
    for _ in range(1000):
        store.check_files()
    assert time.process_time() - began < 0.05
    store.close()
