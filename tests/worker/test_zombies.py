"""A worker that was paused, and replaced, and goes on: it may not do anything any more.

It has read nothing since, so nothing that it reads tells it: what it remembers of its sagas is old.
"""

from __future__ import annotations

from typing import Any

import pytest

from choreo import Retry
from choreo.errors import Fenced
from choreo.ports import Taken
from tests.stores import in_postgresql
from tests.worker.conftest import Rigs
from tests.worker.provider import Hotel, Provider, asked, until
from tests.worker.rig import Rig
from tests.worker.services import SECOND, Script, hotel
from tests.worker.trip import FlightFull, HotelBooked, HotelCancelled, TripRequested


class Line:
    """A log whose line may be dead: then nothing comes, and nothing goes."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self.is_dead = False

    def take(self, limit: int, wait: float) -> Taken:
        """Take what comes."""
        return Taken((), (), ()) if self.is_dead else self._log.take(limit, wait)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


def replaced(rig: Rigs, shop: Rig) -> Rig:
    """Let a worker's line die, and start a second worker on its store, in a group that fences nobody."""
    shop.worker._log.is_dead = True  # type: ignore[attr-defined]
    second = rig(shop.participant, opened=False)
    second.broker, second.clock, second.path = shop.broker, shop.clock, shop.path
    second.wrap = lambda _: shop.broker.log("second")
    second.open()
    return second


def put_out(shop: Rig) -> None:
    """Let a replaced worker go on: on a store of its own it ends, else it goes on without its partitions."""
    if in_postgresql():
        for _ in range(20):
            assert shop.worker.turn() == 0
        return
    with pytest.raises(Fenced, match="another worker"):
        until(shop, lambda: False)


def test_the_result_of_a_call_that_was_out_is_not_taken(rig: Rigs, make: Hotel) -> None:
    """The one that took over has called again, with the same key; that result counts, alone."""
    provider = Provider()
    first = rig(make(provider), opened=False)
    first.wrap = Line  # type: ignore[assignment]
    first.open()
    first.feed(TripRequested("t"))
    asked(first, provider)
    second = replaced(rig, first)
    asked(second, provider, 2)
    provider.answer(None, None)
    until(second, lambda: bool(second.published()))
    put_out(first)
    ended = [entry for entry in second.history() if entry.input == "ended"]
    assert len(ended) == 1
    assert len(set(provider.keys)) == 1


def test_what_is_due_is_left_to_the_one_that_took_over(rig: Rigs) -> None:
    """It would take a compensation off the schedule, not knowing what called for it; and none would come."""
    busy = Script([ConnectionError("busy")])
    first = rig(hotel(cancel=busy, retry=Retry(attempts=3, delay=10 * SECOND)), opened=False)
    first.wrap = Line  # type: ignore[assignment]
    first.open()
    first.feed(TripRequested("t"))
    second = replaced(rig, first)
    second.feed(FlightFull("t", "full"))
    assert second.published() == [HotelBooked("t")]
    second.clock.advance(10)
    put_out(first)
    second.settle()
    assert second.published() == [HotelBooked("t"), HotelCancelled("t")]


def test_a_worker_that_starts_takes_the_store_over_each_time(rig: Rigs) -> None:
    """Whoever started last goes on; one that is stopped and started again is the last one."""
    first = rig(hotel(), opened=False)
    first.wrap = Line  # type: ignore[assignment]
    first.open()
    second = replaced(rig, first)
    first.restart()
    first.feed(TripRequested("t"))
    assert first.published() == [HotelBooked("t")]
    put_out(second)


@pytest.mark.skipif(in_postgresql(), reason="workers share a store there")
def test_of_two_that_start_at_once_the_replaced_one_does_not_join(rig: Rigs) -> None:
    """It would put the other out of the group, whose static members have one name; and both would end."""
    first = rig(hotel(), opened=False)
    second = rig(first.participant, opened=False)
    second.broker, second.clock, second.path = first.broker, first.clock, first.path

    class Starting(Line):
        def claim(self, store_id: str, is_new: bool) -> None:
            second.begin()

    first.wrap = Starting  # type: ignore[assignment]
    with pytest.raises(Fenced, match="another worker"):
        first.begin()
    second.settle()
    second.feed(TripRequested("t"))
    assert second.published() == [HotelBooked("t")]
