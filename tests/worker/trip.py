"""A small saga to try the worker with: a trip is requested, a hotel is booked, a flight, a ticket.

agency  TripRequested  ............  fail_trip      TripFailed
hotel   book           HotelBooked   cancel         HotelCancelled
flight  fly            FlightBooked  (a leaf)       FlightCancelled
ticket  send           TripBooked    (retriable)
"""

from __future__ import annotations

from choreo import Saga, event


@event(namespace="trip")
class TripRequested:
    trip: str


@event(namespace="trip")
class HotelBooked:
    trip: str
    room: int = 1


@event(namespace="trip")
class HotelFull:
    trip: str
    reason: str


@event(namespace="trip")
class HotelCancelled:
    trip: str
    reason: str = ""


@event(namespace="trip")
class HotelLate:
    trip: str


@event(namespace="trip")
class FlightLate:
    trip: str


@event(namespace="trip")
class FlightBooked:
    trip: str


@event(namespace="trip")
class FlightFull:
    trip: str
    reason: str


@event(namespace="trip")
class FlightCancelled:
    trip: str


@event(namespace="trip")
class TripBooked:
    trip: str


@event(namespace="trip")
class TripFailed:
    trip: str
    reason: str


@event(namespace="trip")
class TripCancelled:
    trip: str


EVENTS = (
    TripRequested,
    HotelBooked,
    HotelFull,
    HotelCancelled,
    HotelLate,
    FlightLate,
    FlightBooked,
    FlightFull,
    FlightCancelled,
    TripBooked,
    TripFailed,
    TripCancelled,
)

STEPS = {
    TripRequested: ("agency", "start", "succeeded", "start"),
    HotelBooked: ("hotel", "hotel.book", "succeeded", "compensatable"),
    HotelFull: ("hotel", "hotel.book", "failed", "compensatable"),
    HotelCancelled: ("hotel", "hotel.book", "compensated", "compensatable"),
    HotelLate: ("agency", "hotel.book", "timed_out", "compensatable"),
    FlightLate: ("agency", "flight.fly", "timed_out", "compensatable"),
    FlightBooked: ("flight", "flight.fly", "succeeded", "compensatable"),
    FlightFull: ("flight", "flight.fly", "failed", "compensatable"),
    FlightCancelled: ("flight", "flight.fly", "compensated", "compensatable"),
    TripBooked: ("ticket", "ticket.send", "succeeded", "retriable"),
    TripFailed: ("agency", "start", "compensated", "start"),
    TripCancelled: ("agency", "cancel", "succeeded", "cancellation"),
}
"""Who publishes each event: participant, step, outcome, kind."""

trip = Saga("trip", starts=TripRequested, completes=TripBooked, fails=TripFailed, aborts=TripCancelled)
