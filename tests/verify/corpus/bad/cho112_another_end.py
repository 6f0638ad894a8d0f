"""Mail was deployed with an older contract: it knows another end."""

from choreo import Context, Participant, Saga
from tests.verify.corpus.contract import Mailed, OrderCreated, OrderFailed, OrderFulfilled, Shipped
from tests.verify.corpus.parts import orders, payments, shipping, stock  # noqa: F401

old = Saga("order", starts=OrderCreated, completes=Mailed, fails=OrderFailed)
mail = Participant("mail", sagas=[old])


@mail.action(kind="retriable")  # expect: CHO112
def confirm(event: Shipped, ctx: Context) -> OrderFulfilled: ...
