"""A deadline watches a step that was renamed."""

from datetime import timedelta

from choreo import Context, Participant
from tests.verify.corpus.contract import ChargeLate, OrderCreated, OrderFailed, Released, Unavailable, order
from tests.verify.corpus.parts import mail, payments, shipping, stock  # noqa: F401

orders = Participant("orders", sagas=[order])


@orders.compensation(of=order.start)
def fail(event: Unavailable | Released, created: OrderCreated, ctx: Context) -> OrderFailed: ...


@orders.deadline(of="payments.charge_card", within=timedelta(hours=1))  # expect: CHO702
def charge_is_late(event: OrderCreated, ctx: Context) -> ChargeLate: ...
