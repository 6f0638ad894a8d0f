"""``since`` and ``until``: of which versions of a saga a handler is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo import Aborted, Participant, Saga
from choreo.saga import ALL_VERSIONS, Versions, spans
from tests.participant.refusal import refused
from tests.participant.shop import (
    BackorderDropped,
    Backordered,
    Cancelled,
    Failed,
    Fulfilled,
    Ordered,
    Packed,
    PackingFailed,
    Paid,
    PaymentFailed,
    Released,
    Reserved,
    Unavailable,
)

third = Saga("shopping", starts=Ordered, completes=Fulfilled, fails=Failed, aborts=Cancelled, version=3)

versions = st.builds(
    lambda since, more: Versions(since, None if more is None else since + more),
    st.integers(1, 5),
    st.none() | st.integers(0, 3),
)


@pytest.fixture
def inventory() -> Participant:
    return Participant("inventory", sagas=[third])


def reserve(event: Ordered) -> Reserved: ...


def project(event: Fulfilled) -> None: ...


def late(event: Ordered) -> Unavailable: ...


Declare = Callable[..., Any]

DECLARE: dict[str, Declare] = {
    "action": lambda inventory, **given: inventory.action(fails=Unavailable, **given)(reserve),
    "observer": lambda inventory, **given: inventory.observer(**given)(project),
    "deadline": lambda inventory, **given: inventory.deadline(
        of="payments.charge", within=timedelta(1), **given
    )(late),
}


@pytest.mark.parametrize("declare", DECLARE.values(), ids=DECLARE)
@pytest.mark.parametrize("given_", [Versions(2), Versions(1, 1), Versions(2, 3), Versions(3, 9)])
def test_a_handler_is_of_its_versions(inventory: Participant, declare: Declare, given_: Versions) -> None:
    """With a lower bound, an upper one, or both; the upper one may be ahead of the saga."""
    declare(inventory, since=given_.since, until=given_.until)
    declare(other := Participant("inventory", sagas=[third]))
    assert (inventory.handlers[0].versions, other.handlers[0].versions) == (given_, ALL_VERSIONS)


@pytest.mark.parametrize("declare", DECLARE.values(), ids=DECLARE)
@pytest.mark.parametrize("option", ["since", "until"])
@pytest.mark.parametrize("value", [0, -1, True, "2", 1.0, (1,)])
def test_what_is_no_version_is_refused(
    inventory: Participant, declare: Declare, option: str, value: object
) -> None:
    """Versions are counted from 1."""
    with refused(f"{option}={value!r} is no version of a saga", hint="1, 2, 3 and so on"):
        declare(inventory, **{option: value})


@pytest.mark.parametrize("declare", DECLARE.values(), ids=DECLARE)
def test_bounds_in_the_wrong_order_are_refused(inventory: Participant, declare: Declare) -> None:
    """No saga would be between them."""
    with refused("since=3 is after until=2", hint="since=2, until=3"):
        declare(inventory, since=3, until=2)


@pytest.mark.parametrize("declare", DECLARE.values(), ids=DECLARE)
def test_a_version_that_the_saga_has_not_come_to_is_refused(inventory: Participant, declare: Declare) -> None:
    """Nothing would ever call it, and it was the saga's version that was forgotten."""
    with refused("since=4, but Saga('shopping') is of version 3", hint="version=4"):
        declare(inventory, since=4)


@pytest.mark.parametrize("option", ["since", "until"])
def test_a_compensation_goes_with_its_action(inventory: Participant, option: str) -> None:
    """It has no versions of its own."""
    inventory.action(fails=Unavailable, since=2)(reserve)

    def release(event: Aborted) -> Released: ...

    with refused(f"a compensation takes no {option}=", hint="it goes with its action"):
        inventory.compensation(of=reserve, **{option: 2})(release)
    inventory.compensation(of=reserve)(release)
    assert inventory.handlers[1].versions == Versions(2)


def test_a_deadline_of_an_own_step_is_of_its_versions_at_most(inventory: Participant) -> None:
    """It would time out a step that no saga of the other versions has."""
    inventory.action(fails=Unavailable, until=2)(reserve)

    def late(event: Ordered) -> PaymentFailed: ...

    with refused(
        "it is of version 3 and later of the saga, but inventory.reserve is of versions 1 to 2", hint="same"
    ):
        inventory.deadline(of=reserve, within=timedelta(1), since=3)(late)
    inventory.deadline(of=reserve, within=timedelta(1), since=2)(late)
    assert inventory.handlers[1].versions == Versions(2, 2)


@given(first=versions, second=versions)
def test_an_outcome_belongs_to_one_step_in_each_version(first: Versions, second: Versions) -> None:
    """Two steps that no saga has both may emit the same events; else the second one is refused."""
    saga = Saga("shopping", starts=Ordered, completes=Fulfilled, fails=Failed, version=9)
    inventory = Participant("inventory", sagas=[saga])
    inventory.action(fails=Unavailable, since=first.since, until=first.until)(reserve)

    def reserve_paid(event: Paid) -> Reserved: ...

    def declare() -> None:
        inventory.action(fails=Unavailable, since=second.since, until=second.until)(reserve_paid)

    if any(first.includes(each) and second.includes(each) for each in range(1, 20)):
        with refused("is an outcome of inventory.reserve already", hint="other versions of the saga"):
            declare()
    else:
        declare()


def test_a_cycle_is_one_within_a_version(inventory: Participant) -> None:
    """Two steps that change places from one version to the next form none."""

    def pack(event: Ordered | Paid) -> Packed: ...

    def pay(event: Packed) -> Paid: ...

    inventory.action(fails=PackingFailed, until=1)(pack)
    inventory.action(fails=PaymentFailed, since=2)(pay)
    other = Participant("inventory", sagas=[third])
    other.action(fails=PackingFailed, until=2)(pack)
    with refused("shop.Paid triggers inventory.pack", hint="no cycles"):
        other.action(fails=PaymentFailed, since=2)(pay)


@given(declared=st.lists(versions, max_size=4), newest=st.integers(1, 9))
def test_spans_part_the_versions_where_a_bound_is(declared: list[Versions], newest: int) -> None:
    """Each version is in one of them, with those that are in the same declared ones."""
    found = spans(newest, declared)
    assert found[-1].until is None
    for version in range(1, newest + 1):
        (span,) = (each for each in found if each.includes(version))
        for each in declared:
            assert each.includes(version) == each.includes(span.since)


def test_a_choice_may_grow_with_a_version(inventory: Participant) -> None:
    """A compensation for each success event, of an action for each version."""

    def choose(event: Ordered) -> Reserved | Backordered: ...

    def release(event: Aborted, reserved: Reserved) -> Released: ...

    def drop(event: Aborted, late: Backordered) -> BackorderDropped: ...

    inventory.action(fails=Unavailable, until=1)(reserve)
    inventory.action(fails=Unavailable, since=2)(choose)
    inventory.compensation(of=reserve)(lambda_of(release, "release_first"))
    inventory.compensation(of=choose)(release)
    inventory.compensation(of=choose)(drop)
    assert [str(each.versions) for each in inventory.handlers[2:]] == [
        "version 1",
        "version 2 and later",
        "version 2 and later",
    ]


def lambda_of(function: Any, name: str) -> Any:
    """Return a function like another, of another name."""

    def twin(event: Aborted, reserved: Reserved) -> Released: ...

    twin.__name__ = name
    return twin
