"""Which event a handler's parameter gets, and which of two compensations is called."""

from __future__ import annotations

from typing import Any

from choreo import Aborted, Context, Earlier, Participant, event
from choreo.worker.dead_letters import settle
from tests.worker import rig as rigs
from tests.worker.conftest import Rigs
from tests.worker.provider import until
from tests.worker.services import hotel, prepare
from tests.worker.trip import (
    EVENTS,
    FlightBooked,
    FlightCancelled,
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


def test_an_earlier_event_is_given_and_calls_nothing(rig: Rigs) -> None:
    """After a restart, too, and whatever has come since."""
    seen: list[Any] = []
    participant = Participant("ticket", sagas=[trip], prepare=prepare)

    @participant.action(kind="retriable")
    def send(flight: FlightBooked, asked: Earlier[TripRequested], ctx: Context) -> TripBooked:
        seen.append((flight, asked))
        return TripBooked(asked.trip)

    shop = rig(participant)
    shop.feed(TripRequested("t"), HotelBooked("t"))
    assert seen == []
    shop.restart()
    shop.feed(FlightBooked("u"))
    assert seen == [(FlightBooked("u"), TripRequested("t"))]


def test_a_call_an_observer_and_a_compensation_are_given_earlier_events(rig: Rigs) -> None:
    """One of several, or None where none has come."""
    seen: list[Any] = []
    participant = Participant("hotel", sagas=[trip], prepare=prepare)

    @participant.action(fails=FlightFull, partial=False)
    async def fly(event: HotelBooked, asked: Earlier[TripRequested]) -> FlightBooked:
        seen.append(asked)
        return FlightBooked(asked.trip)

    @participant.compensation(of=fly)
    def land(
        event: Aborted, booked: FlightBooked, either: Earlier[TripRequested | HotelFull], ctx: Context
    ) -> FlightCancelled:
        seen.append(either)
        return FlightCancelled(booked.trip)

    @participant.observer
    def look(event: FlightBooked, full: Earlier[HotelFull] | None) -> None:
        seen.append(full)

    shop = rig(participant)
    shop.feed(TripRequested("t"), HotelBooked("t"))
    until(shop, lambda: len(seen) == 2)
    shop.feed(HotelFull("t", "late"), step="elsewhere", id="x")
    until(shop, lambda: len(seen) == 3)
    assert seen == [TripRequested("t"), None, TripRequested("t")]


def test_an_earlier_event_that_has_not_come_is_a_dead_letter(rig: Rigs) -> None:
    """It says which, and how to allow it."""
    participant = Participant("ticket", sagas=[trip], prepare=prepare)

    @participant.action(kind="retriable")
    def send(flight: FlightBooked, hotel: Earlier[HotelBooked]) -> TripBooked:
        return TripBooked(hotel.trip)

    shop = rig(participant)
    shop.feed(TripRequested("t"), FlightBooked("t"))
    (letter,) = shop.letters()
    assert "trip.HotelBooked has not come before" in letter.detail
    shop.feed(HotelBooked("t"))
    assert shop.published() == []
    assert settle(shop.store, letter, "requeued", "", 0)
    shop.restart()
    assert shop.published() == [TripBooked("t")]


def test_a_void_event_never_came(rig: Rigs) -> None:
    """The first outcome of a step is its outcome (R3)."""
    participant = Participant("ticket", sagas=[trip], prepare=prepare)

    @participant.observer
    def look(event: TripFailed, hotel: Earlier[HotelBooked] | None, ctx: Context) -> None:
        ctx.db.execute("insert into effects values (?, ?)", [ctx.saga_id, str(hotel)])

    shop = rig(participant)
    shop.feed(TripRequested("t"), HotelFull("t", "full"), HotelBooked("t"), TripFailed("t", "full"))
    assert shop.effects() == ["None"]
