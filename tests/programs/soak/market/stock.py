"""Stock: reserves, and releases."""

from __future__ import annotations

import os
import signal
import sys
from datetime import timedelta

from choreo import Aborted, Context, Participant, Permanent, Retry
from tests.programs.soak.market.contract import (
    ChargeRefused,
    OrderPlaced,
    OutOfStock,
    Refunded,
    Released,
    Reserved,
    claim,
    market,
    prepare,
    row,
    session,
)

stock = Participant(
    "stock",
    sagas=[market],
    prepare=prepare,
    session=session,
    retry=Retry(attempts=3, delay=timedelta(milliseconds=200)),
)
BULK = "x" * 100_000
"""More than the topic takes."""


@stock.action(fails=OutOfStock)
def reserve(event: OrderPlaced, ctx: Context) -> Reserved:
    if event.plan == "no stock":
        raise Permanent("none left")
    row(ctx, "reserve")
    _misbehave(event.plan, ctx)
    return Reserved(event.order_id, BULK if event.plan == "poison bulk" else event.plan)


def _misbehave(plan: str, ctx: Context) -> None:
    if plan == "poison exit":
        sys.exit(1)
    if plan == "poison kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if plan == "poison commit":
        claim(ctx)


@stock.compensation(of=reserve)
def release(event: ChargeRefused | Refunded | Aborted, reserved: Reserved, ctx: Context) -> Released:
    row(ctx, "release")
    return Released(reserved.order_id)
