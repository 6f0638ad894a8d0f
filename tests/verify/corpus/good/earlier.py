"""What comes before in every run may be asked for; what may be missing is optional. # good: CHO401"""

from choreo import Context, Earlier, Participant
from tests.verify.corpus.contract import (
    Charged,
    Declined,
    NotShipped,
    OrderCreated,
    OrderFailed,
    OrderFulfilled,
    Refunded,
    Reserved,
    Shipped,
    order,
)
from tests.verify.corpus.parts import orders, shipping, stock  # noqa: F401

payments = Participant("payments", sagas=[order])
mail = Participant("mail", sagas=[order])


@payments.action(fails=Declined)
def charge(event: Reserved, created: Earlier[OrderCreated], ctx: Context) -> Charged: ...


@payments.compensation(of=charge)
def refund(event: NotShipped, charged: Charged, created: Earlier[OrderCreated], ctx: Context) -> Refunded: ...


@mail.action(kind="retriable")
def confirm(event: Shipped, charged: Earlier[Charged], ctx: Context) -> OrderFulfilled: ...


@mail.observer
def note(event: OrderFailed | OrderFulfilled, charged: Earlier[Charged] | None, ctx: Context) -> None: ...
