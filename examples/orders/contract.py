"""The contract: the events of order fulfilment, and how the saga starts and ends."""

from choreo import Saga, event


@event(namespace="shop")
class OrderCreated:
    """A customer placed an order; ``total`` is in cents."""

    order_id: str
    customer: str
    sku: str
    quantity: int
    total: int
    address: str


@event(namespace="shop")
class InventoryReserved:
    """The goods are set aside."""

    order_id: str
    customer: str
    total: int
    address: str


@event(namespace="shop")
class InventoryUnavailable:
    """There is not enough in stock."""

    order_id: str
    reason: str


@event(namespace="shop")
class ReservationReleased:
    """The goods are back in stock."""

    order_id: str


@event(namespace="shop")
class PaymentProcessed:
    """The customer has paid."""

    order_id: str
    customer: str
    address: str


@event(namespace="shop")
class PaymentFailed:
    """The customer could not pay."""

    order_id: str
    reason: str


@event(namespace="shop")
class PaymentRefunded:
    """The customer has the money back."""

    order_id: str


@event(namespace="shop")
class ShipmentCreated:
    """The parcel is on its way."""

    order_id: str
    customer: str


@event(namespace="shop")
class ShipmentFailed:
    """No carrier goes there."""

    order_id: str
    reason: str


@event(namespace="shop")
class ShipmentCancelled:
    """The parcel came back."""

    order_id: str


@event(namespace="shop")
class OrderFulfilled:
    """The end, all well."""

    order_id: str


@event(namespace="shop")
class OrderFailed:
    """The end, everything undone."""

    order_id: str
    reason: str


order_fulfilment = Saga("order-fulfilment", starts=OrderCreated, completes=OrderFulfilled, fails=OrderFailed)
