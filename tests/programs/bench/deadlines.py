"""Deadlines: how late they fire with many armed, and what arming and disarming one costs."""

from __future__ import annotations

import time
from datetime import timedelta
from statistics import median, quantiles
from typing import Any

from choreo import Context, Participant, event
from choreo.records import Scheduled
from examples.orders.contract import InventoryReserved, OrderCreated, order_fulfilment
from tests.programs.bench.site import Site
from tests.programs.bench.work import Work, at_work, seconds_until

STEP = "inventory.reserve_inventory"

_BETWEEN = timedelta(milliseconds=5)
"""The pause between two orders."""


@event(namespace="shop")
class ReservationOverdue:
    """Inventory has not answered in time."""

    order_id: str


def measure(where: Site, armed: int, fired: int, events: int, rounds: int) -> dict[str, Any]:
    """Fire some among many; and fold events with a deadline and without, in turn."""
    late = sorted(_lateness(where, armed, fired))
    arming, disarming = [], []
    for _ in range(rounds):
        without = _costs(where, _onlooker(), armed, events)
        with_it = _costs(where, _overseer(timedelta(hours=1)), armed, events)
        arming.append(with_it[0] - without[0])
        disarming.append(with_it[1] - without[1])
    return {
        "bench": "deadlines",
        "broker": where.broker,
        "armed": armed,
        "fired": fired,
        "late_p50_ms": round(late[len(late) // 2], 1),
        "late_p99_ms": round(quantiles(late, n=100)[-1], 1),
        "late_max_ms": round(late[-1], 1),
        "arm_us": round(median(arming)),
        "disarm_us": round(median(disarming)),
        "events": events,
        "rounds": rounds,
    }


def _lateness(where: Site, armed: int, fired: int) -> list[float]:
    """Return by how many milliseconds each fires after its time."""
    times: list[float] = []
    # None may pass before all are armed, however busy the machine is.
    with at_work(where, _overseer(3 * fired * _BETWEEN + timedelta(seconds=3), times)) as work:
        _arm(work, armed)
        for _ in range(fired):
            work.feed.order(work.topic)
            time.sleep(_BETWEEN.total_seconds())  # orders come one by one, so deadlines pass one by one
        work.feed.flush()
        work.until_done(fired)
        due = [row.due for row in work.store.due(time.time_ns() // 1_000_000 + 60_000, fired)]
        seconds_until(lambda: bool(work.worker.turn()) and len(times) == fired)
    return [at * 1000 - at_due for at, at_due in zip(sorted(times), due, strict=True)]


def _costs(where: Site, participant: Participant, armed: int, events: int) -> tuple[float, float]:
    """Return the microseconds of folding an order, and of folding the reservation that answers it."""
    with at_work(where, participant) as work:
        _arm(work, armed)
        sagas = work.feed.orders(work.topic, events)
        ordered = work.until_done(events)
        for saga_id in sagas:
            reserved = InventoryReserved(saga_id, "ada", 100, "home")
            work.feed.publish(work.topic, saga_id, reserved, "inventory", STEP, "compensatable")
        work.feed.flush()
        answered = work.until_done(events)
    return ordered / events * 1e6, answered / events * 1e6


def _arm(work: Work, armed: int) -> None:
    """Put deadlines of other sagas on the schedule, an hour off."""
    due = time.time_ns() // 1_000_000 + 3_600_000
    name, saga = "overseer.overdue", order_fulfilment.name
    with work.store.turn():
        work.store.schedule(
            Scheduled(f"armed-{number}", saga, "deadline", name, "e", due + number) for number in range(armed)
        )


def _overseer(within: timedelta, times: list[float] | None = None) -> Participant:
    participant = Participant("overseer", sagas=[order_fulfilment])

    @participant.deadline(of=STEP, within=within)
    def overdue(event: OrderCreated, ctx: Context) -> ReservationOverdue:
        if times is not None:
            times.append(time.time())
        return ReservationOverdue(ctx.saga_id)

    return participant


def _onlooker() -> Participant:
    """Make a participant that reads the same events, and does nothing."""
    participant = Participant("overseer", sagas=[order_fulfilment])

    @participant.observer
    def look(event: ReservationOverdue) -> None: ...

    return participant
