"""What it costs a step to run outside of the transaction: an idle ``async def`` beside an idle ``def``."""

from __future__ import annotations

from statistics import median
from typing import Any

from choreo import Aborted, Context, Participant
from examples.orders.contract import (
    InventoryReserved,
    InventoryUnavailable,
    OrderCreated,
    ReservationReleased,
    order_fulfilment,
)
from tests.programs.bench.site import Site
from tests.programs.bench.work import at_work


def measure(where: Site, steps: int, rounds: int) -> dict[str, Any]:
    """Return steps a second of both, in turn, and what the one costs over the other."""
    plain, outside = [], []
    for _ in range(rounds):
        plain.append(_steps_per_s(where, _plain(), steps, turns=2))
        outside.append(_steps_per_s(where, _outside(), steps, turns=3))
    microseconds = [1e6 / slow - 1e6 / fast for fast, slow in zip(plain, outside, strict=True)]
    return {
        "bench": "async",
        "broker": where.broker,
        "def_steps_per_s": round(median(plain)),
        "async_steps_per_s": round(median(outside)),
        "overhead_us": round(median(microseconds)),
        "steps": steps,
        "rounds": rounds,
    }


def _steps_per_s(where: Site, participant: Participant, steps: int, turns: int) -> float:
    with at_work(where, participant) as work:
        work.feed.orders(work.topic, steps)
        return steps / work.until_done(turns * steps)


def _plain() -> Participant:
    participant = Participant("inventory", sagas=[order_fulfilment])

    @participant.action(fails=InventoryUnavailable)
    def reserve(event: OrderCreated) -> InventoryReserved:
        return _reserved(event)

    _undone(participant, reserve)
    return participant


def _outside() -> Participant:
    participant = Participant("inventory", sagas=[order_fulfilment])

    @participant.action(fails=InventoryUnavailable)
    async def reserve(event: OrderCreated) -> InventoryReserved:
        return _reserved(event)

    _undone(participant, reserve)
    return participant


def _reserved(event: OrderCreated) -> InventoryReserved:
    return InventoryReserved(event.order_id, event.customer, event.total, event.address)


def _undone(participant: Participant, action: Any) -> None:
    @participant.compensation(of=action)
    def release(event: Aborted, reserved: InventoryReserved | None, ctx: Context) -> ReservationReleased:
        return ReservationReleased(ctx.saga_id)
