"""Which event a handler's parameter gets, and which of two compensations is called."""

from __future__ import annotations

from typing import Any

from choreo import Context, Participant, event
from tests.worker import rig as rigs
from tests.worker.conftest import Rigs
from tests.worker.services import hotel, prepare
from tests.worker.trip import (
    EVENTS,
    FlightBooked,
    FlightFull,
    HotelBooked,
    HotelCancelled,
    HotelFull,
    TripBooked,
    TripFailed,
    TripRequested,
    trip,
)


@event(namespace="trip")
class TentPitched:
    trip: str


@event(namespace="trip")
class TentStruck:
    trip: str


def test_a_parameter_that_may_be_none_is_none_where_there_is_no_such_event(rig: Rigs) -> None:
    """And the event where it has come."""
    seen: list[Any] = []
    participant = Participant("ticket", sagas=[trip], prepare=prepare)

    @participant.observer(on=HotelBooked | FlightBooked)
    def look(hotel: HotelBooked | None, flight: FlightBooked | None, ctx: Context) -> None:
        seen.append((hotel, flight))

    shop = rig(participant)
    shop.feed(HotelBooked("t"), FlightBooked("t"))
    assert seen == [(HotelBooked("t"), None), (HotelBooked("t"), FlightBooked("t"))]


def test_a_compensation_that_no_event_it_takes_has_called_is_a_dead_letter(rig: Rigs) -> None:
    """Somebody else's deadline has called it, and its type does not admit an `Aborted`."""
    shop = rig(hotel())
    shop.append(TripRequested("t"))
    shop.feed(HotelFull("t", "late"), outcome="timed_out", source="agency", id="x")
    (letter,) = shop.letters()
    assert (letter.reason, letter.task, letter.name) == ("unreadable-body", "compensation", "hotel.book")
    assert "no event for parameter 'event'" in letter.detail


def test_a_join_is_given_all_of_its_events(rig: Rigs) -> None:
    """In whichever order they came, and after a restart between them."""
    seen: list[Any] = []
    participant = Participant("ticket", sagas=[trip], prepare=prepare)

    @participant.action(kind="retriable")
    def send(hotel: HotelBooked, flight: FlightBooked, ctx: Context) -> TripBooked:
        seen.append((hotel, flight))
        return TripBooked(hotel.trip)

    shop = rig(participant)
    shop.feed(TripRequested("t"), FlightBooked("t"))
    shop.restart()
    assert seen == []
    shop.feed(HotelBooked("u", room=7))
    assert seen == [(HotelBooked("u", room=7), FlightBooked("t"))]


def test_each_success_event_has_its_own_compensation(rig: Rigs, monkeypatch: Any) -> None:
    """Told apart by the type of its result parameter."""
    monkeypatch.setattr(rigs, "EVENTS", (*EVENTS, TentPitched, TentStruck))
    participant = Participant("hotel", sagas=[trip], prepare=prepare)

    @participant.action(fails=HotelFull)
    def book(event: TripRequested, ctx: Context) -> HotelBooked | TentPitched:
        return TentPitched(event.trip) if event.trip == "camp" else HotelBooked(event.trip)

    @participant.compensation(of=book)
    def cancel(event: FlightFull, booked: HotelBooked, ctx: Context) -> HotelCancelled:
        return HotelCancelled(booked.trip)

    @participant.compensation(of=book)
    def strike(event: FlightFull, pitched: TentPitched, ctx: Context) -> TentStruck:
        return TentStruck(pitched.trip)

    shop = rig(participant)
    shop.feed(TripRequested("camp"))
    shop.feed(FlightFull("camp", "full"))
    shop.feed(TripRequested("t"), FlightFull("t", "full"), saga_id="s2")
    assert shop.published() == [TentPitched("camp"), TentStruck("camp")]
    assert shop.published("s2") == [HotelBooked("t"), HotelCancelled("t")]
    shop.feed(TripFailed("camp", "x"))
    assert shop.saga().end == "failed"
