"""With ``from __future__ import annotations`` every annotation is a string, and means the same."""

from __future__ import annotations

from choreo import Aborted, Context, Participant, event
from choreo.protocol import Trigger
from tests.participant.refusal import refused
from tests.participant.shop import Ordered, Paid, PaymentFailed, Released, Reserved, Unavailable, shopping

inventory = Participant("inventory", sagas=[shopping])


@inventory.action(fails=Unavailable)
def reserve(event: Ordered | Paid, ctx: Context) -> Reserved:
    return Reserved(event.order_id)


@inventory.compensation(of=reserve)
def release(event: PaymentFailed | Aborted, reserved: Reserved | None, ctx: Context) -> Released:
    return Released("")


def test_handlers_of_a_module_are_read() -> None:
    """The module's names are found."""
    action, compensation = inventory.handlers
    assert action.trigger == Trigger.of("shop.Ordered", "shop.Paid")
    assert action.parameters[1].is_context
    assert compensation.result_parameter is not None
    assert compensation.result_parameter.optional


def test_local_events_are_read() -> None:
    """The names of the function that declares are found too, in fields as well."""

    @event(namespace="shop")
    class Label:
        text: str

    @event(namespace="shop")
    class Weighed:
        label: Label

    @event(namespace="shop")
    class TooHeavy:
        label: Label

    shipping = Participant("shipping", sagas=[shopping])

    @shipping.action(fails=TooHeavy)
    def ship(event: Weighed) -> Label: ...

    assert shipping.handlers[0].trigger == Trigger.of("shop.Weighed")


def test_a_name_that_there_is_not_is_refused() -> None:
    """As it would be at run time, but before it."""
    shipping = Participant("inventory", sagas=[shopping])
    with refused("name 'Misspelt' is not defined", hint="not under TYPE_CHECKING"):

        @shipping.action(fails=Unavailable)
        def ship(event: Misspelt) -> Reserved: ...  # noqa: F821
