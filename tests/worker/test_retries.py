"""Attempts that fail: repeated after a pause, or ended, and never in the way of other sagas."""

from __future__ import annotations

from datetime import timedelta

import pytest

from choreo import Permanent, Retry
from tests.worker.conftest import Rigs
from tests.worker.services import SECOND, Script, agency, hotel, ticket
from tests.worker.trip import (
    FlightBooked,
    FlightCancelled,
    FlightFull,
    HotelBooked,
    HotelCancelled,
    HotelFull,
    TripBooked,
    TripCancelled,
    TripFailed,
    TripRequested,
)

BUSY = ConnectionError("the hotel is busy; password=secret")
THRICE = Retry(attempts=3, delay=10 * SECOND)


def test_a_transient_error_is_retried_after_a_doubling_pause(rig: Rigs) -> None:
    """Exactly at its time, not a millisecond before; what the attempt wrote is undone."""
    book = Script([BUSY, BUSY])
    shop = rig(hotel(book, retry=THRICE))
    shop.feed(TripRequested("t"))
    assert shop.published() == []
    assert shop.effects() == []
    assert shop.state("hotel.book") == "executing"
    for pause in (10.0, 20.0):
        assert shop.due_in() == pause
        before = len(book.calls)
        shop.clock.advance(pause - 0.001)
        shop.settle()
        assert len(book.calls) == before
        shop.clock.advance(0.001)
        shop.settle()
        assert len(book.calls) == before + 1
    assert shop.published() == [HotelBooked("t")]
    assert shop.effects() == ["action"]
    assert shop.due_in() is None
    assert [ctx.attempt for ctx in book.calls] == [1, 2, 3]
    assert len({ctx.idempotency_key for ctx in book.calls}) == 1


def test_a_pause_survives_a_restart(rig: Rigs) -> None:
    """It stands in the schedule, with the attempts so far: a new worker goes on where the old one was."""
    book = Script([BUSY, BUSY])
    shop = rig(hotel(book, retry=THRICE))
    shop.feed(TripRequested("t"))
    shop.clock.advance(4)
    shop.restart()
    assert shop.due_in() == 6
    shop.clock.advance(6)
    shop.restart()
    assert [ctx.attempt for ctx in book.calls] == [1, 2]
    shop.clock.advance(20)
    shop.restart()
    assert [ctx.attempt for ctx in book.calls] == [1, 2, 3]
    assert shop.published() == [HotelBooked("t")]


def test_a_pause_blocks_no_other_saga(rig: Rigs) -> None:
    """Not even one on the same partition."""
    shop = rig(hotel(Script([BUSY])))
    shop.feed(TripRequested("t"))
    shop.feed(TripRequested("u"), saga_id="s2")
    assert shop.published("s1") == []
    assert shop.published("s2") == [HotelBooked("u")]


def test_exhausted_retries_become_the_failure_event(rig: Rigs) -> None:
    """With a reason that names the error's class: its text may hold what must not leave the service."""
    shop = rig(hotel(Script(last=BUSY), retry=THRICE))
    shop.feed(TripRequested("t"))
    for pause in (10, 20):
        shop.clock.advance(pause)
        shop.settle()
    assert shop.published() == [HotelFull("t", "gave up after 3 attempts: ConnectionError")]
    assert shop.state("hotel.book") == "failed"
    assert shop.effects() == []
    assert shop.due_in() is None
    assert shop.letters() == []


def test_a_permanent_error_becomes_the_failure_event_at_once(rig: Rigs) -> None:
    """Its text was chosen by the handler's author, and is the reason."""
    shop = rig(hotel(Script([Permanent("no rooms")])))
    shop.feed(TripRequested("t"))
    assert shop.published() == [HotelFull("t", "no rooms")]
    assert shop.effects() == []
    assert shop.due_in() is None


@pytest.mark.parametrize(
    ("text", "reason"), [("", "failed for good"), ("x" * 2000, "x" * 1000), ("\ud800", "?")]
)
def test_a_reason_can_be_published_whatever_it_is(rig: Rigs, text: str, reason: str) -> None:
    """Empty, too long, or half of a surrogate pair."""
    shop = rig(hotel(Script([Permanent(text)])))
    shop.feed(TripRequested("t"))
    assert shop.published() == [HotelFull("t", reason)]


def test_an_abort_ends_a_pause_without_another_attempt(rig: Rigs) -> None:
    """The step is refused, and answers: somebody may wait for it."""
    book = Script([BUSY])
    shop = rig(hotel(book))
    shop.feed(TripRequested("t"))
    shop.feed(TripCancelled("t"))
    assert shop.published() == [HotelFull("t", "the saga is aborted")]
    assert shop.due_in() is None
    shop.clock.advance(3600)
    shop.settle()
    assert len(book.calls) == 1


def test_a_retriable_action_is_retried_for_ever_with_a_capped_pause(rig: Rigs) -> None:
    """Long after the attempts that would end another one; 70 doublings would overflow a pause."""
    retry = Retry(attempts=2, delay=SECOND, longest=timedelta(seconds=30))
    send = Script([BUSY] * 80)
    shop = rig(ticket(send, retry))
    shop.feed(TripRequested("t"), HotelBooked("t"), FlightBooked("t"))
    pauses = []
    while (pause := shop.due_in()) is not None:
        pauses.append(pause)
        shop.clock.advance(pause)
        shop.settle()
    assert pauses[:7] == [1, 2, 4, 8, 16, 30, 30]
    assert len(pauses) == 80
    assert shop.published() == [TripBooked("t")]


