"""Whoever started it may call it off, as long as nothing is final."""

from choreo import Context, Participant, Saga, event


@event(namespace="theatre")
class TicketAsked:
    visitor: str


@event(namespace="theatre")
class SeatKept:
    visitor: str


@event(namespace="theatre")
class SoldOut:
    visitor: str
    reason: str = ""


@event(namespace="theatre")
class SeatFreed:
    visitor: str


@event(namespace="theatre")
class CardCharged:
    visitor: str


@event(namespace="theatre")
class CardRefused:
    visitor: str
    reason: str = ""


@event(namespace="theatre")
class TicketIssued:
    visitor: str


@event(namespace="theatre")
class TicketOff:
    visitor: str
    reason: str = ""


@event(namespace="theatre")
class TicketCancelled:
    visitor: str


ticket = Saga("ticket", starts=TicketAsked, completes=TicketIssued, fails=TicketOff, aborts=TicketCancelled)

hall = Participant("hall", sagas=[ticket])


@hall.action(fails=SoldOut)
def keep_seat(event: TicketAsked, ctx: Context) -> SeatKept:
    return SeatKept(event.visitor)


@hall.compensation(of=keep_seat)
def free_seat(event: CardRefused, done: SeatKept, ctx: Context) -> SeatFreed:
    return SeatFreed(done.visitor)


card = Participant("card", sagas=[ticket])


@card.action(kind="pivot", fails=CardRefused)
def charge(event: SeatKept, ctx: Context) -> CardCharged:
    return CardCharged(event.visitor)


door = Participant("door", sagas=[ticket])


@door.action(kind="retriable")
def issue(event: CardCharged, ctx: Context) -> TicketIssued:
    return TicketIssued(event.visitor)


office = Participant("office", sagas=[ticket])


@office.compensation(of=ticket.start)
def call_off(event: SoldOut | SeatFreed, asked: TicketAsked, ctx: Context) -> TicketOff:
    return TicketOff(asked.visitor)
