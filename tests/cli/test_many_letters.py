"""Any number of dead letters of any size: listed, removed once they are settled, erased with their saga."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from itertools import product
from pathlib import Path

import pytest

from choreo.audit.retention import erase
from choreo.records import DeadLetter, LetterState, Scheduled
from choreo.store.sqlite.store import SQLiteStore
from tests.cli.command import invoke
from tests.store.conformance import ended, entry

BODY = b"ada" * 100_000
LETTER = DeadLetter("gave-up", "no", 7, "s1", "shop", "action", "shop.pay", "e1", value=BODY, edited=BODY)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SQLiteStore]:
    monkeypatch.chdir(tmp_path)
    with closing(SQLiteStore(tmp_path / "shop.db")) as store:
        store.bind("cluster", "shop")
        yield store


def add(store: SQLiteStore, *letters: DeadLetter) -> None:
    with store.turn():
        for letter in letters:
            store.add_dead_letter(letter)


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_body_is_loaded_to_list_letters(store: SQLiteStore, form: str) -> None:
    """300 letters of 600 KB are listed in a few MB; JSON has them all."""
    add(store, *[LETTER._replace(saga_id=f"s{n}") for n in range(300)])
    invoke("dlq", "list", "--format", form)
    tracemalloc.start()
    try:
        result = invoke("dlq", "list", "--format", form)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
    if form == "json":
        told = json.loads(result.stdout)
        assert [each["saga_id"] for each in told] == [f"s{n}" for n in range(300)]
        assert all(each["edited"] for each in told)
    else:
        assert "300" in result.stdout
    assert invoke("dlq", "requeue", "--all", "--dry-run").exit_code == 0


def test_an_empty_list_is_json(store: SQLiteStore) -> None:
    assert json.loads(invoke("dlq", "list", "--format", "json").stdout) == []


STATES: tuple[LetterState, ...] = ("open", "requeued", "discarded")
SAGAS = ("", "done", "going", "due")


def test_settled_letters_can_be_removed(store: SQLiteStore) -> None:
    """Those that nobody needs any more; a dry run only says so, and nothing is done unasked."""
    with store.turn():
        store.append([ended("done"), ended("due"), entry("going"), ended("going", saga_type="other")])
        store.schedule([Scheduled("due", "shop", "action", "pay", "e", 1)])
    states = [(state, saga, at) for state, saga, at in product(STATES, SAGAS, (1, 2**50))]
    add(
        store,
        *(
            LETTER._replace(saga_id=saga, saga_type="shop" if saga else "", state=state, closed_at=at)
            for state, saga, at in states
        ),
    )
    left = [each for each in states if each[0] == "open" or each[1] in ("going", "due") or each[2] > 1]
    told = f"{len(states) - len(left)} dead letters"
    assert told in invoke("dlq", "prune", "--older-than", "1d", "--dry-run").stdout
    assert len(store.letters(0, 100)) == len(states)
    assert told in invoke("dlq", "prune", "--older-than", "1d", "--yes").stdout
    assert [(each.state, each.saga_id, each.closed_at) for each in store.letters(0, 100)] == left


def test_letters_of_records_that_could_not_be_read_are_erased_with_their_saga(store: SQLiteStore) -> None:
    """By their key; those of other keys keep their bodies, and so do imports that may be tried again."""
    with store.turn():
        store.append([ended("s1"), ended("s1", saga_type="other")])
    record = LETTER._replace(saga_id="", saga_type="", reason="unreadable-headers")
    imported = record._replace(saga_type="shop", task="import", key=b"s1")
    add(store, *(record._replace(key=key) for key in (b"s1", b"s2", b"", None)), imported)
    add(store, imported._replace(state="requeued"))
    assert sum(each.removed for each in erase(store, ["s1"], dry_run=True)) == 4  # of each type
    assert sum(each.removed for each in erase(store, ["s1"])) == 2
    bodies = [each.value is not None for each in store.dead_letters()]
    assert bodies == [False, True, True, True, True, False]
    assert [each.removed for each in erase(store, ["s2", "s3"])] == [1]
    assert invoke("log", "erase", "s2", "--yes").exit_code == 1, "nothing is known of it any more"
