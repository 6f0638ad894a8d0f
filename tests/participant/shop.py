"""The events that the tests declare handlers for, and their sagas."""

from choreo import Saga, event


@event(namespace="shop")
class Ordered:
    order_id: str
    quantity: int = 1


@event(namespace="shop")
class Fulfilled:
    order_id: str


@event(namespace="shop")
class Failed:
    order_id: str
    reason: str = ""


@event(namespace="shop")
class Cancelled:
    order_id: str


@event(namespace="shop")
class Reserved:
    order_id: str


@event(namespace="shop")
class Backordered:
    order_id: str
    days: int = 1


@event(namespace="shop")
class Unavailable:
    order_id: str
    reason: str = ""


@event(namespace="shop")
class Released:
    order_id: str


@event(namespace="shop")
class BackorderDropped:
    order_id: str


@event(namespace="shop")
class Paid:
    order_id: str


@event(namespace="shop")
class PaymentFailed:
    order_id: str
    reason: str = ""


@event(namespace="shop")
class Refunded:
    order_id: str


@event(namespace="shop")
class Packed:
    order_id: str


@event(namespace="shop")
class PackingFailed:
    order_id: str
    reason: str = ""


@event(namespace="shop")
class Unpacked:
    order_id: str


@event(namespace="bank")
class Debited:
    order_id: str


class NotAnEvent:
    """A plain class."""


shopping = Saga("shopping", starts=Ordered, completes=Fulfilled, fails=Failed, aborts=Cancelled)
returning = Saga("returning", starts=Fulfilled, completes=Refunded, fails=PaymentFailed)
