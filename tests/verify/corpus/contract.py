"""The events of the corpus, and its saga: an order."""

from choreo import Saga, event


@event(namespace="shop")
class OrderCreated:
    order_id: str


@event(namespace="shop")
class OrderCancelled:
    order_id: str


@event(namespace="shop")
class OrderFulfilled:
    order_id: str


@event(namespace="shop")
class OrderFailed:
    order_id: str


@event(namespace="shop")
class Reserved:
    order_id: str


@event(namespace="shop")
class Backordered:
    order_id: str


@event(namespace="shop")
class Unavailable:
    order_id: str


@event(namespace="shop")
class Released:
    order_id: str


@event(namespace="shop")
class ReserveLate:
    order_id: str


@event(namespace="shop")
class Charged:
    order_id: str


@event(namespace="shop")
class Declined:
    order_id: str


@event(namespace="shop")
class Refunded:
    order_id: str


@event(namespace="shop")
class ChargeLate:
    order_id: str


@event(namespace="shop")
class Shipped:
    order_id: str


@event(namespace="shop")
class NotShipped:
    order_id: str


@event(namespace="shop")
class ShipmentCancelled:
    order_id: str


@event(namespace="shop")
class Invoiced:
    order_id: str


@event(namespace="shop")
class NotInvoiced:
    order_id: str


@event(namespace="shop")
class InvoiceVoided:
    order_id: str


@event(namespace="shop")
class InvoiceLate:
    order_id: str


@event(namespace="shop")
class Mailed:
    order_id: str


order = Saga("order", starts=OrderCreated, completes=OrderFulfilled, fails=OrderFailed)
cancellable = Saga(
    "order", starts=OrderCreated, completes=OrderFulfilled, fails=OrderFailed, aborts=OrderCancelled
)
