"""``participant.status`` and ``wait``: where a saga stands, and what it waits for."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from choreo import Participant, Permanent, Retry, Saga, connect
from choreo.errors import ConfigurationError, StoreError
from choreo.participant import Status, Wait
from choreo.worker import Options
from tests.worker.conftest import Rigs
from tests.worker.provider import Provider, asked, until
from tests.worker.provider import hotel as calling_hotel
from tests.worker.rig import NOON, Rig
from tests.worker.services import SECOND, Script, agency, flight, hotel, ticket
from tests.worker.test_deadlines import clerk
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
    trip,
)


def status(rigged: Rig, saga_id: str = "s1") -> Status:
    found = rigged.participant.status(saga_id)
    assert found is not None
    return found


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(NOON / 1000 + seconds, UTC)


def start(rigged: Rig) -> None:
    with rigged.participant.transaction() as tx:
        tx.start(TripRequested("t"), "s1")


def cancel(rigged: Rig) -> None:
    with rigged.participant.transaction() as tx:
        tx.cancel("s1", TripCancelled("t"))


def test_a_saga_never_heard_of_has_no_status(rig: Rigs) -> None:
    """Which is not the same as one that has begun."""
    assert rig(hotel()).participant.status("nobody") is None


def test_a_saga_has_a_status_as_soon_as_it_was_started(rig: Rigs) -> None:
    """Before any worker has published its first event; it waits for its end."""
    rigged = rig(agency())
    start(rigged)
    for _ in range(2):
        waits = (Wait("trip.TripBooked", "event"),)
        expected = Status("s1", "trip", "started", "start", {"start": "completed"}, "", waits, "none")
        assert status(rigged) == expected
        assert not status(rigged).is_ended
        rigged.settle()


def test_a_status_follows_the_saga_to_its_end(rig: Rigs) -> None:
    """The steps of others too, as the log tells them."""
    rigged = rig(ticket())
    rigged.feed(TripRequested("t"), HotelBooked("t"))
    told = status(rigged)
    assert (told.state, told.step) == ("pending", "hotel.book")
    assert told.steps == {"start": "completed", "hotel.book": "completed"}
    assert told.waits_for == (Wait("trip.FlightBooked", "event"),)
    rigged.feed(FlightBooked("t"))
    told = status(rigged)
    assert (told.state, told.step, told.waits_for, told.is_ended) == ("completed", "ticket.send", (), True)


def test_a_status_follows_the_rollback(rig: Rigs) -> None:
    """Which step failed, and what calls the compensation that is still to come."""
    rigged = rig(hotel())
    rigged.feed(TripRequested("t"), FlightBooked("t"))
    assert status(rigged).waits_for == (Wait("trip.TripBooked", "event"),)
    rigged.feed(FlightFull("t", "full"))
    told = status(rigged)
    assert (told.failed_step, told.waits_for) == ("", (Wait("trip.TripBooked", "event"),))

    rigged.feed(TripRequested("u"), FlightFull("u", "full"), saga_id="s2")
    told = status(rigged, "s2")
    assert (told.state, told.failed_step) == ("compensating", "flight.fly")
    assert (told.steps["hotel.book"], told.steps["flight.fly"]) == ("compensated", "failed")
    assert told.waits_for == (Wait("trip.TripFailed", "event"),)
    rigged.feed(TripFailed("u", "full"), saga_id="s2")
    assert (status(rigged, "s2").state, status(rigged, "s2").is_ended) == ("failed", True)


def test_a_retry_is_waited_for_until_its_time(rig: Rigs) -> None:
    """And then the event that comes after it."""
    rigged = rig(hotel(Script([OSError("busy")]), retry=Retry(attempts=2, delay=10 * SECOND)))
    rigged.feed(TripRequested("t"))
    (wait,) = status(rigged).waits_for
    due = rigged.due_in()
    assert due is not None
    assert wait == Wait("hotel.book", "retry", at(due))


def test_a_dead_letter_is_what_its_saga_waits_for(rig: Rigs) -> None:
    """It stays so until somebody mends it."""
    rigged = rig(hotel(cancel=Script(last=Permanent("no"))))
    rigged.feed(TripRequested("t"), FlightFull("t", "full"))
    assert len(rigged.letters()) == 1
    told = status(rigged)
    assert told.waits_for == (Wait("hotel.book", "dead-letter"),)
    assert told.steps["hotel.book"] == "compensating"


def test_a_deadline_tells_when_the_wait_is_over(rig: Rigs) -> None:
    """Beside the event that it watches for."""
    rigged = rig(clerk())
    rigged.feed(TripRequested("t"))
    assert set(status(rigged).waits_for) == {
        Wait("hotel.book", "deadline", at(60)),
        Wait("trip.TripBooked", "event"),
    }


def test_a_call_that_is_out_and_one_in_the_queue(rig: Rigs) -> None:
    """With one call at a time, the second waits for room."""
    provider = Provider()
    rigged = rig(calling_hotel(provider), options=Options(idle_seconds=0.0, calls=1))
    rigged.feed(TripRequested("t"))
    rigged.feed(TripRequested("u"), saga_id="s2")
    asked(rigged, provider)
    assert status(rigged).waits_for == (Wait("hotel.book", "executing"),)
    assert status(rigged, "s2").waits_for == (Wait("hotel.book", "queued"),)
    provider.answer(None, None)
    until(rigged, lambda: len(rigged.published("s2")) == 1)


def test_a_cancellation_is_requested_then_accepted(rig: Rigs) -> None:
    """Accepted once the log holds it."""
    rigged = rig(agency())
    start(rigged)
    rigged.settle()
    assert status(rigged).cancellation == "none"
    cancel(rigged)
    assert status(rigged).cancellation == "requested"
    rigged.settle()
    told = status(rigged)
    assert (told.cancellation, told.state) == ("accepted", "compensating")
    rigged.feed(HotelFull("t", "refused"))
    assert (status(rigged).cancellation, status(rigged).state) == ("accepted", "failed")


@pytest.mark.parametrize("before", [(TripBooked("t"),), (HotelFull("t", "x"),)], ids=["completed", "failed"])
def test_a_cancellation_after_the_end_came_too_late(rig: Rigs, before: tuple[Any, ...]) -> None:
    """It changes nothing, and says so."""
    rigged = rig(agency())
    start(rigged)
    rigged.settle()
    rigged.feed(*before)
    ended = status(rigged).state
    cancel(rigged)
    rigged.settle()
    assert (status(rigged).cancellation, status(rigged).state) == ("too-late", ended)


def test_a_cancellation_after_the_pivot_came_too_late(rig: Rigs) -> None:
    """The saga goes on, forward, and its state says so."""
    rigged = rig(agency())
    start(rigged)
    rigged.settle()
    rigged.feed(HotelBooked("t"))
    rigged.feed(FlightBooked("t"), kind="pivot")
    cancel(rigged)
    rigged.settle()
    told = status(rigged)
    assert (told.cancellation, told.state) == ("too-late", "pending")
    assert told.waits_for == (Wait("trip.TripBooked", "event"),)


def test_a_leaf_waits_for_the_failure_that_calls_it(rig: Rigs) -> None:
    """What has nothing after it is undone by the first failure, so only the end is left to wait for."""
    rigged = rig(flight())
    rigged.feed(TripRequested("t"), HotelBooked("t"))
    told = status(rigged)
    assert told.steps["flight.fly"] == "completed"
    assert told.waits_for == (Wait("trip.TripBooked", "event"),)


def test_sagas_of_two_types_with_one_id_are_told_apart(rig: Rigs) -> None:
    """Asking without saying which is refused."""
    again = Saga("again", starts=TripRequested, completes=TripBooked, fails=TripFailed, topic="again")
    participant = Participant("hotel", sagas=[trip, again])

    @participant.action(fails=HotelFull, saga=trip)
    def book(event: TripRequested) -> HotelBooked:
        return HotelBooked(event.trip)

    @participant.compensation(of=book)
    def undo(event: FlightFull | FlightCancelled, booked: HotelBooked) -> HotelCancelled:
        return HotelCancelled(booked.trip)

    rigged = rig(participant)
    rigged.feed(TripRequested("t"))
    assert status(rigged).saga_type == "trip"
    with rigged.store.turn():
        rigged.store.append([entry._replace(saga_type="again") for entry in rigged.history()])
    with pytest.raises(ConfigurationError, match="again, trip"):
        participant.status("s1")
    told = participant.status("s1", saga=again)
    assert told is not None
    assert told.saga_type == "again"


def test_wait_gives_the_end_when_it_comes(rig: Rigs) -> None:
    """From a thread, as of a web server, with a connection of its own."""
    rigged = rig(ticket())
    rigged.feed(TripRequested("t"), HotelBooked("t"))
    connect(rigged.participant, rigged.path)
    seen: list[Status | None] = []
    waiting = threading.Thread(
        target=lambda: seen.append(rigged.participant.wait("s1", timedelta(seconds=30)))
    )
    waiting.start()
    rigged.feed(FlightBooked("t"))
    waiting.join(30)
    assert [told.state for told in seen if told] == ["completed"]


def test_wait_gives_up_at_its_time_and_says_where_the_saga_stands(rig: Rigs) -> None:
    """Of one never heard of, None."""
    rigged = rig(ticket())
    rigged.feed(TripRequested("t"))
    told = rigged.participant.wait("s1", timedelta(milliseconds=5))
    assert told is not None
    assert told.state == "started"
    assert rigged.participant.wait("nobody", timedelta(0)) is None


def test_wait_inside_of_a_transaction_is_refused(rig: Rigs) -> None:
    """It holds the lock that the worker needs; afterwards it may."""
    rigged = rig(agency())
    with pytest.raises(StoreError, match="never see the end"), rigged.participant.transaction():
        rigged.participant.wait("s1", timedelta(seconds=1))
    assert rigged.participant.wait("s1", timedelta(0)) is None
