"""What is known and accepted is said, with a reason. # good: CHO301, CHO902, CHO903"""

from uuid import uuid4

from choreo import Context, Participant
from tests.verify.corpus.contract import (
    Charged,
    Declined,
    NotShipped,
    OrderCreated,
    Refunded,
    Released,
    Reserved,
    Unavailable,
    order,
)
from tests.verify.corpus.parts import mail, orders, shipping  # noqa: F401

stock = Participant("stock", sagas=[order])
payments = Participant("payments", sagas=[order])


@stock.action(fails=Unavailable)
def reserve(event: OrderCreated, ctx: Context) -> Reserved:  # choreo: ignore[CHO301] it is restarted at once
    return Reserved(event.order_id)


@stock.compensation(of=reserve)
def release(event: Declined | Refunded, reserved: Reserved, ctx: Context) -> Released:
    return Released(reserved.order_id)


# choreo: ignore[CHO301] the bank answers within a week, and nobody may give up on it
@payments.action(fails=Declined, timeout=None)
def charge(event: Reserved, ctx: Context) -> Charged:
    ctx.db.execute("insert into traces values (?)", [str(uuid4())])  # choreo: ignore[CHO606] for tracing only
    return Charged(event.order_id)


@payments.compensation(of=charge)
def refund(event: NotShipped, charged: Charged, ctx: Context) -> Refunded:
    return Refunded(charged.order_id)
