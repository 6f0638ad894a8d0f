"""A step beside the others, for which nobody waits: the first failure undoes it."""

from choreo import Aborted, Context, Participant, Saga, all_of, event


@event(namespace="hotel")
class StayAsked:
    guest: str


@event(namespace="hotel")
class RoomKept:
    guest: str


@event(namespace="hotel")
class HouseFull:
    guest: str
    reason: str = ""


@event(namespace="hotel")
class RoomFreed:
    guest: str


@event(namespace="hotel")
class SpotKept:
    guest: str


@event(namespace="hotel")
class GarageFull:
    guest: str
    reason: str = ""


@event(namespace="hotel")
class SpotFreed:
    guest: str


@event(namespace="hotel")
class CardHeld:
    guest: str


@event(namespace="hotel")
class CardRefused:
    guest: str
    reason: str = ""


@event(namespace="hotel")
class HoldReleased:
    guest: str


@event(namespace="hotel")
class StayConfirmed:
    guest: str


@event(namespace="hotel")
class NotConfirmed:
    guest: str
    reason: str = ""


@event(namespace="hotel")
class ConfirmationLost:
    guest: str


@event(namespace="hotel")
class StayRefused:
    guest: str
    reason: str = ""


stay = Saga("stay", starts=StayAsked, completes=StayConfirmed, fails=StayRefused)

desk = Participant("desk", sagas=[stay])


@desk.action(fails=HouseFull)
def keep_room(event: StayAsked, ctx: Context) -> RoomKept:
    return RoomKept(event.guest)


@desk.compensation(of=keep_room)
def free_room(event: CardRefused | HoldReleased, done: RoomKept, ctx: Context) -> RoomFreed:
    return RoomFreed(done.guest)


@desk.action(fails=CardRefused)
def hold(event: RoomKept, ctx: Context) -> CardHeld:
    return CardHeld(event.guest)


@desk.compensation(of=hold)
def release_hold(event: NotConfirmed | ConfirmationLost, done: CardHeld, ctx: Context) -> HoldReleased:
    return HoldReleased(done.guest)


@desk.action(fails=NotConfirmed)
def confirm(event: CardHeld, ctx: Context) -> StayConfirmed:
    return StayConfirmed(event.guest)


@desk.compensation(of=confirm)
def unconfirm(event: Aborted, done: StayConfirmed, ctx: Context) -> ConfirmationLost:
    return ConfirmationLost(done.guest)


@desk.compensation(of=stay.start, on=all_of(HouseFull | RoomFreed, GarageFull | SpotFreed))
def refuse(asked: StayAsked, ctx: Context) -> StayRefused:
    return StayRefused(asked.guest)


garage = Participant("garage", sagas=[stay])


@garage.action(fails=GarageFull)
def keep_spot(event: StayAsked, ctx: Context) -> SpotKept:
    return SpotKept(event.guest)


@garage.compensation(of=keep_spot)
def free_spot(event: Aborted, done: SpotKept, ctx: Context) -> SpotFreed:
    return SpotFreed(done.guest)
