"""Notifications: writes to the customer at the end of an order."""

from datetime import timedelta
from typing import Any

from choreo import Context, Participant, Retry

from .contract import OrderFailed, OrderFulfilled, ShipmentCreated, order_fulfilment
from .sql import execute


def prepare(db: Any) -> None:
    execute(
        db, "create table if not exists mails (order_id text, subject text, primary key (order_id, subject))"
    )


notifications = Participant("notifications", sagas=[order_fulfilment], prepare=prepare)


@notifications.action(kind="retriable", retry=Retry(delay=timedelta(milliseconds=50)))
def send_confirmation(event: ShipmentCreated, ctx: Context) -> OrderFulfilled:
    if event.customer == "ada" and event.order_id.endswith("-slow") and ctx.attempt < 3:
        raise ConnectionError("the mail server is busy")
    execute(ctx.db, "insert into mails values (:id, 'confirmed')", id=event.order_id)
    return OrderFulfilled(event.order_id)


@notifications.observer
def send_cancellation_notice(event: OrderFailed, ctx: Context) -> None:
    execute(ctx.db, "insert into mails values (:id, 'cancelled')", id=event.order_id)
