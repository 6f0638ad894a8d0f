"""Handlers that were renamed (R9): a saga is folded under the names that it knows, as if they had stayed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from choreo.envelope import Envelope, event_id
from choreo.outcome import COMPENSATED, FAILED, START, SUCCEEDED, TIMED_OUT
from choreo.protocol import (
    Action,
    Answer,
    Begin,
    Buried,
    Compensation,
    Contract,
    Deadline,
    Deferred,
    Discarded,
    Due,
    Ended,
    Instance,
    Moved,
    Observed,
    Observer,
    Queue,
    Requeued,
    Role,
    Run,
    Trigger,
    fold,
)
from choreo.protocol.decisions import Arm, Disarm
from choreo.protocol.renaming import name_in, role_for

CONTRACT = Contract("order", "OrderCreated", "OrderFulfilled", "OrderFailed")
NAMES = (
    ("pay.take", "pay.collect", "pay.charge"),
    ("pay.tally", "pay.count", "pay.look"),
    ("pay.tardy", "pay.slow", "pay.late"),
)
SHIP_ENDED = ("ShipFailed", "ShipUndone")


def role(pay: str, look: str, late: str, names: tuple[tuple[str, ...], ...] = ()) -> Role:
    """Return the payments, with these names: a step that its own deadline watches, and an observer."""
    undo = Compensation(Trigger.of(*SHIP_ENDED), "Refunded")
    return Role(
        "pay",
        CONTRACT,
        (Action(pay, Trigger.of("OrderCreated"), failure="NotPaid", compensations=(undo,), partial=True),),
        (Observer(look, Trigger.of("OrderCreated", "Paid", "ShipFailed")),),
        (Deadline(late, pay, Trigger.of("OrderCreated"), "PaymentLate"),),
        names=names,
    )


def event(step: str, outcome: str, event_type: str, kind: str = "compensatable") -> Envelope:
    """Return an event of the order."""
    unique = event_id("s-1", "order", step, outcome, event_type)
    return Envelope(unique, step, event_type, 0, "s-1", "order", 1, step, outcome, kind)


CREATED = event(START, SUCCEEDED, "OrderCreated", "start")
SHIP_FAILED = event("ship", FAILED, "ShipFailed")
TODAY = role("pay.charge", "pay.look", "pay.late", NAMES)


def inputs(pay: str, look: str, late: str) -> list[Any]:
    """Return every input that names one of the handlers, and some that name none."""
    return [
        CREATED,
        event("ship", SUCCEEDED, "Shipped"),
        SHIP_FAILED,
        event("ship", COMPENSATED, "ShipUndone"),
        event(START, COMPENSATED, "OrderFailed", "start"),
        event(pay, SUCCEEDED, "Paid"),
        event(pay, FAILED, "NotPaid"),
        event(pay, TIMED_OUT, "PaymentLate"),
        event(pay, COMPENSATED, "Refunded"),
        Begin(pay),
        Ended(pay, SUCCEEDED, "Paid"),
        Ended(pay, FAILED, "NotPaid"),
        Ended(pay, FAILED, "", "partial"),
        Ended(pay, COMPENSATED, "Refunded"),
        Deferred(pay),
        Buried(pay),
        Requeued(pay),
        Discarded(pay),
        Observed(look),
        Deferred(look),
        Buried(look),
        Requeued(look, CREATED.id),
        Due(late),
        Discarded(late),
    ]


NUMBERS = st.lists(st.integers(0, len(inputs("", "", "")) - 1), max_size=12)


@given(st.tuples(*(st.sampled_from(each) for each in NAMES)), NUMBERS)
@settings(max_examples=150, deadline=None)
def test_a_saga_is_folded_under_the_names_that_it_knows(names: tuple[str, str, str], numbers: Any) -> None:
    """Each decision, and the saga after it, are those of a release that has these names alone."""
    given = inputs(*names)
    then, now, now_saga = role(*names), TODAY, Instance()
    then_saga = Instance()
    now_saga.names = frozenset(names)
    for item in (given[0], *(given[number] for number in numbers)):
        then_saga, decided = fold(then, then_saga, item)
        now_saga, decides = fold(now, now_saga, item)
        assert decides == decided
    now_saga.names = frozenset()
    assert now_saga == then_saga


@given(st.tuples(*(st.sampled_from(each) for each in NAMES)), NUMBERS)
@settings(max_examples=100, deadline=None)
def test_commands_that_use_another_name_are_the_saga_s(names: tuple[str, str, str], numbers: Any) -> None:
    """A row of the schedule or a letter of any release does what it was for."""
    own, others = inputs("pay.charge", "pay.look", "pay.late"), inputs(*names)
    one, other = fold(TODAY, Instance(), CREATED)[0], fold(TODAY, Instance(), CREATED)[0]
    for number in numbers:
        is_event = type(own[number]) is Envelope
        one, decided = fold(TODAY, one, own[number])
        other, decides = fold(TODAY, other, own[number] if is_event else others[number])
        assert decides == decided


def test_a_saga_goes_on_with_the_first_name_that_it_is_told() -> None:
    """Its start was folded by a release with one name, the work of the next one has another."""
    saga, decided = fold(TODAY, Instance(), Requeued("pay.count", "e1"))
    assert decided == [Queue("observer", "pay.count")]
    saga, decided = fold(TODAY, saga, CREATED)
    assert decided == [Queue("action", "pay.charge"), Arm("pay.late")]
    assert saga.observers == {"pay.count": ("e1", CREATED.id)}


def test_a_step_that_two_releases_did_is_undone_under_both_names() -> None:
    """They didn't know of each other: neither effect stays, and both are confirmed."""
    saga = Instance()
    saga.names = frozenset({"pay.charge", "pay.take"})
    saga = fold(TODAY, saga, CREATED)[0]
    for step in ("pay.charge", "pay.take"):
        for item in (Begin(step), Ended(step, SUCCEEDED, "Paid")):
            saga = fold(TODAY, saga, item)[0]
    decided = fold(TODAY, saga, SHIP_FAILED)[1]
    assert {each.name for each in decided if type(each) is Queue and each.task == "compensation"} == {
        "pay.charge",
        "pay.take",
    }


