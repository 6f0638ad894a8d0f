"""Annotations say what calls a handler: any of, all of, nested, with results and `Aborted`."""

from typing import Union

import pytest

from choreo import Aborted, Context, Participant, all_of
from choreo.errors import DeclarationError
from choreo.participant.triggers import trigger_of
from choreo.protocol import Trigger, serves
from tests.participant.shop import (
    BackorderDropped,
    Backordered,
    Ordered,
    Packed,
    PackingFailed,
    Paid,
    PaymentFailed,
    Refunded,
    Released,
    Reserved,
    Unavailable,
    Unpacked,
    shopping,
)


def test_a_union_is_any_of_its_events(inventory: Participant) -> None:
    """Either event calls the handler."""

    @inventory.action(fails=Unavailable)
    def reserve(event: Ordered | Paid, ctx: Context) -> Reserved: ...

    (handler,) = inventory.handlers
    assert handler.trigger == Trigger.of("shop.Ordered", "shop.Paid")
    assert [parameter.is_context for parameter in handler.parameters] == [False, True]


def test_typing_union_is_a_union_too(inventory: Participant) -> None:
    """The older spelling means the same."""

    @inventory.observer
    def project(event: Union[Ordered, Paid]) -> None: ...  # noqa: UP007

    assert inventory.handlers[0].trigger == Trigger.of("shop.Ordered", "shop.Paid")


def test_several_event_parameters_are_a_join(inventory: Participant) -> None:
    """The handler is called once every parameter has its event."""

    @inventory.action(fails=Unavailable)
    def reserve(order: Ordered, paid: Paid | Refunded) -> Reserved: ...

    assert inventory.handlers[0].trigger == Trigger.all_of(
        Trigger.of("shop.Ordered"), Trigger.of("shop.Paid", "shop.Refunded")
    )


def test_on_may_nest_joins_in_alternatives(inventory: Participant) -> None:
    """``A | all_of(B, C)``, and the parameters of either part may be None."""

    @inventory.action(fails=Unavailable, on=Ordered | all_of(Paid, Packed))
    def reserve(order: Ordered | None, paid: Paid | None) -> Reserved: ...

    (handler,) = inventory.handlers
    assert str(handler.trigger) == "shop.Ordered | shop.Packed & shop.Paid"
    assert handler.callers == (Ordered, Paid, Packed)
    assert Packed in inventory.events


def test_joins_may_nest_alternatives() -> None:
    """``all_of(A | B, C) | D`` reads from either side, and is written as it was given."""
    condition = all_of(Ordered | Paid, Packed) | Reserved
    assert repr(condition).startswith("all_of(")
    assert repr(Ordered | all_of(Paid, Packed)) == "Ordered | all_of(Paid, Packed)"


def test_on_may_call_a_handler_without_event_parameters(inventory: Participant) -> None:
    """A handler that needs only the context says its trigger with on=."""

    @inventory.action(fails=Unavailable, on=Ordered)
    def reserve(ctx: Context) -> Reserved: ...

    assert inventory.handlers[0].trigger == Trigger.of("shop.Ordered")
    assert inventory.handlers[0].event_parameters == ()


def test_emits_overrides_the_return_annotation(inventory: Participant) -> None:
    """For a function that can't be annotated."""

    @inventory.action(fails=Unavailable, emits=Reserved | Backordered)
    def reserve(event: Ordered): ...

    assert list(inventory.handlers[0].successes) == ["shop.Reserved", "shop.Backordered"]
    assert list(inventory.handlers[0].emits) == ["shop.Reserved", "shop.Backordered", "shop.Unavailable"]


def test_a_returned_failure_event_is_no_success(inventory: Participant) -> None:
    """Of several failure events the first is the answer to a refusal."""

    @inventory.action(fails=(Unavailable, PackingFailed))
    def reserve(event: Ordered) -> Reserved | Unavailable | PackingFailed: ...

    inventory.compensation(of=reserve)(release)
    assert list(inventory.handlers[0].successes) == ["shop.Reserved"]
    assert inventory.roles()["shopping"].actions[0].failure == "shop.Unavailable"


def release(event: PaymentFailed) -> Released: ...


