"""What is known and accepted is said, with a reason. # good: CHO301, CHO902, CHO903"""

from uuid import uuid4

from choreo import Context, Participant
from tests.verify.corpus.contract import Charged, Declined, NotShipped, Refunded, Reserved, order
from tests.verify.corpus.parts import mail, orders, shipping, stock  # noqa: F401

payments = Participant("payments", sagas=[order])


# choreo: ignore[CHO301] the bank answers within a week, and nobody may give up on it
@payments.action(fails=Declined, timeout=None)
def charge(event: Reserved, ctx: Context) -> Charged:
    ctx.db.execute("insert into traces values (?)", [str(uuid4())])  # choreo: ignore[CHO606] for tracing only
    return Charged(event.order_id)


@payments.compensation(of=charge)
def refund(event: NotShipped, charged: Charged, ctx: Context) -> Refunded:
    return Refunded(charged.order_id)
