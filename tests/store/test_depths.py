"""What waits in a store, as its metrics tell it, on each database."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from choreo.records import DeadLetter, Depths
from choreo.store.opening import open_reader, open_store
from tests.store.conformance import scheduled, unpublished


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the place of a new store."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("empty_store"))
    return str(tmp_path / "shop.db")


def letter(reason: str) -> DeadLetter:
    return DeadLetter(reason, "", 7, "s1", "shop")


def test_what_waits_in_a_store_is_counted(place: str) -> None:
    with closing(open_store(place)) as store, open_reader(place) as reader:
        assert reader.depths() == Depths(0, 0, {}, {})
        with store.turn():
            first = unpublished("e1")._replace(headers="ce_id: e1\nce_time: 2026-01-31T12:00:00.5Z")
            store.enqueue([first, unpublished("e2")])
            store.schedule([scheduled("s1", 30), scheduled("s2", 20), scheduled("s3", 10, lane="call")])
            closed = store.add_dead_letter(letter("gave-up"))
            store.add_dead_letter(letter("gave-up"))
            store.add_dead_letter(letter("undecodable"))
            store.close_dead_letter(closed, "discarded", "", 5)
        lanes = {"call": (1, 10), "turn": (2, 20)}
        assert reader.depths() == Depths(2, 1_769_860_800_500, lanes, {"gave-up": 1, "undecodable": 1})
