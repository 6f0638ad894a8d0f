"""Reading a store beside its worker: read-only, at once, and no more of the log than is asked for."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest

from choreo.errors import StoreError
from choreo.records import Entry, SagaKey, Scheduled
from choreo.store.sqlite.reader import StoreReader
from choreo.store.sqlite.store import SQLiteStore


def row(saga_id: str, number: int, state: str = "pending") -> Entry:
    return Entry(
        saga_id, "order", 1, state, 1_000 + number, "event", "a", "pending", "completed", offset=number
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    """Return a store of 500 sagas of two rows each; every hundredth has not ended."""
    with closing(SQLiteStore(tmp_path / "hotel.db")) as store:
        with store.turn():
            store.append(row(f"s-{number:03}", number) for number in range(500))
        with store.turn():
            store.append(
                row(f"s-{number:03}", 500 + number, "pending" if number % 100 == 0 else "completed")
                for number in range(500)
            )
        yield store


@pytest.fixture
def reader(store: SQLiteStore, tmp_path: Path) -> Iterator[StoreReader]:
    with StoreReader(tmp_path / "hotel.db") as opened:
        yield opened


def test_sagas_come_as_they_moved_last(reader: StoreReader) -> None:
    """Each once, over as many pages as are taken."""
    latest = [last.saga_id for last in reader.latest()]
    assert latest == [f"s-{number:03}" for number in reversed(range(500))]


def test_those_that_go_on_are_found_among_many(reader: StoreReader) -> None:
    """Those that moved longest ago come first."""
    assert [last.saga_id for last in reader.unended()] == [f"s-{number}00" for number in range(5)]


def test_no_more_is_read_than_is_taken(reader: StoreReader) -> None:
    """The newest sagas are found from the end of the log, by its index; nothing is sorted."""
    steps: list[int] = []
    reader._connection.set_progress_handler(lambda: steps.append(1) or 0, 100)  # type: ignore[func-returns-value]
    assert len(list(islice(reader.latest(), 20))) == 20
    assert len(steps) * 100 < 500 * 20, "instructions of SQLite, for a page of 200"
    plans = {
        name: " ".join(str(part[3]) for part in reader._rows(f"EXPLAIN QUERY PLAN {sql}", *values))
        for name, sql, values in (
            ("latest", reader._sql.latest, (1, 1)),
            ("unended", reader._sql.unended, ()),
            ("entries", reader._sql.entries, ("s",)),
        )
    }
    assert "SEARCH newer USING COVERING INDEX saga_log_by_saga" in plans["latest"]
    assert "TEMP B-TREE" not in plans["latest"]
    assert "USING COVERING INDEX saga_log_by_saga" in plans["unended"]
    assert "SEARCH saga_log USING INDEX saga_log_by_saga (saga_id=?)" in plans["entries"]


def test_an_account_is_of_one_moment(store: SQLiteStore, reader: StoreReader) -> None:
    """With what is scheduled; and what a turn holds back is not there before it ends."""
    with store.turn():
        store.append([row("s-000", 1_000, "completed")])
        store.schedule([Scheduled("s-000", "order", "action", "a", "e", 5)])
        assert len(reader.views("s-000")["order"].entries) == 2
    view = reader.views("s-000")["order"]
    assert len(view.entries) == 3
    assert [(each.task, each.name, each.due) for each in view.scheduled] == [("action", "a", 5)]
    assert (view.participant, view.source) == ("hotel", reader.path)


def test_a_reader_cannot_write(reader: StoreReader) -> None:
    """Whatever it is told."""
    with pytest.raises(StoreError, match="can't be written"):
        reader._rows("DELETE FROM positions")


def test_a_reader_leaves_the_writer_alone(store: SQLiteStore, reader: StoreReader) -> None:
    """A list that is read half way holds no lock."""
    next(reader.latest())
    with store.turn():
        store.append([row("s-new", 2_000)])
    store.db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert next(reader.latest()).saga_id == "s-new"


def test_a_store_of_another_version_is_told_so(tmp_path: Path) -> None:
    """A worker brings it up to date, not who reads it."""
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as old:
        old.execute("CREATE TABLE choreo_store (participant TEXT)")
        old.execute("INSERT INTO choreo_store VALUES ('old')")
        old.commit()
    with StoreReader(path) as reader, pytest.raises(StoreError, match="not a store of this version"):
        reader.views("s")


def test_pruned_sagas_are_listed_no_more(store: SQLiteStore, reader: StoreReader) -> None:
    """Who names one is told that, and how it ended."""
    with store.turn():
        assert store.saga_log.prune(SagaKey("s-499", "order"), 5_000) == 2
    assert next(reader.latest()).saga_id == "s-498"
    (row,) = reader.views("s-499")["order"].entries
    assert (row.input, row.saga_state) == ("pruned", "completed")


def test_a_store_that_nobody_uses_is_left_as_it_lay(store: SQLiteStore, tmp_path: Path) -> None:
    """No file beside it, not even for a moment; so it can be read where nobody may write."""
    store.close()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with StoreReader(tmp_path / "hotel.db") as reader:
        assert len(reader.views("s-000")["order"].entries) == 2
        assert {path.name for path in tmp_path.iterdir()} == {"hotel.db"}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("ends", [False, True])
def test_a_worker_that_starts_while_a_store_is_read_is_seen(
    store: SQLiteStore, tmp_path: Path, ends: bool
) -> None:
    """What it writes is read, whether it still runs or has checkpointed all and gone."""
    store.close()
    with StoreReader(tmp_path / "hotel.db") as reader:
        assert len(reader.views("s-000")["order"].entries) == 2
        worker = SQLiteStore(tmp_path / "hotel.db")
        with worker.turn():
            worker.append([row("s-000", 2_000, "completed")])
        if ends:
            worker.close()
        assert len(reader.views("s-000")["order"].entries) == 3
        assert next(reader.latest()).saga_id == "s-000"
        worker.close()
