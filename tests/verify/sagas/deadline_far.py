"""A deadline counted from the start of the saga, on a step far behind it."""

from datetime import timedelta

from choreo import Aborted, Context, Participant, Saga, event


@event(namespace="garage")
class RepairAsked:
    car: str


@event(namespace="garage")
class FaultFound:
    car: str


@event(namespace="garage")
class FaultUnknown:
    car: str
    reason: str = ""


@event(namespace="garage")
class CarReassembled:
    car: str


@event(namespace="garage")
class PartOrdered:
    car: str


@event(namespace="garage")
class PartNotOrdered:
    car: str
    reason: str = ""


@event(namespace="garage")
class PartCancelled:
    car: str


@event(namespace="garage")
class PartFitted:
    car: str


@event(namespace="garage")
class PartNotFitted:
    car: str
    reason: str = ""


@event(namespace="garage")
class PartRemoved:
    car: str


@event(namespace="garage")
class CarReady:
    car: str


@event(namespace="garage")
class NotReady:
    car: str
    reason: str = ""


@event(namespace="garage")
class RepairOff:
    car: str
    reason: str = ""


@event(namespace="garage")
class FittingTimedOut:
    car: str


repair = Saga("repair", starts=RepairAsked, completes=CarReady, fails=RepairOff)

mechanic = Participant("mechanic", sagas=[repair])


@mechanic.action(fails=FaultUnknown, timeout=timedelta(minutes=10))
def inspect(event: RepairAsked, ctx: Context) -> FaultFound:
    return FaultFound(event.car)


@mechanic.compensation(of=inspect)
def reassemble(event: PartNotOrdered | PartCancelled, done: FaultFound, ctx: Context) -> CarReassembled:
    return CarReassembled(done.car)


@mechanic.action(fails=PartNotFitted, timeout=timedelta(minutes=10))
def fit(event: PartOrdered, ctx: Context) -> PartFitted:
    return PartFitted(event.car)


@mechanic.compensation(of=fit)
def remove(event: NotReady | Aborted, done: PartFitted, ctx: Context) -> PartRemoved:
    return PartRemoved(done.car)


store = Participant("store", sagas=[repair])


@store.action(fails=PartNotOrdered, timeout=timedelta(minutes=10))
def order_part(event: FaultFound, ctx: Context) -> PartOrdered:
    return PartOrdered(event.car)


@store.compensation(of=order_part)
def cancel_part(
    event: PartNotFitted | PartRemoved | Aborted, done: PartOrdered, ctx: Context
) -> PartCancelled:
    return PartCancelled(done.car)


desk = Participant("desk", sagas=[repair])


@desk.action(kind="pivot", fails=NotReady)
def hand_over(event: PartFitted, ctx: Context) -> CarReady:
    return CarReady(event.car)


@desk.compensation(of=repair.start)
def call_off(event: FaultUnknown | CarReassembled, asked: RepairAsked, ctx: Context) -> RepairOff:
    return RepairOff(asked.car)


@desk.deadline(of="mechanic.fit", within=timedelta(minutes=60))
def fitting_is_late(event: RepairAsked, ctx: Context) -> FittingTimedOut:
    return FittingTimedOut(event.car)
