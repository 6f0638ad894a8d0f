"""A saga whose rows were pruned is over for good: nothing that comes late, or again, starts anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from choreo.records import SagaKey
from tests.stores import open_store
from tests.worker.rig import Rig
from tests.worker.services import agency, flight, hotel, ticket
from tests.worker.trip import (
    FlightBooked,
    FlightFull,
    FlightLate,
    HotelBooked,
    HotelCancelled,
    HotelFull,
    TripBooked,
    TripCancelled,
    TripFailed,
    TripRequested,
)

PARTICIPANTS = {"agency": agency, "hotel": hotel, "flight": flight, "ticket": ticket}
REQUESTED = TripRequested("t")
GOOD = (REQUESTED, HotelBooked("t"), FlightBooked("t"), TripBooked("t"))
BAD = (REQUESTED, HotelBooked("t"), FlightFull("t", "full"), HotelCancelled("t"), TripFailed("t", "full"))


def prune(rig: Rig) -> None:
    """Prune the saga from another process."""
    other = open_store(rig.path)
    with other.turn():
        assert other.saga_log.prune(SagaKey("s1", "trip"), rig.clock.now()) > 1
    other.close()


CASES = [(name, "completed") for name in PARTICIPANTS] + [("agency", "failed"), ("hotel", "failed")]


@pytest.fixture(params=CASES, ids="-".join)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """Return a participant that has seen a saga to its end, and published its own part of it."""
    name, end = request.param
    rig = Rig(PARTICIPANTS[name](), tmp_path)
    rig.open()
    others = {"agency": (TripRequested, TripFailed), "hotel": (HotelBooked, HotelCancelled)}
    own = {**others, "flight": (FlightBooked,), "ticket": (TripBooked,)}[name]
    for event in GOOD if end == "completed" else BAD:
        if event is REQUESTED and name == "agency":
            with rig.participant.transaction() as tx:
                tx.start(REQUESTED, saga_id="s1")
            rig.settle()
        elif not isinstance(event, own):
            rig.feed(event)
    assert rig.saga().end == end, rig.history()
    yield rig
    rig.close()


@pytest.mark.parametrize("in_memory", [True, False])
def test_every_event_comes_again_and_late_ones_for_the_first_time(rig: Rig, in_memory: bool) -> None:
    """Whether or not the worker still has the saga in its memory: no effect, no event, no dead letter."""
    effects, published = rig.effects(), rig.published()
    prune(rig)
    if not in_memory:
        rig.restart()
    state = rig.saga().state
    for record, _ in rig.records():
        rig.broker.repeat(record)
    rig.settle()
    late = {"hotel": FlightFull("t", "late"), "flight": HotelFull("t", "late")}
    first = late.get(rig.participant.name, HotelFull("t", "late"))
    rig.feed(first)
    rig.feed(FlightLate("t"), TripCancelled("t"), source="else")
    rig.restart()
    # What it published stands in the log twice now: once by itself, once by the test.
    assert (rig.effects(), rig.published(), rig.letters()) == (effects, published * 2, [])
    assert rig.saga().state == state
    if not in_memory:
        assert len(rig.history()) == 1


def test_its_own_events_come_again_to_a_new_worker(rig: Rig) -> None:
    """It isn't taken for one whose store never produced them."""
    prune(rig)
    rig.restart()
    for record in rig.records_of(rig.participant.name):
        rig.broker.repeat(record)
    rig.settle()
    assert [entry.input for entry in rig.history()] == ["pruned"]


def test_it_can_not_be_started_or_cancelled_again(tmp_path: Path) -> None:
    """A given saga id starts one saga, ever; its status still says how it ended."""
    rig = Rig(agency(), tmp_path)
    rig.open()
    with rig.participant.transaction() as tx:
        tx.start(REQUESTED, saga_id="s1")
    rig.settle()
    rig.feed(*GOOD[1:])
    prune(rig)
    rig.restart()
    before = len(rig.records())
    with rig.participant.transaction() as tx:
        assert tx.start(REQUESTED, saga_id="s1") == "s1"
        tx.cancel("s1", TripCancelled("t"))
    rig.settle()
    assert len(rig.records()) == before
    status = rig.participant.status("s1")
    assert status is not None
    assert (status.state, status.is_ended, status.steps, status.waits_for) == ("completed", True, {}, ())
    rig.close()
