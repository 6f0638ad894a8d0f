"""Erasing and pruning on a real file: what was taken out is gone from the disk, to the last byte."""

from __future__ import annotations

import re
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from choreo.errors import StoreError
from choreo.store.sqlite.store import SQLiteStore

from .conformance import check_chain, ended, entry, key, unpublished

SAGAS = [f"s{number}" for number in range(60)]


def busy_store(path: Path, seed: int) -> SQLiteStore:
    """Make a store that has been in use: pages were split, freed and used again; every payload is marked."""
    store, chance, number = SQLiteStore(path), Random(seed), 0
    for _ in range(120):
        with store.turn():
            rows = store.unpublished(0, 1000)
            store.acknowledge(row.seq for row in rows[: chance.randrange(20)])
            for _ in range(chance.randrange(8)):
                payload = f"<{number:04d}>".encode() * chance.choice([1, 3, 9, 80, 500, 2000])
                store.append([entry(chance.choice(SAGAS), payload=payload)])
                store.enqueue([unpublished()._replace(body=payload, headers="h" * chance.randrange(300))])
                number += 1
    with store.turn():
        store.acknowledge(row.seq for row in store.unpublished(0, 10_000))
        store.append(ended(saga) for saga in SAGAS)
    return store


def on_disk(path: Path) -> set[bytes]:
    """Return the marks that are anywhere in the files of a store."""
    files = [file for file in path.parent.iterdir() if file.name.startswith(path.name)]
    return {mark for file in files for mark in re.findall(rb"<\d{4}>", file.read_bytes())}


def marks(store: SQLiteStore, sagas: list[str]) -> set[bytes]:
    payloads = [row.payload for saga in sagas for row in store.history(saga)]
    return {payload[:6] for payload in payloads if payload}


@pytest.mark.parametrize("seed", range(4))
def test_erased_bytes_are_gone_from_the_disk(tmp_path: Path, seed: int) -> None:
    """From the table, from free pages, from what the outbox left, and from the write-ahead log."""
    store = busy_store(tmp_path / "shop.db", seed)
    gone, stays = marks(store, SAGAS[:20]), marks(store, SAGAS[20:])
    assert gone
    assert stays
    with store.turn():
        assert sum(store.saga_log.erase(key(saga)) for saga in SAGAS[:20]) == len(gone)
    assert store.saga_log.scrub()
    left = on_disk(tmp_path / "shop.db")
    assert not left & gone
    assert stays <= left
    store.close()


def test_pruned_rows_are_gone_from_the_disk(tmp_path: Path) -> None:
    """And their pages are used again."""
    store = busy_store(tmp_path / "shop.db", 9)
    gone = marks(store, SAGAS[:40])
    with store.turn():
        for saga in SAGAS[:40]:
            store.saga_log.prune(key(saga), 7)
    assert store.saga_log.scrub()
    assert not on_disk(tmp_path / "shop.db") & gone
    for saga in SAGAS[40:]:
        check_chain(store, saga)
    store.close()


def test_somebody_who_still_reads_is_waited_for_in_vain(tmp_path: Path) -> None:
    """What he may read can't be overwritten; afterwards it can."""
    store = busy_store(tmp_path / "shop.db", 1)
    gone = marks(store, SAGAS)
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM saga_log").fetchone()
        with store.turn():
            for saga in SAGAS:
                store.saga_log.erase(key(saga))
        assert not store.saga_log.scrub()
        assert on_disk(tmp_path / "shop.db") & gone
        reader.execute("ROLLBACK")
    assert store.saga_log.scrub()
    assert not on_disk(tmp_path / "shop.db") & gone
    store.close()


def test_waiting_for_a_reader_keeps_nobody_from_writing(tmp_path: Path) -> None:
    """SQLite holds the write lock while it waits to empty its log: so it waits a little, again and again."""
    path = tmp_path / "shop.db"
    worker, scrubbed = SQLiteStore(path, busy_timeout=1.5), threading.Event()

    def scrub() -> None:
        keeper = SQLiteStore(path)
        assert not keeper.saga_log.scrub()
        keeper.close()
        scrubbed.set()

    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        with worker.turn():
            worker.append([entry()])
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM saga_log").fetchone()
        keeper = threading.Thread(target=scrub)
        keeper.start()
        while not scrubbed.is_set():
            with worker.turn():
                worker.append([entry()])
        keeper.join()
    worker.close()


def test_what_others_deleted_is_gone_when_all_is_written_anew(tmp_path: Path) -> None:
    """They need not have overwritten it."""
    store = SQLiteStore(tmp_path / "shop.db")
    store.db.execute("PRAGMA secure_delete = OFF")
    store.db.execute("CREATE TABLE theirs (what BLOB)")
    store.db.execute("INSERT INTO theirs VALUES (?)", [b"<0001>" * 5000])
    store.db.execute("DROP TABLE theirs")
    assert store.saga_log.scrub()
    assert on_disk(tmp_path / "shop.db")
    assert store.saga_log.scrub(whole=True)
    assert not on_disk(tmp_path / "shop.db")
    store.close()


def test_the_log_is_locked_again(tmp_path: Path) -> None:
    """Also where what was asked for was refused."""
    store = SQLiteStore(tmp_path / "shop.db")
    with store.turn():
        store.append([ended("s1"), entry("s2")])
        store.saga_log.erase(key("s1"))
        with pytest.raises(StoreError, match="not ended"):
            store.saga_log.prune(key("s2"), 1)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        store.db.execute("DELETE FROM saga_log")
    store.close()


def test_finding_what_is_at_rest_scans_no_log(tmp_path: Path) -> None:
    """Only the outbox and the dead letters, which are short, once for all that are asked for."""
    store = SQLiteStore(tmp_path / "shop.db")
    with store.turn():
        store.append([ended("s1")])
    statements: list[str] = []
    store.db.conn.set_trace_callback(statements.append)
    store.saga_log.busy([key("s1")])
    store.saga_log.ended(10**9, 0)
    store.db.conn.set_trace_callback(None)
    for sql in statements:
        plan = [row[3] for row in store.db.execute(f"EXPLAIN QUERY PLAN {sql}")]
        assert not any(line.startswith(("SCAN saga_log", "SCAN last", "SCAN later")) for line in plan), plan
        assert not any("TEMP B-TREE" in line for line in plan), plan
    store.close()
