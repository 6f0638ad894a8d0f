"""The example's declarations, as the protocol sees them."""

import pytest

from choreo import Participant
from choreo.graph import derive
from choreo.protocol import Action, Compensation, Contract, Observer, Role, Trigger
from examples.orders.inventory import inventory
from examples.orders.notifications import notifications
from examples.orders.orders import orders
from examples.orders.payments import payments
from examples.orders.shipping import shipping

CONTRACT = Contract("order-fulfilment", "shop.OrderCreated", "shop.OrderFulfilled", "shop.OrderFailed")


def undo(trigger: Trigger, answer: str, result: str) -> tuple[Compensation, ...]:
    """Return one compensation, of one success event."""
    return (Compensation(trigger, f"shop.{answer}", frozenset({f"shop.{result}"})),)


def on(*names: str) -> Trigger:
    """Return any of these events of the shop."""
    return Trigger.of(*(f"shop.{name}" for name in names))


EXPECTED = {
    orders: (
        [
            Action(
                "start",
                Trigger(),
                "start",
                compensations=undo(
                    on("InventoryUnavailable", "ReservationReleased"), "OrderFailed", "OrderCreated"
                ),
            )
        ],
        [Observer("orders.close_order", on("OrderFulfilled"))],
    ),
    inventory: (
        [
            Action(
                "inventory.reserve_inventory",
                on("OrderCreated"),
                failure="shop.InventoryUnavailable",
                compensations=undo(
                    on("PaymentFailed", "PaymentRefunded"), "ReservationReleased", "InventoryReserved"
                ),
            )
        ],
        [],
    ),
    payments: (
        [
            Action(
                "payments.process_payment",
                on("InventoryReserved"),
                failure="shop.PaymentFailed",
                compensations=undo(
                    on("ShipmentCancelled", "ShipmentFailed"), "PaymentRefunded", "PaymentProcessed"
                ),
            )
        ],
        [],
    ),
    shipping: (
        [
            Action(
                "shipping.create_shipment",
                on("PaymentProcessed"),
                failure="shop.ShipmentFailed",
                compensations=undo(Trigger(), "ShipmentCancelled", "ShipmentCreated"),
            )
        ],
        [],
    ),
    notifications: (
        [Action("notifications.send_confirmation", on("ShipmentCreated"), "retriable")],
        [Observer("notifications.send_cancellation_notice", on("OrderFailed"))],
    ),
}


@pytest.mark.parametrize("participant", EXPECTED, ids=lambda participant: participant.name)
def test_the_roles_of_order_fulfilment(participant: Participant) -> None:
    """Each service has one step of the chain, and undoes it when the next one did not stand."""
    actions, observers = EXPECTED[participant]
    derive(EXPECTED)
    expected = Role(participant.name, CONTRACT, tuple(actions), tuple(observers))
    assert participant.roles() == {"order-fulfilment": expected}
