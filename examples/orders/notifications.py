"""Notifications: writes to the customer at the end of an order."""

from datetime import timedelta

from sqlite_utils import Database

from choreo import Context, Participant, Retry

from .contract import OrderFailed, OrderFulfilled, ShipmentCreated, order_fulfilment


def prepare(db: Database) -> None:
    db.execute(
        "create table if not exists mails (order_id text, subject text, primary key (order_id, subject))"
    )


notifications = Participant("notifications", sagas=[order_fulfilment], prepare=prepare)


@notifications.action(kind="retriable", retry=Retry(delay=timedelta(milliseconds=50)))
def send_confirmation(event: ShipmentCreated, ctx: Context) -> OrderFulfilled:
    if event.customer == "ada" and event.order_id.endswith("-slow") and ctx.attempt < 3:
        raise ConnectionError("the mail server is busy")
    ctx.db.execute("insert into mails values (?, 'confirmed')", [event.order_id])
    return OrderFulfilled(event.order_id)


@notifications.observer
def send_cancellation_notice(event: OrderFailed, ctx: Context) -> None:
    ctx.db.execute("insert into mails values (?, 'cancelled')", [event.order_id])
