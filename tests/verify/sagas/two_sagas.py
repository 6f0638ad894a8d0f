"""Two sagas that share their participants: an order, and its return, each on a topic of its own."""

from choreo import Context, Participant, Saga, event


@event(namespace="buy")
class BookOrdered:
    order: str


@event(namespace="buy")
class BookTaken:
    order: str


@event(namespace="buy")
class NoBook:
    order: str
    reason: str = ""


@event(namespace="buy")
class BookShelved:
    order: str


@event(namespace="buy")
class BookPaid:
    order: str


@event(namespace="buy")
class BookNotPaid:
    order: str
    reason: str = ""


@event(namespace="buy")
class OrderOff:
    order: str


@event(namespace="refund")
class BookSentBack:
    order: str


@event(namespace="refund")
class BookInspected:
    order: str


@event(namespace="refund")
class BookDamaged:
    order: str
    reason: str = ""


@event(namespace="refund")
class InspectionVoid:
    order: str


@event(namespace="refund")
class MoneyReturned:
    order: str


@event(namespace="refund")
class MoneyKept:
    order: str
    reason: str = ""


@event(namespace="refund")
class ReturnRefused:
    order: str


buying = Saga("buying", starts=BookOrdered, completes=BookPaid, fails=OrderOff)
returning = Saga("returning", starts=BookSentBack, completes=MoneyReturned, fails=ReturnRefused)

store = Participant("store", sagas=[buying, returning])
cashier = Participant("cashier", sagas=[buying, returning])


@store.action(saga=buying, fails=NoBook)
def take(event: BookOrdered, ctx: Context) -> BookTaken:
    return BookTaken(event.order)


@store.compensation(of=take)
def shelve(event: BookNotPaid, done: BookTaken, ctx: Context) -> BookShelved:
    return BookShelved(done.order)


@cashier.action(saga=buying, kind="pivot", fails=BookNotPaid)
def take_money(event: BookTaken, ctx: Context) -> BookPaid:
    return BookPaid(event.order)


@cashier.compensation(of=buying.start)
def call_off(event: NoBook | BookShelved, asked: BookOrdered, ctx: Context) -> OrderOff:
    return OrderOff(asked.order)


@store.action(saga=returning, fails=BookDamaged)
def inspect(event: BookSentBack, ctx: Context) -> BookInspected:
    return BookInspected(event.order)


@store.compensation(of=inspect)
def void(event: MoneyKept, done: BookInspected, ctx: Context) -> InspectionVoid:
    return InspectionVoid(done.order)


@cashier.action(saga=returning, kind="pivot", fails=MoneyKept)
def give_back(event: BookInspected, ctx: Context) -> MoneyReturned:
    return MoneyReturned(event.order)


@cashier.compensation(of=returning.start)
def refuse(event: BookDamaged | InspectionVoid, asked: BookSentBack, ctx: Context) -> ReturnRefused:
    return ReturnRefused(asked.order)
