"""The day stands in the row, and is another one in a replay."""

from datetime import datetime

from choreo import Context, Participant
from tests.verify.corpus.contract import OrderFulfilled, Shipped, order
from tests.verify.corpus.parts import orders, payments, shipping, stock  # noqa: F401

mail = Participant("mail", sagas=[order])


def today():
    return datetime.now().date()


@mail.action(kind="retriable")
def confirm(event: Shipped, ctx: Context) -> OrderFulfilled:
    ctx.db.execute("insert into mails values (?, ?)", [event.order_id, today()])  # expect: CHO606
    return OrderFulfilled(event.order_id)
