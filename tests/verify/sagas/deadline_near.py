"""A deadline on the next step, set by who waits for it."""

from datetime import timedelta

from choreo import Aborted, Context, Participant, Saga, event


@event(namespace="cab")
class RideAsked:
    ride: str


@event(namespace="cab")
class DriverFound:
    ride: str


@event(namespace="cab")
class NoDriver:
    ride: str
    reason: str = ""


@event(namespace="cab")
class DriverFree:
    ride: str


@event(namespace="cab")
class FareAgreed:
    ride: str


@event(namespace="cab")
class FareRefused:
    ride: str
    reason: str = ""


@event(namespace="cab")
class FareReturned:
    ride: str


@event(namespace="cab")
class RideBooked:
    ride: str


@event(namespace="cab")
class NotBooked:
    ride: str
    reason: str = ""


@event(namespace="cab")
class RideOff:
    ride: str
    reason: str = ""


@event(namespace="cab")
class FareTimedOut:
    ride: str


taxi = Saga("taxi", starts=RideAsked, completes=RideBooked, fails=RideOff)

dispatch = Participant("dispatch", sagas=[taxi])


@dispatch.action(fails=NoDriver, timeout=timedelta(minutes=1))
def find(event: RideAsked, ctx: Context) -> DriverFound:
    return DriverFound(event.ride)


@dispatch.compensation(of=find)
def let_go(event: FareRefused | FareReturned | Aborted, done: DriverFound, ctx: Context) -> DriverFree:
    return DriverFree(done.ride)


fares = Participant("fares", sagas=[taxi])


@fares.action(fails=FareRefused, timeout=timedelta(minutes=1))
def agree(event: DriverFound, ctx: Context) -> FareAgreed:
    return FareAgreed(event.ride)


@fares.compensation(of=agree)
def take_back(event: NotBooked | Aborted, done: FareAgreed, ctx: Context) -> FareReturned:
    return FareReturned(done.ride)


rider = Participant("rider", sagas=[taxi])


@rider.action(kind="pivot", fails=NotBooked)
def book(event: FareAgreed, ctx: Context) -> RideBooked:
    return RideBooked(event.ride)


@rider.compensation(of=taxi.start)
def call_off(event: NoDriver | DriverFree, asked: RideAsked, ctx: Context) -> RideOff:
    return RideOff(asked.ride)


@rider.deadline(of="fares.agree", within=timedelta(minutes=3))
def fare_is_late(event: DriverFound, ctx: Context) -> FareTimedOut:
    return FareTimedOut(event.ride)
