"""What is repeated, refused or without effect is counted, once, when the turn is committed."""

from __future__ import annotations

from typing import Any

import pytest

from choreo import External, Participant, Retry
from choreo.errors import StoreUnavailable
from choreo.ports import Refusal
from tests.worker.conftest import Rigs
from tests.worker.provider import Provider, asked, until
from tests.worker.provider import hotel as calling_hotel
from tests.worker.rig import Rig
from tests.worker.services import SECOND, Script, hotel
from tests.worker.trip import (
    FlightFull,
    HotelBooked,
    HotelFull,
    TripCancelled,
    TripFailed,
    TripRequested,
    trip,
)

BUSY = ConnectionError("busy")
RETRIES, VOID = ("retries", "trip"), ("void", "trip")


def counted(rig: Rig) -> dict[tuple[str, str], int]:
    """Return what was counted."""
    return dict(rig.worker.progress.counted)


def test_an_attempt_that_is_to_be_repeated_is_counted(rig: Rigs) -> None:
    """The last one, which is not, isn't; nor is one that succeeds."""
    shop = rig(hotel(Script([BUSY, BUSY, BUSY]), retry=Retry(attempts=3, delay=10 * SECOND)))
    shop.feed(TripRequested("t"))
    assert counted(shop) == {RETRIES: 1}
    for pause in (10, 20):
        shop.clock.advance(pause)
        shop.settle()
    assert counted(shop) == {RETRIES: 2}


def test_a_call_that_is_to_be_repeated_is_counted(rig: Rigs) -> None:
    provider = Provider()
    shop = rig(calling_hotel(provider))
    shop.append(TripRequested("t"))
    asked(shop, provider)
    provider.answer(BUSY)
    until(shop, lambda: counted(shop) == {RETRIES: 1})


def test_an_event_without_effect_is_counted(rig: Rigs) -> None:
    """Not one that only comes again."""
    shop = rig(hotel())
    for event in (TripRequested("t"), FlightFull("t", "full"), TripFailed("t", "full"), TripRequested("t")):
        shop.feed(event)
    assert counted(shop) == {}
    shop.feed(TripCancelled("t"))
    assert counted(shop) == {VOID: 1}


def test_a_step_of_a_saga_that_was_aborted_is_refused(rig: Rigs) -> None:
    shop = rig(hotel())
    shop.append(TripRequested("t"))
    shop.append(TripCancelled("t"))
    shop.settle()
    shop.feed(TripCancelled("u"), TripRequested("u"), saga_id="s2")
    refused = [shop.state("hotel.book", each) for each in ("s1", "s2")].count("refused")
    assert refused
    assert counted(shop) == {("refused", "step"): refused}


def test_an_outcome_that_the_store_never_produced_is_refused(rig: Rigs) -> None:
    shop = rig(hotel(Script([BUSY])))
    shop.feed(TripRequested("t"), HotelBooked("t"))
    assert counted(shop) == {RETRIES: 1, ("refused", "outcome"): 1}


def test_a_record_that_cannot_be_read_is_refused(rig: Rigs) -> None:
    shop = rig(hotel())
    shop.broker.append("trip", b"s1", [], b"")
    shop.settle()
    assert counted(shop) == {("refused", "record"): 1}


def test_a_record_that_cannot_be_imported_is_refused(rig: Rigs) -> None:
    participant = Participant(
        "office",
        sagas=[trip],
        external=[External(HotelBooked, topic="chain", saga_id=lambda event: event.trip)],
    )
    office = rig(participant, opened=False)
    office.broker.create_topic("chain", 1)
    office.open()
    office.broker.append("chain", b"any", [("ce_type", b"trip.HotelBooked")], b"\xff")
    office.settle()
    assert counted(office) == {("refused", "record"): 1}


@pytest.mark.parametrize("error", [StoreUnavailable("away"), RuntimeError("of an item")])
def test_a_turn_that_is_rolled_back_counts_nothing(
    rig: Rigs, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """It is done again, at once or item by item, and counted then."""
    shop = rig(hotel(Script(last=BUSY)))
    shop.settle()
    advance, errors = shop.store.advance, [error, error]

    def lost(*given: Any) -> None:
        if errors:
            assert counted(shop) == {}
            raise errors.pop()
        advance(*given)

    monkeypatch.setattr(shop.store, "advance", lost)
    shop.append(TripRequested("t"))
    shop.append(HotelFull("t", "none"))
    shop.broker.append("trip", b"s1", [], b"")
    shop.settle()
    assert not errors
    assert counted(shop)[RETRIES] == 1
    assert counted(shop)["refused", "record"] == 1


def test_what_the_topic_refuses_is_counted_once_by_a_careful_worker(
    rig: Rigs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its store was away as the answer came, which is taken again."""
    shop = rig(hotel())
    shop.settle()
    monkeypatch.setattr(shop.worker._publishing, "publish", lambda **_: None)
    shop.append(TripRequested("t"))
    shop.settle()
    (row,) = shop.store.unpublished(0, 10)
    shop.worker._uncommitted.refused.append(Refusal(row.seq, "too large"))
    refused, errors = shop.worker._processor.refuse, [StoreUnavailable("away")]

    def lost(refusal: Refusal) -> None:
        refused(refusal)
        if errors:
            raise errors.pop()

    monkeypatch.setattr(shop.worker._processor, "refuse", lost)
    shop.worker._careful.begin(3)
    shop.worker.turn()
    shop.worker.turn()
    assert counted(shop) == {("refused", "publication"): 1}
    assert len(shop.letters()) == 1
    assert shop.saga() == shop.saga_in_memory()


def test_what_was_counted_stays_as_it_was_read(rig: Rigs) -> None:
    """As another thread goes through it meanwhile."""
    shop = rig(hotel(Script([BUSY, BUSY])))
    before = shop.worker.progress.counted
    shop.feed(TripRequested("t"))
    assert before == {}
    assert counted(shop) == {RETRIES: 1}
