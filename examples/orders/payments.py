"""Payments: charges the customer, and gives the money back."""

from datetime import timedelta

from sqlite_utils import Database

from choreo import Context, Participant, Permanent

from .contract import (
    InventoryReserved,
    PaymentFailed,
    PaymentProcessed,
    PaymentRefunded,
    order_fulfilment,
)


def prepare(db: Database) -> None:
    db.execute("create table if not exists accounts (customer text primary key, balance integer not null)")
    db.execute("create table if not exists charges (order_id text primary key, customer text, amount int)")
    db.execute("insert or ignore into accounts values ('ada', 100000000), ('bob', 100), ('shop', 0)")


payments = Participant("payments", sagas=[order_fulfilment], prepare=prepare)


# choreo: ignore[CHO301] an order waits until the service is up again: nobody gives up on it
@payments.action(fails=PaymentFailed, timeout=timedelta(minutes=1))
def process_payment(event: InventoryReserved, ctx: Context) -> PaymentProcessed:
    paid = ctx.db.execute(
        "update accounts set balance = balance - :total where customer = :customer and balance >= :total",
        {"customer": event.customer, "total": event.total},
    )
    if paid.rowcount == 0:
        raise Permanent("insufficient funds")
    ctx.db.execute("update accounts set balance = balance + ? where customer = 'shop'", [event.total])
    ctx.db.execute("insert into charges values (?, ?, ?)", [event.order_id, event.customer, event.total])
    return PaymentProcessed(event.order_id, event.customer, event.address)


@payments.compensation(of=process_payment)
def refund_payment(processed: PaymentProcessed, ctx: Context) -> PaymentRefunded:
    (charge,) = ctx.db.query("select * from charges where order_id = ?", [processed.order_id])
    for sign, account in ((1, charge["customer"]), (-1, "shop")):
        ctx.db.execute(
            "update accounts set balance = balance + ? where customer = ?", [sign * charge["amount"], account]
        )
    ctx.db.execute("delete from charges where order_id = ?", [processed.order_id])
    return PaymentRefunded(processed.order_id)
