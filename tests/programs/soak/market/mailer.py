"""The mailer: confirms, and so ends what went well."""

from __future__ import annotations

from choreo import Context, Participant
from tests.programs.soak.market.contract import OrderFulfilled, Shipped, market, prepare, row, session

mailer = Participant("mailer", sagas=[market], prepare=prepare, session=session)


@mailer.action(kind="retriable")
def confirm(event: Shipped, ctx: Context) -> OrderFulfilled:
    row(ctx, "confirm")
    return OrderFulfilled(event.order_id)
