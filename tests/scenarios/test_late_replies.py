"""Timeout against late reply: the first in the log is the outcome, at every step of order fulfilment."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from choreo import Context, Participant, event
from choreo.outcome import START
from choreo.ports import Publication
from examples.orders.contract import (
    InventoryReserved,
    OrderCreated,
    PaymentProcessed,
    order_fulfilment,
)
from tests.broker.any_broker import AnyBroker
from tests.scenarios.shop import PARTICIPANTS, compensated, scenarios
from tests.scenarios.stage import Stage, header

RESERVE, PAY, SHIP = (
    "inventory.reserve_inventory",
    "payments.process_payment",
    "shipping.create_shipment",
)
SOON = timedelta(milliseconds=50)


@event(namespace="shop")
class ReservationOverdue:
    """Inventory has not answered in time."""

    order_id: str


@event(namespace="shop")
class PaymentOverdue:
    """Payments has not answered in time."""

    order_id: str


@event(namespace="shop")
class ShipmentOverdue:
    """Shipping has not answered in time."""

    order_id: str


class Case(NamedTuple):
    """A step, what it replies for an order, the order of replies, and what has to be undone then."""

    step: str
    reply: str
    order: OrderCreated
    overdue: str
    late: bool
    undone: tuple[str, ...]


class HeldBack:
    """Keeps two events of a step until they are released, in the order that the test wants."""

    def __init__(self, *event_types: str) -> None:
        self.event_types = event_types
        self.kept: dict[str, list[Publication]] = {}

    def __call__(self, publication: Publication) -> Iterable[Publication]:
        event_type = header(publication, "ce_type")
        if event_type not in self.event_types:
            return (publication,)
        self.kept.setdefault(event_type, []).append(publication)
        return ()


def overseer(step: str) -> Participant:
    """Make a participant that sets a deadline on one step: the others may take as long as they need."""
    made = Participant("overseer", sagas=[order_fulfilment])

    def reservation(event: OrderCreated, ctx: Context) -> ReservationOverdue:
        return ReservationOverdue(ctx.saga_id)

    def payment(event: InventoryReserved, ctx: Context) -> PaymentOverdue:
        return PaymentOverdue(ctx.saga_id)

    def shipment(event: PaymentProcessed, ctx: Context) -> ShipmentOverdue:
        return ShipmentOverdue(ctx.saga_id)

    handlers: dict[str, Any] = {RESERVE: reservation, PAY: payment, SHIP: shipment}
    made.deadline(of=step, within=SOON)(handlers[step])
    return made


def cases() -> list[Case]:
    """Return every step, with a reply that is a success or a failure, and both orders."""
    orders = {each.fails_at: each.order for each in scenarios() if not each.order.order_id.endswith("slow")}
    steps = [
        (RESERVE, "shop.InventoryReserved", "shop.InventoryUnavailable", "shop.ReservationOverdue"),
        (PAY, "shop.PaymentProcessed", "shop.PaymentFailed", "shop.PaymentOverdue"),
        (SHIP, "shop.ShipmentCreated", "shop.ShipmentFailed", "shop.ShipmentOverdue"),
    ]
    before: tuple[str, ...] = (START,)
    made = []
    for step, success, failure, overdue in steps:
        undone = (step, *before)
        made += [
            Case(step, success, orders[""], overdue, late=True, undone=undone),
            Case(step, success, orders[""], overdue, late=False, undone=()),
            Case(step, failure, orders[step], overdue, late=True, undone=undone),
            Case(step, failure, orders[step], overdue, late=False, undone=before),
        ]
        before = undone
    return made


def name_of(case: Case) -> str:
    """Name a case for pytest's -k."""
    order = "timeout-first" if case.late else "reply-first"
    return f"{case.step.split('.')[1]}-{case.reply.split('.')[1]}-{order}"


def is_known(stage: Stage, saga_id: str, event_type: str) -> bool:
    """Whether every participant has folded an event of a saga."""
    return all(
        any(entry.input == "event" and entry.event_type == event_type for entry in store.history(saga_id))
        for store in stage.stores.values()
    )


@pytest.mark.parametrize("case", cases(), ids=name_of)
def test_a_timeout_and_a_reply_have_one_winner(
    any_broker: AnyBroker, tmp_path: Path, topic: str, monkeypatch: pytest.MonkeyPatch, case: Case
) -> None:
    """All agree on it; a late success starts no next step; stock and money balance."""
    monkeypatch.setattr(order_fulfilment, "topic", topic)
    held = HeldBack(case.reply, case.overdue)
    stage = Stage(any_broker, tmp_path, topic, (*PARTICIPANTS, overseer(case.step)), change=held)
    saga_id = stage.place(case.order)
    stage.until(lambda: len(held.kept) == 2)
    for event_type in sorted(held.event_types, key=lambda each: (each == case.overdue) != case.late):
        owner = "overseer" if event_type == case.overdue else case.step.split(".")[0]
        stage.wires[owner].log.publish(held.kept[event_type])
        stage.until(lambda event_type=event_type: is_known(stage, saga_id, event_type))
    stage.until_quiet([saga_id])

    loser = case.reply if case.late else case.overdue
    failed = bool(case.undone)
    assert stage.ends(saga_id) == {"failed" if failed else "completed"}
    for name in stage.stores:
        history = stage.history(name, saga_id)
        void = {entry.event_type for entry in history if entry.input == "event" and entry.note == "void"}
        assert void == {loser}
        assert compensated(history) == list(case.undone)
    stage.assert_balance(fulfilled=0 if failed else 1)
    stage.close()
