"""A partition that can't be read: the work of its own sagas waits, and nobody else's.

A participant has work due for a saga on each of two partitions, is started again, and the leader of one
partition is away: it was assigned and nothing comes, or it never begins, as nobody tells its watermarks.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from confluent_kafka.cimpl import murmur2

from choreo import Participant, Retry
from choreo.errors import StoreChanged, StoreUnavailable
from choreo.ports import Assignment
from choreo.records import Partition, Record
from choreo.testing.broker import MemoryLog
from tests.stores import in_postgresql
from tests.worker.conftest import Rigs
from tests.worker.provider import Provider, asked, until
from tests.worker.provider import hotel as calling_hotel
from tests.worker.rig import Rig
from tests.worker.services import Script, hotel
from tests.worker.test_deadlines import clerk
from tests.worker.trip import (
    FlightFull,
    HotelBooked,
    HotelCancelled,
    HotelLate,
    TripCancelled,
    TripRequested,
)

READ, UNREAD = (next(f"s{n}" for n in range(99) if murmur2(f"s{n}".encode(), 2) == each) for each in (0, 1))
SOON = Retry(attempts=5, delay=timedelta(minutes=1))


class Case:
    """Work that is due later, the event that is not read yet, and what is published in either saga."""

    def __init__(
        self, make: Callable[[], Participant], before: list[Any], unread: Any, then: Any, never: bool
    ) -> None:
        self.make, self.before, self.unread = make, before, unread
        self.then, self.never = then, never


def failing() -> Participant:
    """Return a hotel whose first attempt to book fails."""
    return hotel(Script([LookupError(), LookupError()]), retry=SOON)


def failing_to_cancel() -> Participant:
    """Return a hotel whose first attempt to cancel fails."""
    return hotel(cancel=Script([LookupError(), LookupError()]), retry=SOON)


CASES = {
    "deadline": Case(clerk, [TripRequested("t")], HotelBooked("t"), HotelLate, True),
    "retry": Case(failing, [TripRequested("t")], TripCancelled("t"), HotelBooked, True),
    "compensation": Case(
        failing_to_cancel,
        [TripRequested("t"), FlightFull("t", "full")],
        TripCancelled("t"),
        HotelCancelled,
        False,
    ),
}


class Leader:
    """The leader of partition 1, which may be away."""

    def __init__(self, rig: Rig, *, is_assigned: bool) -> None:
        self.is_away = True
        self._is_assigned = is_assigned
        self._waiting: list[Partition] = []
        self._rig = rig
        rig.wrap = self._wrap

    def _wrap(self, log: MemoryLog) -> MemoryLog:
        read, rebalance = log._next, self._rig.broker.rebalance

        def read_of_the_others(limit: int) -> list[Record]:
            away = [each for each in log._positions if each.number == 1 and self.is_away]
            kept = {each: log._positions.pop(each) for each in away}
            found = read(limit)
            log._positions.update(kept)
            return found

        def rebalance_later(*given: Any) -> Any:
            change = rebalance(*given)
            gained = [each for each in change.gained if each.partition.number == 0]
            self._waiting += [each.partition for each in change.gained if each.partition.number == 1]
            if not self.is_away:
                stored = [(each, self._rig.broker.partition(each)) for each in self._waiting]
                gained += [Assignment(each, found.low, found.high) for each, found in stored]
                self._waiting.clear()
            return change._replace(gained=gained)

        log._next = read_of_the_others  # type: ignore[method-assign]
        log.arriving = lambda: len(self._waiting)  # type: ignore[method-assign]
        if not self._is_assigned:
            self._rig.broker.rebalance = rebalance_later  # type: ignore[method-assign]
        return log


@pytest.mark.parametrize(
    ("name", "is_assigned"), [*product(CASES, (True, False))], ids=lambda each: str(each)
)
def test_only_its_own_sagas_wait(rig: Rigs, name: str, is_assigned: bool) -> None:
    """What is due on the other partition is done in time; here it is done as the log decides, later."""
    case = CASES[name]
    shop = rig(case.make(), opened=False, partitions=2)
    shop.open()
    for saga_id in (READ, UNREAD):
        for event in case.before:
            shop.feed(event, saga_id=saga_id)
    shop.close()
    shop.append(case.unread, UNREAD)
    leader = Leader(shop, is_assigned=is_assigned)
    shop.begin()
    shop.clock.advance(3600)
    for _ in range(20):
        shop.worker.turn()
    assert case.then in kinds(shop, READ)
    assert case.then not in kinds(shop, UNREAD)
    waiting = [row.lane for row in shop.store.scheduled(UNREAD, "trip")]
    # What no partition of its own holds is not even seen in PostgreSQL, where replicas share a store.
    is_seen = is_assigned or not in_postgresql()
    assert waiting == ["held-turn" if is_seen else "turn"]
    leader.is_away = False
    shop.settle()
    shop.clock.advance(3600)
    shop.settle()
    assert (case.then in kinds(shop, UNREAD)) != case.never
    assert shop.store.scheduled(UNREAD, "trip") == []


@pytest.mark.parametrize("is_assigned", [True, False])
def test_it_is_told_as_not_caught_up_with(rig: Rigs, is_assigned: bool) -> None:
    """Until it is read; also where nobody says how far there is to go, and the others are read."""
    shop = rig(clerk(), opened=False, partitions=2)
    shop.append(TripRequested("t"), UNREAD)
    leader = Leader(shop, is_assigned=is_assigned)
    shop.begin()
    for _ in range(20):
        shop.clock.advance(2)
        shop.worker.turn()
        assert shop.worker.progress.catching_up
    assert shop.worker.progress.catching_up == 1
    leader.is_away = False
    shop.settle()
    shop.clock.advance(2)
    shop.worker.turn()
    assert shop.worker.progress.catching_up == 0


@pytest.mark.parametrize("is_assigned", [True, False])
def test_a_call_that_was_under_way_at_a_crash_is_made_again(rig: Rigs, is_assigned: bool) -> None:
    """It waits until all else is done, but not for a partition that can't be read."""
    provider = Provider()
    shop = rig(calling_hotel(provider), opened=False, partitions=2)
    shop.open()
    shop.append(TripRequested("t"), READ)
    asked(shop, provider)
    shop.close()
    shop.append(TripRequested("t"), UNREAD)
    Leader(shop, is_assigned=is_assigned)
    shop.begin()

    def is_asked_again() -> bool:
        shop.clock.advance(0.05)
        return len(provider.keys) == 2

    until(shop, is_asked_again)
    provider.answer(None, None)
    until(shop, lambda: HotelBooked in kinds(shop, READ))


