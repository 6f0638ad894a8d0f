"""Shipping: ships, or does not, or never says."""

from __future__ import annotations

from datetime import timedelta

from choreo import Aborted, Context, Participant, Permanent, Retry
from tests.programs.soak.market.contract import (
    CalledBack,
    Charged,
    NoWay,
    Shipped,
    market,
    prepare,
    row,
    session,
)

HOUR = timedelta(hours=1)

shipping = Participant("shipping", sagas=[market], prepare=prepare, session=session)


@shipping.action(fails=NoWay, timeout=None, retry=Retry(attempts=9, delay=HOUR, longest=HOUR))
def ship(event: Charged, ctx: Context) -> Shipped:
    if event.plan == "late":
        raise TimeoutError
    if event.plan == "no way":
        raise Permanent("nobody goes there")
    row(ctx, "ship")
    return Shipped(event.order_id)


@shipping.compensation(of=ship)
def call_back(event: Aborted, shipped: Shipped, ctx: Context) -> CalledBack:
    row(ctx, "call_back")
    return CalledBack(shipped.order_id)
