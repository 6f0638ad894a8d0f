"""Answers that no handler writes are built from what triggered the step."""

from uuid import UUID

import pytest

from choreo import DeclarationError, Participant, event
from choreo.participant.answers import build
from tests.participant.shop import Ordered, Packed, Paid, Reserved, Unavailable


@event(namespace="shop")
class SoldOut:
    order_id: str
    warehouse: str


def test_a_missing_field_is_mended_by_answer(inventory: Participant) -> None:
    """The answer is written by hand where it can't be copied."""

    def sold_out(event: Ordered, reason: str) -> SoldOut:
        return SoldOut(event.order_id, "north")

    @inventory.action(fails=SoldOut, answer=sold_out)
    def reserve(event: Ordered) -> Reserved: ...

    (handler,) = inventory.handlers
    assert build(SoldOut, [Ordered("o-1")], "aborted", handler.answer) == SoldOut("o-1", "north")


def test_a_missing_field_is_mended_by_a_default(inventory: Participant) -> None:
    """A field that has a default needs no source."""

    @event(namespace="shop")
    class Short:
        order_id: str
        warehouse: str = "north"

    @inventory.action(fails=Short)
    def reserve(event: Ordered) -> Reserved: ...

    assert build(Short, [Ordered("o-1")], "aborted") == Short("o-1", "north")


def test_an_answer_for_a_join_takes_the_events_that_have_come(inventory: Participant) -> None:
    """One event or all of them: the answer is called with what there is."""

    @inventory.action(fails=SoldOut, answer=lambda *events, reason: SoldOut(events[0].order_id, reason))
    def reserve(order: Ordered, paid: Paid, packed: Packed) -> Reserved: ...

    answer = inventory.handlers[0].answer
    assert build(SoldOut, [Paid("o-1")], "aborted", answer) == SoldOut("o-1", "aborted")
    assert build(SoldOut, [Ordered("o-1"), Paid("o-2")], "aborted", answer) == SoldOut("o-1", "aborted")


def test_the_reason_is_filled_in() -> None:
    """A field of that name says why."""
    assert build(Unavailable, [Ordered("o-1")], "aborted") == Unavailable("o-1", "aborted")


def test_a_field_of_another_type_keeps_its_default() -> None:
    """A value that doesn't fit would be refused only when it is encoded."""

    @event(namespace="shop")
    class Coded:
        order_id: str
        quantity: str = "none"
        reason: int = 0

    assert build(Coded, [Ordered("o-1", 5)], "aborted") == Coded("o-1", "none", 0)


def test_a_field_that_takes_more_is_filled() -> None:
    """An optional field takes what its source always has."""

    @event(namespace="shop")
    class Wide:
        order_id: str | None
        quantity: int | str

    assert build(Wide, [Ordered("o-1", 5)], "aborted") == Wide("o-1", 5)


def test_a_field_that_takes_less_is_not_filled() -> None:
    """What may be None in the source can't fill a field that is never None."""

    @event(namespace="shop")
    class Loose:
        order_id: str | None

    with pytest.raises(DeclarationError, match="no field order_id of the same type"):
        build(Reserved, [Loose(None)], "aborted")


def test_types_are_compared_resolved() -> None:
    """One module may write ``UUID`` and another ``uuid.UUID``."""

    @event(namespace="shop")
    class Written:
        key: "UUID"

    @event(namespace="shop")
    class Resolved:
        key: UUID

    assert build(Resolved, [Written(UUID(int=1))], "aborted") == Resolved(UUID(int=1))


def test_an_answer_of_another_event_is_refused() -> None:
    """The protocol has said which event is due."""
    with pytest.raises(DeclarationError, match=r"answer= gave a Packed, not a shop\.Unavailable") as caught:
        build(Unavailable, [Ordered("o-1")], "aborted", lambda event, reason: Packed(""))
    assert "Unavailable(…)" in caught.value.hint


def test_an_answer_may_be_the_event_class_itself(inventory: Participant) -> None:
    """A class is called as a function is."""

    @event(namespace="shop")
    class Why:
        cause: Ordered
        reason: str

    @inventory.action(fails=Why, answer=Why)
    def reserve(event: Ordered) -> Reserved: ...

    assert build(Why, [Ordered("o-1")], "aborted", Why) == Why(Ordered("o-1"), "aborted")
