"""The scenario of `choreo demo travel`: a trip that is booked, and one for each way in which it isn't."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from urllib.request import urlopen

from sqlite_utils import Database

from ..travel.agency import agency, cancel_trip, request_trip
from ..travel.airline import Airline, serving
from ..travel.car import car
from ..travel.contract import TripRequested
from ..travel.flight import flight
from ..travel.hotel import hotel
from . import Case, Check, Scenario


def trip(
    trip_id: str,
    traveller: str = "ada",
    hotel: str = "Grand",
    flight: str = "CH 1",
    car: str = "compact",
    cancel_after: float | None = None,
) -> Callable[[], str]:
    def begin() -> str:
        request_trip(TripRequested(trip_id, traveller, hotel, flight, car))
        if cancel_after is not None:
            time.sleep(cancel_after)
            cancel_trip(trip_id)
        return trip_id

    return begin


def ask_airline() -> Mapping[str, str]:
    """Ask the airline for its bookings."""
    with urlopen(f"http://{os.environ['AIRLINE']}/bookings", timeout=10) as answer:
        bookings: dict[str, str] = json.load(answer)
    return bookings


def balance(
    databases: Mapping[str, Database], bookings: Callable[[], Mapping[str, str]] = ask_airline
) -> Iterator[Check]:
    """Compare what the agency, the hotel, the airline and the car rental have in their books."""
    status = dict(databases["agency"].execute("select trip_id, status from trips").fetchall())
    booked = {trip_id for trip_id, state in status.items() if state == "booked"}
    yield Check(
        "every trip is booked or failed",
        f"{len(booked)} booked, {len(status)} in all",
        set(status.values()) <= {"booked", "failed"},
    )
    yield _kept("rooms", databases["hotel"], "rooms", "stays", booked)
    yield _kept("cars", databases["car"], "cars", "rentals", booked)
    seats = set(bookings())
    yield Check("the airline keeps seats for booked trips only", f"{len(seats)} seats", seats == booked)
    yield _money(databases["agency"], booked)


def _kept(what: str, db: Database, stock: str, taken: str, booked: set[str]) -> Check:
    """Compare what is free and what is taken with what there was."""
    (free,) = db.execute(f"select sum(free) from {stock}").fetchone()
    kept = {trip_id for (trip_id,) in db.execute(f"select trip_id from {taken}").fetchall()}
    return Check(
        f"{what}: free and taken are what there was, taken for booked trips only",
        f"{free:,} + {len(kept)} = {free + len(kept):,}",
        free + len(kept) == 100_000 and kept == booked,
    )


def _money(db: Database, booked: set[str]) -> Check:
    (left,) = db.execute("select sum(money) from purses").fetchone()
    (paid,) = db.execute("select coalesce(sum(paid), 0) from trips").fetchone()
    payers = {trip_id for (trip_id,) in db.execute("select trip_id from trips where paid > 0").fetchall()}
    return Check(
        "money: purses and payments are what there was, paid for booked trips only",
        f"{left:,} + {paid:,} = {left + paid:,} cents",
        left + paid == 100_000_100 and payers == booked,
    )


scenario = Scenario(
    participants=[agency, hotel, flight, car],
    cases=[
        Case("A trip that is booked, by three participants at once", trip("trip-1"), "completed"),
        Case("The hotel is full", trip("trip-2", hotel="Seaview"), "failed"),
        Case("The airline is full", trip("trip-3", flight="CH 2 full"), "failed"),
        Case("The traveller can't pay: all three are undone", trip("trip-4", traveller="bob"), "failed"),
        Case(
            "The airline is late: the seat it books in vain is cancelled",
            trip("trip-5", flight="CH 3 late"),
            "failed",
        ),
        Case(
            "The airline's answers get lost: the seat is cancelled before the step fails",
            trip("trip-6", flight="CH 5 mute"),
            "failed",
        ),
        Case(
            "The traveller cancels while the airline is still at it",
            trip("trip-7", flight="CH 4 slow", cancel_after=0.4),
            "failed",
        ),
    ],
    balance=balance,
    world=lambda: serving(Airline()),
)
