"""One way for large orders, another for small ones; both lead to the same end."""

from choreo import Context, Participant, Saga, event


@event(namespace="trade")
class PurchaseAsked:
    order: str


@event(namespace="trade")
class LargeOrder:
    order: str


@event(namespace="trade")
class SmallOrder:
    order: str


@event(namespace="trade")
class SizeUnknown:
    order: str
    reason: str = ""


@event(namespace="trade")
class LargeOrderDropped:
    order: str


@event(namespace="trade")
class SmallOrderDropped:
    order: str


@event(namespace="trade")
class BoardApproved:
    order: str


@event(namespace="trade")
class BoardRefused:
    order: str
    reason: str = ""


@event(namespace="trade")
class BoardInformed:
    order: str


@event(namespace="trade")
class ClerkApproved:
    order: str


@event(namespace="trade")
class ClerkRefused:
    order: str
    reason: str = ""


@event(namespace="trade")
class ClerkInformed:
    order: str


@event(namespace="trade")
class PurchaseDone:
    order: str


@event(namespace="trade")
class OrderNotSent:
    order: str
    reason: str = ""


@event(namespace="trade")
class PurchaseOff:
    order: str
    reason: str = ""


purchase = Saga("purchase", starts=PurchaseAsked, completes=PurchaseDone, fails=PurchaseOff)

buyer = Participant("buyer", sagas=[purchase])


@buyer.action(fails=SizeUnknown)
def size(event: PurchaseAsked, ctx: Context) -> LargeOrder | SmallOrder:
    if event.order.startswith("a"):
        return LargeOrder(event.order)
    return SmallOrder(event.order)


@buyer.compensation(of=size)
def drop_large(event: BoardRefused | BoardInformed, done: LargeOrder, ctx: Context) -> LargeOrderDropped:
    return LargeOrderDropped(done.order)


@buyer.compensation(of=size)
def drop_small(event: ClerkRefused | ClerkInformed, done: SmallOrder, ctx: Context) -> SmallOrderDropped:
    return SmallOrderDropped(done.order)


@buyer.action(kind="pivot", fails=OrderNotSent)
def send(event: BoardApproved | ClerkApproved, ctx: Context) -> PurchaseDone:
    return PurchaseDone(event.order)


@buyer.compensation(of=purchase.start)
def give_up(
    event: SizeUnknown | LargeOrderDropped | SmallOrderDropped, asked: PurchaseAsked, ctx: Context
) -> PurchaseOff:
    return PurchaseOff(asked.order)


board = Participant("board", sagas=[purchase])


@board.action(fails=BoardRefused)
def approve_board(event: LargeOrder, ctx: Context) -> BoardApproved:
    return BoardApproved(event.order)


@board.compensation(of=approve_board)
def inform_board(event: OrderNotSent, done: BoardApproved, ctx: Context) -> BoardInformed:
    return BoardInformed(done.order)


clerk = Participant("clerk", sagas=[purchase])


@clerk.action(fails=ClerkRefused)
def approve_clerk(event: SmallOrder, ctx: Context) -> ClerkApproved:
    return ClerkApproved(event.order)


@clerk.compensation(of=approve_clerk)
def inform_clerk(event: OrderNotSent, done: ClerkApproved, ctx: Context) -> ClerkInformed:
    return ClerkInformed(done.order)