def test_an_observer_sees_an_event_once_under_whatever_names() -> None:
    """Two names are no two observers."""
    saga = Instance()
    saga.names = frozenset({"pay.look", "pay.count"})
    saga, decided = fold(TODAY, saga, CREATED)
    assert [each.name for each in decided if type(each) is Queue and each.task == "observer"] == ["pay.count"]
    assert fold(TODAY, saga, Observed("pay.look"))[0].observers == {}


def test_its_own_deadline_watches_the_step_under_the_name_of_the_saga() -> None:
    """So its outcome disarms it, and its timeout is that of the step that others see."""
    saga = Instance()
    saga.names = frozenset({"pay.take"})
    saga = fold(TODAY, saga, CREATED)[0]
    assert role_for(TODAY, saga).deadline["pay.late"].of == "pay.take"
    saga = fold(TODAY, saga, Begin("pay.take"))[0]
    saga = fold(TODAY, saga, Ended("pay.take", SUCCEEDED, "Paid"))[0]
    assert Disarm("pay.late") in fold(TODAY, saga, event("pay.take", SUCCEEDED, "Paid"))[1]


@pytest.mark.parametrize("timed_out", ["pay.charge", "pay.take"])
@pytest.mark.parametrize("known", ["pay.charge", "pay.take"])
@pytest.mark.parametrize("began", [False, True])
def test_a_timeout_under_any_name_rolls_the_step_back(timed_out: str, known: str, began: bool) -> None:
    """Everyone takes the event for what it says, so the saga is aborted; what was done is undone."""
    saga = Instance()
    saga.names = frozenset({known})
    saga = fold(TODAY, saga, CREATED)[0]
    if began:
        saga = fold(TODAY, saga, Begin(known))[0]
    saga, decided = fold(TODAY, saga, event(timed_out, TIMED_OUT, "PaymentLate"))
    assert saga.failing == timed_out
    if not began:
        assert Moved(known, "pending", "refused") in decided
        return
    saga = fold(TODAY, saga, Ended(known, SUCCEEDED, "Paid"))[0]
    saga = fold(TODAY, saga, event(known, SUCCEEDED, "Paid"))[0]
    saga = fold(TODAY, saga, SHIP_FAILED)[0]  # the answer of the next step, which is refused
    assert saga.step(known).state == "compensating"


def test_a_role_without_renames_is_what_it_was() -> None:
    """And names that it doesn't know are left alone."""
    plain = role("pay.charge", "pay.look", "pay.late")
    saga = fold(plain, Instance(), CREATED)[0]
    assert role_for(plain, saga) is plain
    assert role_for(TODAY, saga) is TODAY
    assert name_in(TODAY, saga, "ship") == "ship"
    assert fold(plain, saga, Begin("pay.charge"))[1][-1] == Run("action", "pay.charge")
    assert Answer not in map(type, fold(plain, saga, Discarded("pay.late"))[1])
