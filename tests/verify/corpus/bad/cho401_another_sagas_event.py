"""A handler of the order waits for an event of the returns, which are a saga of their own."""

from choreo import Aborted, Context, Participant, Saga, event
from tests.verify.corpus.contract import order
from tests.verify.corpus.parts import mail, orders, payments, shipping, stock  # noqa: F401


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
depot = Participant("depot", sagas=[returns])
reporting = Participant("reporting", sagas=[order])


@depot.compensation(of=returns.start)
def fail(event: Aborted, asked: ReturnAsked, ctx: Context) -> NotReturned: ...


@depot.action(kind="retriable")
def take(event: ReturnAsked, ctx: Context) -> Returned: ...


@reporting.observer  # expect: CHO401
def count(event: Returned, ctx: Context) -> None: ...
