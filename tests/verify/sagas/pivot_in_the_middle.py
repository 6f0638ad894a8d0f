"""What can be undone, the point of no return, and what is retried until it succeeds."""

from choreo import Context, Participant, Saga, event


@event(namespace="atm")
class CashAsked:
    card: str


@event(namespace="atm")
class AmountBlocked:
    card: str


@event(namespace="atm")
class NotEnoughMoney:
    card: str
    reason: str = ""


@event(namespace="atm")
class AmountFreed:
    card: str


@event(namespace="atm")
class CashDispensed:
    card: str


@event(namespace="atm")
class NothingDispensed:
    card: str
    reason: str = ""


@event(namespace="atm")
class CashTaken:
    card: str


@event(namespace="atm")
class CashDenied:
    card: str
    reason: str = ""


withdrawal = Saga("withdrawal", starts=CashAsked, completes=CashTaken, fails=CashDenied)

account = Participant("account", sagas=[withdrawal])


@account.action(fails=NotEnoughMoney)
def block(event: CashAsked, ctx: Context) -> AmountBlocked:
    return AmountBlocked(event.card)


@account.compensation(of=block)
def unblock(event: NothingDispensed, done: AmountBlocked, ctx: Context) -> AmountFreed:
    return AmountFreed(done.card)


@account.action(kind="retriable")
def book(event: CashDispensed, ctx: Context) -> CashTaken:
    return CashTaken(event.card)


machine = Participant("machine", sagas=[withdrawal])


@machine.action(kind="pivot", fails=NothingDispensed)
def dispense(event: AmountBlocked, ctx: Context) -> CashDispensed:
    return CashDispensed(event.card)


@machine.compensation(of=withdrawal.start)
def deny(event: NotEnoughMoney | AmountFreed, asked: CashAsked, ctx: Context) -> CashDenied:
    return CashDenied(asked.card)
