"""Payments: charges the customer, and gives the money back."""

from datetime import timedelta
from typing import Any

from choreo import Context, Participant, Permanent

from .contract import (
    InventoryReserved,
    PaymentFailed,
    PaymentProcessed,
    PaymentRefunded,
    order_fulfilment,
)
from .sql import execute


def prepare(db: Any) -> None:
    execute(db, "create table if not exists accounts (customer text primary key, balance integer not null)")
    execute(db, "create table if not exists charges (order_id text primary key, customer text, amount int)")
    execute(
        db, "insert into accounts values ('ada', 100000000), ('bob', 100), ('shop', 0) on conflict do nothing"
    )


payments = Participant("payments", sagas=[order_fulfilment], prepare=prepare)


# choreo: ignore[CHO301] an order waits until the service is up again: nobody gives up on it
@payments.action(fails=PaymentFailed, timeout=timedelta(minutes=1))
def process_payment(event: InventoryReserved, ctx: Context) -> PaymentProcessed:
    paid = execute(
        ctx.db,
        "update accounts set balance = balance - :total where customer = :customer and balance >= :total",
        customer=event.customer,
        total=event.total,
    )
    if paid.rowcount == 0:
        raise Permanent("insufficient funds")
    execute(
        ctx.db, "update accounts set balance = balance + :total where customer = 'shop'", total=event.total
    )
    execute(
        ctx.db,
        "insert into charges values (:order_id, :customer, :total)",
        order_id=event.order_id,
        customer=event.customer,
        total=event.total,
    )
    return PaymentProcessed(event.order_id, event.customer, event.address)


@payments.compensation(of=process_payment)
def refund_payment(processed: PaymentProcessed, ctx: Context) -> PaymentRefunded:
    charged = "select customer, amount from charges where order_id = :id"
    customer, amount = execute(ctx.db, charged, id=processed.order_id).fetchone()
    for account, paid in ((customer, amount), ("shop", -amount)):
        execute(
            ctx.db,
            "update accounts set balance = balance + :paid where customer = :account",
            paid=paid,
            account=account,
        )
    execute(ctx.db, "delete from charges where order_id = :id", id=processed.order_id)
    return PaymentRefunded(processed.order_id)
