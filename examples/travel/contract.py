"""The contract: the events of a trip, and how the saga starts, ends and is cancelled. Prices are in cents."""

from choreo import Saga, event


@event(namespace="travel")
class TripRequested:
    """Somebody wants to go away."""

    trip_id: str
    traveller: str
    hotel: str
    flight: str
    car: str


@event(namespace="travel")
class RoomBooked:
    """There is a room for the traveller."""

    trip_id: str
    price: int


@event(namespace="travel")
class RoomUnavailable:
    """The hotel is full."""

    trip_id: str
    reason: str


@event(namespace="travel")
class RoomTimedOut:
    """The hotel has not answered in time."""

    trip_id: str


@event(namespace="travel")
class RoomCancelled:
    """The room is free again."""

    trip_id: str


@event(namespace="travel")
class SeatBooked:
    """The airline keeps a seat."""

    trip_id: str
    price: int


@event(namespace="travel")
class SeatUnavailable:
    """The airline has no seat, or could not be asked."""

    trip_id: str
    reason: str


@event(namespace="travel")
class SeatTimedOut:
    """The airline has not answered in time."""

    trip_id: str


@event(namespace="travel")
class SeatCancelled:
    """The airline keeps no seat any more."""

    trip_id: str


@event(namespace="travel")
class CarRented:
    """A car is waiting."""

    trip_id: str
    price: int


@event(namespace="travel")
class CarUnavailable:
    """There is no such car."""

    trip_id: str
    reason: str


@event(namespace="travel")
class CarTimedOut:
    """The car rental has not answered in time."""

    trip_id: str


@event(namespace="travel")
class CarReturned:
    """The car is there for somebody else."""

    trip_id: str


@event(namespace="travel")
class TripPaid:
    """The point of no return: the traveller has paid for all three."""

    trip_id: str
    total: int


@event(namespace="travel")
class TripNotPaid:
    """The traveller could not pay, or did not have to."""

    trip_id: str
    reason: str


@event(namespace="travel")
class TripCancelled:
    """The traveller stays at home after all."""

    trip_id: str


@event(namespace="travel")
class TripBooked:
    """The end, all well."""

    trip_id: str


@event(namespace="travel")
class TripFailed:
    """The end, everything undone."""

    trip_id: str


trip = Saga(
    "trip-booking", starts=TripRequested, completes=TripBooked, fails=TripFailed, aborts=TripCancelled
)