def test_the_result_parameter_is_recognized_by_its_event(inventory: Participant) -> None:
    """It takes what the action did, and calls nothing."""
    inventory.action(fails=Unavailable)(reserve)

    @inventory.compensation(of=reserve)
    def release(
        event: PaymentFailed | Aborted,
        reserved: Reserved | None,
        ctx: Context,
    ) -> Released: ...

    undo = inventory.handlers[1]
    assert undo.step == "inventory.reserve"
    assert undo.trigger == Trigger.of("shop.PaymentFailed")
    result = undo.result_parameter
    assert result is not None
    assert (result.name, result.types, result.optional) == ("reserved", ("shop.Reserved",), True)
    (calls,) = undo.event_parameters
    assert (calls.admits_aborted, calls.types) == (True, ("shop.PaymentFailed",))


def reserve(event: Ordered) -> Reserved: ...


def test_aborted_alone_makes_a_leaf(inventory: Participant) -> None:
    """A step that no other step's failure calls is undone on the saga's first failure."""
    inventory.action(fails=Unavailable)(reserve)

    @inventory.compensation(of="reserve")
    def release(event: Aborted, reserved: Reserved) -> Released: ...

    (undo,) = inventory.roles()["shopping"].actions[0].compensations
    assert undo.is_leaf
    assert Aborted not in inventory.events


def test_aborted_may_be_given_with_on(inventory: Participant) -> None:
    """A leaf that doesn't ask why needs no event parameter."""
    inventory.action(fails=Unavailable)(reserve)

    @inventory.compensation(of="inventory.reserve", on=Aborted)
    def release(reserved: Reserved) -> Released: ...

    assert inventory.roles()["shopping"].actions[0].compensations[0].is_leaf


def test_a_compensation_may_join_parallel_successors(inventory: Participant) -> None:
    """Each branch confirms with one of its events, and a late own outcome gives `Aborted`."""
    inventory.action(fails=Unavailable)(reserve)

    @inventory.compensation(of=reserve)
    def release(
        pay: PaymentFailed | Refunded | Aborted, pack: PackingFailed | Unpacked | Aborted
    ) -> Released: ...

    trigger = inventory.handlers[1].trigger
    assert len(trigger.slots) == 2
    assert trigger.satisfied({"shop.Refunded", "shop.PackingFailed"})


def test_a_choice_may_have_one_compensation_for_each_success_event(inventory: Participant) -> None:
    """The type of the result parameter tells them apart; they may end in the same event."""

    @inventory.action(fails=Unavailable)
    def choose(event: Ordered) -> Reserved | Backordered: ...

    @inventory.compensation(of=choose)
    def release(event: PaymentFailed, reserved: Reserved) -> Released: ...

    @inventory.compensation(of=choose)
    def drop(event: PaymentFailed, backordered: Backordered) -> BackorderDropped: ...

    undos = inventory.roles()["shopping"].actions[0].compensations
    assert [(undo.answer, set(undo.results)) for undo in undos] == [
        ("shop.Released", {"shop.Reserved"}),
        ("shop.BackorderDropped", {"shop.Backordered"}),
    ]


def test_a_choice_may_have_one_compensation_for_all(inventory: Participant) -> None:
    """Its result parameter takes either event, or there is none."""

    @inventory.action(fails=Unavailable)
    def choose(event: Ordered) -> Reserved | Backordered: ...

    @inventory.compensation(of=choose)
    def release(event: PaymentFailed, done: Reserved | Backordered) -> Released: ...

    (undo,) = inventory.roles()["shopping"].actions[0].compensations
    assert serves(undo, "shop.Reserved")
    assert serves(undo, "shop.Backordered")


def test_the_start_is_undone_by_whoever_started_it(inventory: Participant) -> None:
    """Its result is the event that started the saga."""

    @inventory.compensation(of=shopping.start)
    def fail(event: Unavailable | Released, order: Ordered) -> shopping.fails: ...

    role = inventory.roles()["shopping"]
    assert role.owns_start
    assert role.actions[0].compensations[0].results == {"shop.Ordered"}


def test_a_union_may_have_many_joins() -> None:
    """However it is put together, it is one union."""
    condition = Ordered | all_of(Paid, Packed)
    for _ in range(1200):
        condition |= all_of(Paid, Reserved)
    assert str(trigger_of(condition)) == "shop.Ordered | (shop.Packed | shop.Reserved) & shop.Paid"


def test_joins_nested_without_end_are_refused() -> None:
    """Up to as many levels as a manifest may have."""
    condition = all_of(Ordered, Paid)
    for _ in range(63):
        condition = all_of(Ordered | condition, Paid)
    assert trigger_of(condition) == Trigger.all_of(Trigger.of("shop.Ordered"), Trigger.of("shop.Paid"))
    with pytest.raises(DeclarationError, match="nested in each other, 65 of them, of at most 64"):
        all_of(Ordered | condition, Paid)
