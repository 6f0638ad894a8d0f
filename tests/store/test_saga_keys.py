"""A store of before, which told sagas apart by their ids alone: what it holds stays as it was."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from io import StringIO
from pathlib import Path

import pytest
from sqlite_utils import Database

from choreo.audit.heads import Head, heads_of, read_heads, write_heads
from choreo.audit.retention import prune
from choreo.audit.verification import Verification, all_sagas
from choreo.chain import ZEROS, digest_of, first_broken_link, link_of
from choreo.records import Entry
from choreo.store.sqlite.migrations import migrations
from choreo.store.sqlite.rows import columns
from choreo.store.sqlite.store import SQLiteStore

from .conformance import ended, entry, key

OLD = [
    entry("s1", payload=b"a", recorded_at=1),
    entry("s1", saga_type="other", payload=b"b", recorded_at=1),
    entry("s2", recorded_at=1),
    ended("s1", recorded_at=1),
]
HEADERS = "ce_id: e1\nce_subject: ce_sagatype: x\nce_sagatype: other\nce_step: s"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Make a store whose rows of one id form one chain, whatever their types."""
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrations.apply(Database(connection), stop_before="0006_saga_keys")
        heads: dict[str, bytes] = {}
        names = (*Entry._fields, "link")
        for row in OLD:
            link = link_of(heads.get(row.saga_id, ZEROS), row, digest_of(row.payload, None))
            heads[row.saga_id] = link
            marks = ", ".join("?" * len(names))
            connection.execute(f"INSERT INTO saga_log ({columns(names)}) VALUES ({marks})", (*row, link))
        connection.execute(
            "INSERT INTO schedule (saga_id, saga_type, task, name, event_id, due, attempt, lane, until)"
            " VALUES ('s1', 'other', 'action', 'pay', 'e1', 5, 2, 'call', 9)"
        )
        connection.execute(
            "INSERT INTO outbox (event_id, saga_id, topic, headers, body) VALUES ('e1', 's1', 't', ?, x'00')",
            (HEADERS,),
        )
        connection.execute("UPDATE choreo_store SET claimed_by = 'a worker of before'")
    return path


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteStore]:
    with closing(SQLiteStore(path)) as store:
        yield store


def test_every_row_finds_its_saga(store: SQLiteStore) -> None:
    """What is scheduled, unpublished and logged; a worker of before that still runs is fenced."""
    (row,) = store.scheduled("s1", "other")
    assert row[2:] == ("action", "pay", "e1", 5, 2, "call", 9, *row[9:])
    assert not store.scheduled("s1", "shop")
    assert [each.saga_type for each in store.unpublished(0, 9)] == ["other"]
    assert [each.note for each in store.history("s1", "other")] == [""]
    assert store.db.execute("SELECT claimed_by FROM choreo_store").fetchone() == (None,)


def test_sagas_of_before_keep_their_ids(store: SQLiteStore) -> None:
    """By their first row; one that the store sees later has its type in its ids."""
    with store.turn():
        store.append([entry("s2"), entry("s3"), entry("s1", saga_type="third")])
    known = [key("s1"), key("s1", "other"), key("s2"), key("s3"), key("s1", "third")]
    assert [store.is_keyed_by_id(*saga) for saga in known] == [True, True, True, False, False]


def test_a_chain_that_was_shared_goes_on_for_each(store: SQLiteStore) -> None:
    """It holds before and after, its heads of before fit, and pruned together it holds for each alone."""
    before = [Head(store.store_id, "s1", store.saga_log.rows("s1")[-1].link or b"")]
    with store.turn():
        store.append([entry("s1", saga_type="other", recorded_at=1), entry("s1", saga_type="third")])
        store.append([entry("s1", note="void", recorded_at=1), entry("s2")])
    assert [len(store.saga_log.chain("s1", name)) for name in ("shop", "other", "third")] == [4, 4, 1]
    assert check(store, before) == []
    kept = StringIO()
    write_heads(heads_of(store.saga_log, store.store_id, all_sagas(store.saga_log)), kept)
    heads = list(read_heads(StringIO(kept.getvalue())))
    assert [each.saga_type for each in heads] == ["", "", "third", ""]
    with store.turn():
        store.append([ended("s1", recorded_at=1)])
    assert {each.kept for each in prune(store, 1000, 9)} == {"it has not ended"}
    with store.turn():
        store.acknowledge([1])
        store.unschedule("s1", "other", "action", "pay")
        store.append([ended("s1", saga_type="other", recorded_at=1)])
    assert sum(each.removed for each in prune(store, 1000, 9)) == 7
    assert [len(store.saga_log.chain("s1", name)) for name in ("shop", "other", "third")] == [1, 1, 1]
    with store.turn():
        store.append([entry("s1", note="void"), entry("s4")])
    assert check(store, heads) == []
    assert not store.is_keyed_by_id("s4", "shop")


def check(store: SQLiteStore, heads: list[Head]) -> list[object]:
    log = store.saga_log
    verification = Verification(log)
    broken = [first_broken_link(log.chain(*saga), log.unchained) for saga in all_sagas(log)]
    found = [verification.check(saga) for saga in all_sagas(log)]
    return [each for each in (*broken, *found, *map(verification.check_head, heads)) if each is not None]
