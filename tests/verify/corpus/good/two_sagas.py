"""Participants that take part in two sagas, each with its own contract. # good: CHO112, CHO401"""

from choreo import Aborted, Context, Participant, Saga, event
from tests.verify.corpus.contract import OrderFulfilled, Shipped, order
from tests.verify.corpus.parts import orders, payments, shipping, stock  # noqa: F401


@event(namespace="shop")
class ReturnAsked:
    order_id: str


@event(namespace="shop")
class Returned:
    order_id: str


@event(namespace="shop")
class NotReturned:
    order_id: str


returns = Saga("returns", starts=ReturnAsked, completes=Returned, fails=NotReturned)
depot = Participant("depot", sagas=[returns, order])
mail = Participant("mail", sagas=[order, returns])


@depot.compensation(of=returns.start)
def fail(event: Aborted, asked: ReturnAsked, ctx: Context) -> NotReturned: ...


@depot.action(kind="retriable", saga=returns)
def take(event: ReturnAsked, ctx: Context) -> Returned: ...


@depot.observer(saga=order)
def expect(event: OrderFulfilled, ctx: Context) -> None: ...


@mail.action(kind="retriable", saga=order)
def confirm(event: Shipped, ctx: Context) -> OrderFulfilled: ...


@mail.observer(saga=returns)
def thank(event: Returned, ctx: Context) -> None: ...
