"""A deadline on each of two branches, both set by who joins them."""

from datetime import timedelta

from choreo import Aborted, Context, Participant, Saga, all_of, event


@event(namespace="rail")
class JourneyAsked:
    trip: str


@event(namespace="rail")
class SeatKept:
    trip: str


@event(namespace="rail")
class TrainFull:
    trip: str
    reason: str = ""


@event(namespace="rail")
class SeatFreed:
    trip: str


@event(namespace="rail")
class PlaceKept:
    trip: str


@event(namespace="rail")
class BusFull:
    trip: str
    reason: str = ""


@event(namespace="rail")
class PlaceFreed:
    trip: str


@event(namespace="rail")
class JourneyBooked:
    trip: str


@event(namespace="rail")
class NotBooked:
    trip: str
    reason: str = ""


@event(namespace="rail")
class JourneyOff:
    trip: str
    reason: str = ""


@event(namespace="rail")
class TrainTimedOut:
    trip: str


@event(namespace="rail")
class BusTimedOut:
    trip: str


journey = Saga("journey", starts=JourneyAsked, completes=JourneyBooked, fails=JourneyOff)

train = Participant("train", sagas=[journey])


@train.action(fails=TrainFull, timeout=timedelta(minutes=1))
def keep_seat_train(event: JourneyAsked, ctx: Context) -> SeatKept:
    return SeatKept(event.trip)


@train.compensation(of=keep_seat_train)
def free_seat_train(event: NotBooked | Aborted, done: SeatKept, ctx: Context) -> SeatFreed:
    return SeatFreed(done.trip)


bus = Participant("bus", sagas=[journey])


@bus.action(fails=BusFull, timeout=timedelta(minutes=1))
def keep_seat_bus(event: JourneyAsked, ctx: Context) -> PlaceKept:
    return PlaceKept(event.trip)


@bus.compensation(of=keep_seat_bus)
def free_seat_bus(event: NotBooked | Aborted, done: PlaceKept, ctx: Context) -> PlaceFreed:
    return PlaceFreed(done.trip)


agent = Participant("agent", sagas=[journey])


@agent.action(kind="pivot", fails=NotBooked)
def book(seat_kept: SeatKept, place_kept: PlaceKept, ctx: Context) -> JourneyBooked:
    return JourneyBooked(seat_kept.trip)


@agent.compensation(of=journey.start, on=all_of(TrainFull | SeatFreed, BusFull | PlaceFreed))
def call_off(asked: JourneyAsked, ctx: Context) -> JourneyOff:
    return JourneyOff(asked.trip)


@agent.deadline(of="train.keep_seat_train", within=timedelta(minutes=5))
def train_is_late(event: JourneyAsked, ctx: Context) -> TrainTimedOut:
    return TrainTimedOut(event.trip)


@agent.deadline(of="bus.keep_seat_bus", within=timedelta(minutes=5))
def bus_is_late(event: JourneyAsked, ctx: Context) -> BusTimedOut:
    return BusTimedOut(event.trip)
