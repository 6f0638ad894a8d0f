"""Handlers that run outside of the transaction: what is declared, and what is refused."""

from __future__ import annotations

import pytest

from choreo import Aborted, Context, Participant
from tests.participant.refusal import refused
from tests.participant.shop import Backordered, Ordered, PaymentFailed, Released, Reserved, Unavailable


async def reserve(event: Ordered, ctx: Context) -> Reserved: ...


def reserve_plainly(event: Ordered, ctx: Context) -> Reserved: ...


def test_where_a_handler_runs_follows_from_its_declaration(inventory: Participant) -> None:
    """And so does whether an attempt that raised may have had effects."""
    inventory.action(fails=Unavailable)(reserve)
    (handler,) = inventory.handlers
    assert (handler.runs, handler.is_outside, handler.partial) == ("coroutine", True, True)


@pytest.mark.parametrize(
    ("options", "runs", "partial"),
    [
        ({}, "inside", False),
        ({"partial": True}, "inside", True),
        ({"blocking": True}, "thread", True),
        ({"blocking": True, "partial": False}, "thread", False),
    ],
)
def test_blocking_and_partial(
    inventory: Participant, options: dict[str, bool], runs: str, partial: bool
) -> None:
    """Each can be said; what runs in a thread is partial unless it says no."""
    inventory.action(fails=Unavailable, **options)(reserve_plainly)  # type: ignore[call-overload]
    (handler,) = inventory.handlers
    assert (handler.runs, handler.partial) == (runs, partial)


def test_both_ways_at_once_are_refused(inventory: Participant) -> None:
    """A coroutine needs no thread."""
    with refused("async def runs on the event loop", hint="drop one"):
        inventory.action(fails=Unavailable, blocking=True)(reserve)


def test_an_observer_that_is_a_coroutine_is_refused(inventory: Participant) -> None:
    """It works in the transaction of its event."""

    async def look(event: Reserved, ctx: Context) -> None: ...

    with refused("an observer runs inside the transaction", hint="plain def"):
        inventory.observer(look)


def test_the_database_in_a_handler_outside_is_refused(inventory: Participant) -> None:
    """Where it stands in the handler's own code, it is seen at declaration."""

    async def reserve_in_vain(event: Ordered, ctx: Context) -> Reserved:
        ctx.db.execute("select 1")
        return Reserved(event.order_id)

    with refused("it uses ctx.db, but runs outside", hint="write in an action that follows"):
        inventory.action(fails=Unavailable)(reserve_in_vain)


def test_a_pivot_must_say_that_it_is_not_partial(inventory: Participant) -> None:
    """Nothing could undo it."""
    with refused("a pivot has no compensation", hint="partial=False"):
        inventory.action(kind="pivot", fails=Unavailable)(reserve)
    inventory.action(kind="pivot", fails=Unavailable, partial=False)(reserve)


def test_a_retriable_action_is_never_partial(inventory: Participant) -> None:
    """It is repeated until it succeeds."""
    with refused("retried until it succeeds", hint="drop partial="):
        inventory.action(kind="retriable", partial=True)(reserve)
    inventory.action(kind="retriable")(reserve)
    assert not inventory.handlers[0].partial


def test_a_compensation_of_a_partial_action_must_do_without_its_result(inventory: Participant) -> None:
    """An attempt that raised has none."""
    inventory.action(fails=Unavailable)(reserve)

    def release(event: PaymentFailed | Aborted, reserved: Reserved) -> Released: ...

    with refused("parameter 'reserved' has no event", hint="… | None"):
        inventory.compensation(of=reserve)(release)


def test_a_compensation_of_a_partial_action_must_admit_aborted(inventory: Participant) -> None:
    """No event of another step calls it then."""
    inventory.action(fails=Unavailable)(reserve)

    def release(event: PaymentFailed, reserved: Reserved | None) -> Released: ...

    with refused("no event fills parameter 'event'", hint="… | Aborted"):
        inventory.compensation(of=reserve)(release)


def test_a_partial_action_has_one_compensation(inventory: Participant) -> None:
    """Without a result, nobody could choose among several."""

    async def choose(event: Ordered) -> Reserved | Backordered: ...

    inventory.action(fails=Unavailable)(choose)

    def release(event: PaymentFailed | Aborted, reserved: Reserved | None) -> Released: ...

    with refused("which of several compensations", hint="one for all of its success events"):
        inventory.compensation(of=choose)(release)


def test_an_action_that_is_not_partial_needs_none_of_it(inventory: Participant) -> None:
    """Its compensation runs only after a success."""
    inventory.action(fails=Unavailable, partial=False)(reserve)

    @inventory.compensation(of=reserve, blocking=True)
    def release(event: PaymentFailed, reserved: Reserved) -> Released: ...

    assert inventory.handlers[1].runs == "thread"
