"""The write-ahead log beside readers: it grows with each turn, and is cut back once they are gone."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from choreo.records import Unpublished
from choreo.store.sqlite import wal
from choreo.store.sqlite.store import SQLiteStore

READ = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("BEGIN")
connection.execute("SELECT count(*) FROM outbox").fetchone()
print("reads", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SQLiteStore]:
    """Return a store whose write-ahead log is large at 1 MB."""
    monkeypatch.setattr(wal, "LIMIT", 2**20)
    monkeypatch.setattr(wal, "_PAUSE", 0.0)
    with closing(SQLiteStore(tmp_path / "s.db")) as opened:
        yield opened


def grow(store: SQLiteStore, path: Path) -> int:
    """Write until the log is large, beside a reader; return its size."""
    log = path.with_name("s.db-wal")
    while log.stat().st_size <= 2 * 2**20:
        with store.turn():
            store.enqueue([Unpublished("e", "s", "t", "topic", "[]", bytes(100_000))])
    return log.stat().st_size


def test_it_is_cut_back_once_the_reader_is_gone(store: SQLiteStore, tmp_path: Path) -> None:
    """Also where nothing more is written."""
    path = tmp_path / "s.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM outbox").fetchone()
        size = grow(store, path)
        store.trim()
        assert path.with_name("s.db-wal").stat().st_size == size
        reader.execute("COMMIT")
        store.trim()
    assert path.with_name("s.db-wal").stat().st_size == 0
    assert len(store.unpublished(0, 1000)) >= 15


def test_a_warning_names_the_size_and_the_reader(
    store: SQLiteStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once a minute, not at every attempt; and nobody waits."""
    path = tmp_path / "s.db"
    process = subprocess.Popen(
        [sys.executable, "-c", READ, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == b"reads\n"
    grow(store, path)
    with caplog.at_level(logging.WARNING, "choreo.store"):
        for _ in range(3):
            store.trim()
    process.stdin.close()
    process.wait(10)
    process.stdout.close()
    (line,) = caplog.messages
    assert "has 2 MB" in line
    if sys.platform == "linux":
        assert f"process {process.pid}" in line
    store.trim()
    assert path.with_name("s.db-wal").stat().st_size == 0


def test_a_small_log_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A checkpoint at each look would cost a sync."""
    with closing(SQLiteStore(tmp_path / "s.db")) as store:
        with store.turn():
            store.enqueue([Unpublished("e", "s", "t", "topic", "[]", bytes(100_000))])
        size = (tmp_path / "s.db-wal").stat().st_size
        store.trim()
        assert (tmp_path / "s.db-wal").stat().st_size == size > 0
    assert caplog.messages == []
