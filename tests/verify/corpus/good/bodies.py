"""Bodies that do what they declare, where they may. # good: CHO601, CHO603, CHO604, CHO605, CHO606"""

import time
from urllib.request import urlopen

from choreo import Aborted, Context, Participant, Permanent
from tests.verify.corpus.contract import (
    Charged,
    Declined,
    NotShipped,
    OrderFailed,
    OrderFulfilled,
    Refunded,
    Reserved,
    Shipped,
    order,
)
from tests.verify.corpus.parts import orders, stock  # noqa: F401

payments = Participant("payments", sagas=[order])
shipping = Participant("shipping", sagas=[order])
mail = Participant("mail", sagas=[order])


def answer(event: Reserved, accepted: bool):
    return Charged(event.order_id) if accepted else Declined(event.order_id)


@payments.action(fails=Declined, blocking=True)
def charge(event: Reserved, ctx: Context) -> Charged | Declined:
    """Call the bank, in a thread."""
    for _ in range(3):
        with urlopen(f"https://bank.example/{ctx.idempotency_key}") as reply:
            if reply.status == 200:
                return answer(event, accepted=True)
        time.sleep(1)
    return answer(event, accepted=False)


@payments.compensation(of=charge, blocking=True)
def refund(event: NotShipped | Aborted, charged: Charged | None, ctx: Context) -> Refunded:
    urlopen(f"https://bank.example/{ctx.idempotency_key}/refund")
    return Refunded(ctx.saga_id)


@shipping.action(kind="pivot", fails=NotShipped)
def ship(event: Charged, ctx: Context) -> Shipped:
    if not event.order_id:
        raise Permanent("no address")
    ctx.db.execute("insert into parcels values (?, ?)", [event.order_id, ctx.now])
    return Shipped(event.order_id)


@mail.action(kind="retriable")
def confirm(event: Shipped, ctx: Context) -> OrderFulfilled:
    with open("template.txt") as template:
        ctx.db.execute("insert into mails values (?, ?)", [event.order_id, template.read()])
    return OrderFulfilled(event.order_id)


@mail.observer
def regret(event: OrderFailed, ctx: Context) -> None:
    ctx.log.info("failed")