def test_held_work_is_let_go_by_the_next_start(rig: Rigs) -> None:
    """The process ends while its leader is away, and finds the partition read when it comes back."""
    shop = rig(clerk(), opened=False, partitions=2)
    shop.open()
    shop.feed(TripRequested("t"), saga_id=UNREAD)
    shop.close()
    shop.append(TripRequested("t"), READ)
    shop.append(TripCancelled("t"), UNREAD)
    Leader(shop, is_assigned=True)
    shop.begin()
    shop.clock.advance(3600)
    for _ in range(20):
        shop.worker.turn()
    shop.close()
    shop.wrap = lambda log: log
    shop.open()
    assert HotelLate in kinds(shop, UNREAD)


def kinds(shop: Rig, saga_id: str) -> list[type]:
    """Return the types of what was published for a saga."""
    return [type(each) for each in shop.published(saga_id)]


@pytest.mark.parametrize("failure", [StoreUnavailable, StoreChanged])
def test_what_was_held_goes_on_although_the_store_was_away_just_then(
    rig: Rigs, monkeypatch: pytest.MonkeyPatch, failure: type[StoreUnavailable]
) -> None:
    """As the partition went live; it does so once."""
    shop = rig(failing(), opened=False, partitions=2)
    shop.open()
    shop.feed(TripRequested("t"), saga_id=UNREAD)
    shop.close()
    shop.append(TripRequested("t"), READ)
    leader = Leader(shop, is_assigned=True)
    shop.append(TripRequested("t"), UNREAD)
    shop.begin()
    shop.clock.advance(3600)
    for _ in range(20):
        shop.worker.turn()
    let_go, failures = shop.store.let_go, [failure("away"), failure("away")]

    def away() -> None:
        if failures:
            raise failures.pop()
        let_go()

    monkeypatch.setattr(shop.store, "let_go", away)
    leader.is_away = False
    shop.settle()
    assert not failures
    assert not [row for row in shop.store.scheduled(UNREAD, "trip") if row.lane.startswith("held")]
    shop.clock.advance(3600)
    shop.settle()
    assert HotelBooked in kinds(shop, UNREAD)
