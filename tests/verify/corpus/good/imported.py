"""A carrier says on its own topic that the parcel has arrived, and only then the order ends."""

# good: CHO102, CHO106

from choreo import Context, External, Participant, event
from tests.verify.corpus.contract import OrderFulfilled, Shipped, order
from tests.verify.corpus.parts import orders, payments, shipping, stock  # noqa: F401


@event(namespace="shop")
class Delivered:
    order_id: str


mail = Participant(
    "mail",
    sagas=[order],
    external=[External(Delivered, topic="carrier", saga_id=lambda delivered: delivered.order_id)],
)


@mail.action(kind="retriable")
def confirm(shipped: Shipped, delivered: Delivered, ctx: Context) -> OrderFulfilled: ...
