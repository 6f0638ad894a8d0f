"""The handler commits by itself, and tears the turn apart."""

from choreo import Context, Participant
from tests.verify.corpus.contract import OrderFulfilled, Shipped, order
from tests.verify.corpus.parts import orders, payments, shipping, stock  # noqa: F401

mail = Participant("mail", sagas=[order])


@mail.action(kind="retriable")
def confirm(event: Shipped, ctx: Context) -> OrderFulfilled:
    ctx.db.execute("insert into mails values (?)", [event.order_id])
    ctx.db.conn.commit()  # expect: CHO605
    return OrderFulfilled(event.order_id)
