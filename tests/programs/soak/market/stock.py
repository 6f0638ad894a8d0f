"""Stock: reserves, and releases."""

from __future__ import annotations

from choreo import Aborted, Context, Participant, Permanent
from tests.programs.soak.market.contract import (
    ChargeRefused,
    OrderPlaced,
    OutOfStock,
    Refunded,
    Released,
    Reserved,
    market,
    prepare,
    row,
)

stock = Participant("stock", sagas=[market], prepare=prepare)


@stock.action(fails=OutOfStock)
def reserve(event: OrderPlaced, ctx: Context) -> Reserved:
    if event.plan == "no stock":
        raise Permanent("none left")
    row(ctx, "reserve")
    return Reserved(event.order_id, event.plan)


@stock.compensation(of=reserve)
def release(event: ChargeRefused | Refunded | Aborted, reserved: Reserved, ctx: Context) -> Released:
    row(ctx, "release")
    return Released(reserved.order_id)
