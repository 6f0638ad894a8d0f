"""Orders gives up on the mail, which is sent in the end whatever happens."""

from datetime import timedelta

from choreo import Context, Participant, event
from tests.verify.corpus.contract import OrderCreated, OrderFailed, Released, Shipped, Unavailable, order
from tests.verify.corpus.parts import mail, payments, shipping, stock  # noqa: F401

orders = Participant("orders", sagas=[order])


@event(namespace="shop")
class MailLate:
    order_id: str


@orders.compensation(of=order.start)
def fail(event: Unavailable | Released, created: OrderCreated, ctx: Context) -> OrderFailed: ...


@orders.deadline(of="mail.confirm", within=timedelta(hours=1))  # expect: CHO304
def mail_is_late(event: Shipped, ctx: Context) -> MailLate: ...
