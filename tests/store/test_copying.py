"""Copying a store: into the other database and back, nothing is different, and it goes on from there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from choreo import connect
from choreo.errors import Fenced, StoreMismatch
from choreo.records import DeadLetter, Partition, Release, SagaKey
from choreo.store.copying import copy_store
from choreo.store.opening import open_store
from choreo.store.tables import TableStore
from tests.worker.services import agency
from tests.worker.trip import TripRequested

from .conformance import check_chain, ended, entry, scheduled, unpublished

RELEASE = Release("d1", '{"names": "é"}', 5, {Partition("orders", 3): 7})
LETTERS = [
    DeadLetter("gave-up", f"letter {n}", 7, "s1", "shop", key=b"s1", value=b"body \0 \xff") for n in range(3)
]


@pytest.fixture
def source(tmp_path: Path) -> Iterator[TableStore]:
    with closing(open_store(tmp_path / "old.db")) as store:
        with store.turn():
            store.bind("cluster", "orders")
            store.add_release(RELEASE)
            store.append([entry(payload=b"\0\xff"), entry("s2", note="ä\U0001f600", offset=2**62)])
            store.append([ended("s2"), entry("s3")._replace(saga_type="other")])
            store.enqueue([unpublished("e1"), unpublished("e2")])
            store.schedule([scheduled("s1"), scheduled("s2", lane="held-call", attempt=3)])
            store.join(Partition("orders", 3), 7, 9, 4)
            store.identify({"orders": "topic-id"})
            letters = [store.add_dead_letter(each) for each in LETTERS]
            store.close_dead_letter(letters[1], "discarded", "by hand", 9)
            store.edit_dead_letter(letters[0], b"edited")
        with store.turn():
            store.saga_log.delete_letters([letters[2]])
            store.add_dead_letter(LETTERS[2])
        yield store


def content(store: TableStore) -> list[Any]:
    """Everything that a copy has to have."""
    return [
        (store.store_id, store.owner, store.cluster, store.saga_log.unchained, store.saga_log.keyed_by_id),
        store.saga_log.page(0, 99),
        [row._replace(seq=0) for row in store.unpublished(0, 99)],
        store.all_scheduled(),
        (store.positions(), store.joined(), store.topics()),
        store.dead_letters(),
        [each._replace(id=0) for each in store.releases()],
    ]


def test_a_copy_is_the_same_and_goes_on(source: TableStore, empty_store: str, tmp_path: Path) -> None:
    """From SQLite to PostgreSQL and back; its chains hold, and new rows get greater numbers."""
    expected = content(source)
    with closing(open_store(empty_store)) as target:
        done = copy_store(source, target)
    assert done == (4, 2, 2, 3)
    with closing(open_store(empty_store)) as moved, closing(open_store(tmp_path / "back.db")) as back:
        assert content(moved) == expected
        copy_store(moved, back)
    for place in (empty_store, str(tmp_path / "back.db")):
        with closing(open_store(place)) as copied:
            assert content(copied) == expected
            with copied.turn():
                copied.append([entry(note="after")])
                letter = copied.add_dead_letter(LETTERS[0])
                copied.advance(Partition("orders", 3), 7, 8)
            assert letter > max(each.id for each in source.dead_letters())
            assert copied.saga_log.last_id > source.saga_log.last_id
            for saga in (SagaKey("s1", "shop"), SagaKey("s2", "shop"), SagaKey("s3", "other")):
                check_chain(copied, *saga)


def test_a_store_in_use_is_not_overwritten(source: TableStore, empty_store: str) -> None:
    """Nor is anything of it when the copying ends half-way."""
    with closing(open_store(empty_store)) as target:
        copy_store(source, target)
    with closing(open_store(empty_store)) as target, pytest.raises(StoreMismatch, match="of orders already"):
        copy_store(source, target)


def test_the_worker_of_what_was_copied_writes_no_more(source: TableStore, tmp_path: Path) -> None:
    """It would go on beside the copy's."""
    with closing(open_store(tmp_path / "old.db")) as worker:
        with worker.turn():
            worker.claim()
        with closing(open_store(tmp_path / "new.db")) as target:
            copy_store(source, target)
        with pytest.raises(Fenced), worker.turn():
            pass


def test_what_was_asked_for_goes_with_the_copy(empty_store: str, tmp_path: Path) -> None:
    """Though no worker has taken it up: the copy publishes it."""
    shop = agency()
    with connect(shop, empty_store), shop.transaction() as tx:
        tx.start(TripRequested("t"), "s1")
    with closing(open_store(empty_store)) as source, closing(open_store(tmp_path / "copy.db")) as copied:
        copy_store(source, copied)
        assert [row.saga_id for row in copied.unpublished(0, 9)] == ["s1"]
        assert [entry.step for entry in copied.history("s1")] == ["start"]