def test_a_permanent_error_of_a_retriable_action_is_a_dead_letter(rig: Rigs) -> None:
    """It can't fail, and goes on when it is requeued; other sagas go on now."""
    shop = rig(ticket(Script([Permanent("no printer")])))
    shop.feed(TripRequested("t"), HotelBooked("t"), FlightBooked("t"))
    shop.feed(TripRequested("u"), HotelBooked("u"), FlightBooked("u"), saga_id="s2")
    (letter,) = shop.letters()
    assert letter.reason == "gave-up"
    assert letter.detail.startswith("no printer (tests/worker/services.py:")
    assert (letter.task, letter.name, letter.saga_id) == ("action", "ticket.send", "s1")
    assert letter.event_type == "trip.FlightBooked"
    assert shop.published("s1") == []
    assert shop.published("s2") == [TripBooked("u")]
    assert shop.saga().step("ticket.send").activity == "dead"


class NotFound(Exception):
    """The booking is gone already."""


class NotFoundForGood(Permanent):
    """The same, of an API whose errors are permanent."""


@pytest.mark.parametrize("gone", [NotFound, NotFoundForGood])
def test_what_is_gone_already_counts_as_compensated(rig: Rigs, gone: type[Exception]) -> None:
    """The runtime builds the compensated event from the trigger's fields."""
    shop = rig(hotel(cancel=Script([gone("404")]), ignore=(gone,)))
    shop.feed(TripRequested("t"), FlightFull("t", "full"))
    assert shop.published() == [HotelBooked("t"), HotelCancelled("t", "already gone")]
    assert shop.effects() == ["action"]
    assert shop.state("hotel.book") == "compensated"


def test_a_compensation_is_retried_and_then_a_dead_letter_that_stops_its_saga_only(rig: Rigs) -> None:
    """No compensation is skipped; nothing is published until somebody mends it."""
    cancel = Script([BUSY] * 3)
    shop = rig(hotel(cancel=cancel, retry=THRICE))
    shop.feed(TripRequested("t"), FlightFull("t", "full"))
    for pause in (10, 20):
        assert shop.due_in() == pause
        shop.clock.advance(pause)
        shop.restart()
    (letter,) = shop.letters()
    assert (letter.reason, letter.task, letter.name, letter.attempt) == (
        *("gave-up", "compensation", "hotel.book"),
        3,
    )
    assert letter.value == shop.codec.encode(FlightFull("t", "full"))
    assert shop.published() == [HotelBooked("t")]
    assert shop.state("hotel.book") == "compensating"
    assert shop.due_in() is None
    shop.feed(TripRequested("u"), FlightFull("u", "full"), saga_id="s2")
    assert shop.published("s2") == [HotelBooked("u"), HotelCancelled("u")]


def test_an_observer_that_backs_off_keeps_the_order_of_its_saga(rig: Rigs) -> None:
    """The second event waits for the first; another saga's doesn't."""
    shop = rig(agency(Script([None, BUSY]), retry=THRICE), partitions=4)
    shop.feed(HotelBooked("t"), saga_id="s0")
    shop.feed(HotelBooked("t"), FlightBooked("t"))
    shop.feed(HotelBooked("u"), saga_id="s2")
    assert shop.effects("s1") == []
    assert shop.effects("s2") == ["observer", "HotelBooked"]
    shop.feed(TripBooked("t"))
    shop.clock.advance(10)
    shop.restart()
    assert shop.effects("s1") == [
        "observer",
        "HotelBooked",
        "observer",
        "FlightBooked",
        "observer",
        "TripBooked",
    ]
    assert shop.due_in() is None


def test_an_observer_that_gives_up_skips_the_event_and_goes_on(rig: Rigs) -> None:
    """The event is a dead letter, the next one is looked at."""
    shop = rig(agency(Script([BUSY, BUSY]), retry=Retry(attempts=2, delay=SECOND)))
    shop.feed(HotelBooked("t"), FlightBooked("t"))
    shop.clock.advance(1)
    shop.settle()
    (letter,) = shop.letters()
    assert (letter.reason, letter.task, letter.event_type) == ("gave-up", "observer", "trip.HotelBooked")
    assert shop.effects() == ["observer", "FlightBooked"]
    assert shop.saga().observers == {}


def test_a_saga_that_failed_has_its_end_from_who_started_it(rig: Rigs) -> None:
    """The compensation of the start ends the saga in its `fails` event."""
    shop = rig(agency())
    with shop.participant.transaction() as tx:
        tx.start(TripRequested("t"), "s1")
    shop.settle()
    shop.feed(HotelBooked("t"), FlightFull("t", "full"), HotelCancelled("t"))
    assert shop.published() == [TripRequested("t"), TripFailed("t", "")]
    assert shop.saga().end == "failed"


def test_a_compensation_is_called_once(rig: Rigs) -> None:
    """Two events that call it make one call (R6)."""
    cancel = Script()
    shop = rig(hotel(cancel=cancel))
    shop.feed(TripRequested("t"), FlightFull("t", "full"), FlightCancelled("t"))
    assert len(cancel.calls) == 1
