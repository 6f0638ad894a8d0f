"""Starts in a session of the service's own: with its rows, or not at all, on either store."""

# ruff: noqa: PT012 (what raises is the leaving of a block, so the block is longer than a statement)

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from choreo import Participant, connect
from choreo.errors import StoreError
from tests.client import postgresql_sessions, sessions
from tests.client.places import KINDS, KINDS_OF_POSTGRESQL, WISHES, Place
from tests.client.sessions import Opened, Undone, Way
from tests.worker.services import agency
from tests.worker.trip import TripCancelled, TripRequested

_ALL = [("SQLite", each) for each in sessions.WAYS] + [
    ("PostgreSQL", each) for each in postgresql_sessions.WAYS
]
_SOME = [("SQLite", each) for each in KINDS] + [("PostgreSQL", each) for each in KINDS_OF_POSTGRESQL]
every_way = pytest.mark.parametrize("kind", _ALL, ids="-".join, indirect=True)
one_of_each = pytest.mark.parametrize("kind", _SOME, ids="-".join, indirect=True)


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Return the store and the way in which a session is opened."""
    store, way = request.param
    return store, way


@pytest.fixture
def place(request: pytest.FixtureRequest, kind: tuple[str, str], tmp_path: Path) -> Place:
    if kind[0] == "SQLite":
        return Place(tmp_path / "shop.db")
    return Place(request.getfixturevalue("empty_store"))


@pytest.fixture
def way(place: Place, kind: tuple[str, str]) -> Way:
    return place.ways[kind[1]]


@pytest.fixture
def shop(place: Place) -> Iterator[Participant]:
    participant = agency()
    with connect(participant, place.address).open():
        place.execute(WISHES)
        yield participant


def start(shop: Participant, opened: Opened, saga_id: str) -> None:
    opened.execute("insert into wishes values (?)", saga_id)
    with shop.transaction(within=opened.within) as tx:
        tx.start(TripRequested("t"), saga_id)


@every_way
def test_a_start_is_committed_with_the_session(shop: Participant, place: Place, way: Way) -> None:
    """It is seen in the block, by others after the commit; what was given is its ``db``."""

    def script(opened: Opened) -> None:
        start(shop, opened, "s1")
        with shop.transaction(within=opened.within) as tx:
            tx.start(TripRequested("t"), "s1")
            status = shop.status("s1")
            assert status is not None
            assert status.state == "started"
            assert tx.db is opened.within
        place.check_same()

    way(place.address, script)
    place.check_same("s1")


@every_way
def test_a_rollback_undoes_it(shop: Participant, place: Place, way: Way) -> None:
    """Of all, or to a savepoint; what was undone may be started again, and keeps its chain."""

    def savepoints(opened: Opened) -> None:
        start(shop, opened, "s1")
        for _ in range(2):
            with pytest.raises(Undone), opened.savepoint():
                start(shop, opened, "s2")
                with shop.transaction(within=opened.within) as tx:
                    tx.cancel("s1", TripCancelled("t"))
                raise Undone
        with opened.savepoint():
            start(shop, opened, "s3")
        start(shop, opened, "s2")

    def undone(opened: Opened) -> None:
        start(shop, opened, "s4")
        raise Undone

    way(place.address, savepoints)
    with pytest.raises(Undone):
        way(place.address, undone)
    place.check_same("s1", "s3", "s2")
    with connect(shop, place.address), shop.transaction() as tx:
        tx.cancel("s1", TripCancelled("t"))  # on the chain that was written through the session


@one_of_each
def test_an_exception_in_the_block_leaves_it_to_the_session(
    shop: Participant, place: Place, way: Way
) -> None:
    """Caught, it undoes nothing: what is started goes with the rows that the service has written."""

    def caught(opened: Opened) -> None:
        with pytest.raises(ZeroDivisionError), shop.transaction(within=opened.within) as tx:
            opened.execute("insert into wishes values ('s1')")
            tx.start(TripRequested("t"), "s1")
            _ = 1 / 0
        start(shop, opened, "s2")

    way(place.address, caught)
    place.check_same("s1", "s2")


@one_of_each
def test_no_half_of_a_start_stays(shop: Participant, place: Place, way: Way) -> None:
    """Where the database refuses a row of it, and the service catches that."""
    place.refuse("bad")

    def script(opened: Opened) -> None:
        start(shop, opened, "s1")
        with pytest.raises(StoreError, match="no room"), shop.transaction(within=opened.within) as tx:
            tx.start(TripRequested("t"), "bad")
        start(shop, opened, "s2")

    way(place.address, script)
    place.check_same("s1", "s2")
