"""Payments: charges and refunds by calls to the world, outside of the transaction."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

from choreo import Aborted, Context, Participant, Permanent, Retry
from tests.programs.soak.market.contract import (
    CalledBack,
    Charged,
    ChargeRefused,
    NoWay,
    Refunded,
    Reserved,
    call,
    market,
    prepare,
    session,
)

payments = Participant(
    "payments",
    sagas=[market],
    prepare=prepare,
    session=session,
    retry=Retry(attempts=3, delay=timedelta(milliseconds=200)),
)


@payments.action(fails=ChargeRefused)
async def charge(event: Reserved, ctx: Context) -> Charged | ChargeRefused:
    if event.plan == "no money":
        raise Permanent("refused")
    if event.plan == "poison call":
        sys.exit(1)
    await asyncio.sleep(0.5 if event.plan == "slow" else 0.01)
    call(ctx, "charge")
    return Charged(event.order_id, event.plan)


@payments.compensation(of=charge)
async def refund(event: NoWay | CalledBack | Aborted, charged: Charged | None, ctx: Context) -> Refunded:
    await asyncio.sleep(0.01)
    call(ctx, "refund")
    return Refunded(ctx.saga_id)
