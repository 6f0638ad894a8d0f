"""A cancellation of a saga that never starts: kept, shown as such, and removed like one that has ended."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from choreo.audit.retention import prune
from choreo.participant import Wait
from choreo.store.sqlite.reader import StoreReader
from choreo.timeline.selection import Filter, Timelines, is_stuck
from tests.worker.conftest import Rigs
from tests.worker.rig import Rig
from tests.worker.services import agency, hotel
from tests.worker.trip import HotelFull, TripCancelled, TripFailed, TripRequested

DAY = 86_400_000


def by_its_starter(rigged: Rig) -> None:
    with rigged.participant.transaction() as tx:
        tx.cancel("s1", TripCancelled("t"))
    rigged.settle()


def by_its_starter_again(rigged: Rig) -> None:
    by_its_starter(rigged)
    by_its_starter(rigged)


def by_another(rigged: Rig) -> None:
    rigged.feed(TripCancelled("t"), source="desk")


def by_both(rigged: Rig) -> None:
    by_another(rigged)
    by_its_starter(rigged)


WAYS: list[Callable[[Rig], None]] = [by_its_starter, by_its_starter_again, by_another, by_both]


def pruned(rigged: Rig, *, dry_run: bool = False) -> int:
    now = rigged.clock.now()
    return sum(not each.kept for each in prune(rigged.store, now - DAY, now, dry_run=dry_run))


@pytest.mark.parametrize("participant", [agency, hotel])
@pytest.mark.parametrize("way", WAYS)
def test_what_never_starts_waits_for_its_start_and_is_pruned_by_its_age(
    rig: Rigs, participant: Callable[[], object], way: Callable[[Rig], None]
) -> None:
    """Nobody has to act for it, and after it is pruned nothing starts under its id."""
    rigged = rig(participant())
    way(rigged)
    status = rigged.participant.status("s1")
    assert status is not None
    assert status.waits_for == (Wait("trip.TripRequested", "event"),)
    assert (status.cancellation, status.is_ended) == ("accepted", False)
    with StoreReader(rigged.path) as reader:
        (shown,) = Timelines([reader], {}, rigged.clock.now() + DAY).chosen(Filter())
        assert not is_stuck(shown, 1)
        assert [wait.why for wait in shown.waits] == ["start"]

    assert pruned(rigged) == 0
    rigged.clock.advance(2 * DAY / 1000)
    assert pruned(rigged, dry_run=True) == 1
    assert pruned(rigged) == 1
    assert pruned(rigged) == 0
    rigged.restart()
    way(rigged)
    rigged.feed(TripRequested("t"), TripFailed("t", "no"))
    ended = rigged.participant.status("s1")
    assert ended is not None
    assert (ended.state, ended.is_ended) == ("failed", True)
    assert [entry.input for entry in rigged.history()] == ["pruned"]


@pytest.mark.parametrize("way", WAYS)
def test_a_saga_that_has_begun_is_never_pruned_before_its_end(rig: Rigs, way: Callable[[Rig], None]) -> None:
    """Whether it was cancelled before its start, or after."""
    rigged = rig(agency())
    way(rigged)
    with rigged.participant.transaction() as tx:
        tx.start(TripRequested("t"), "s1")
    rigged.settle()
    rigged.clock.advance(2 * DAY / 1000)
    assert pruned(rigged) == 0
    status = rigged.participant.status("s1")
    assert status is not None
    assert status.state == "compensating"
    rigged.feed(HotelFull("t", "refused"))
    rigged.clock.advance(2 * DAY / 1000)
    assert pruned(rigged) == 1


def test_a_cancellation_that_is_not_published_yet_is_not_pruned(rig: Rigs) -> None:
    """However old it is."""
    rigged = rig(agency())
    with rigged.participant.transaction() as tx:
        tx.cancel("s1", TripCancelled("t"))
    rigged.clock.advance(2 * DAY / 1000)
    assert pruned(rigged) == 0
    rigged.settle()
    assert rigged.published() == [TripCancelled("t")]
