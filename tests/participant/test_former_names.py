"""``formerly=``: what a handler is known as after a rename, and which former names are refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from choreo import Aborted, Participant
from choreo.participant import Handler
from tests.participant.refusal import refused
from tests.participant.shop import (
    Ordered,
    Packed,
    PaymentFailed,
    Released,
    Reserved,
    Unavailable,
)

MINUTE = timedelta(minutes=1)
KINDS = ("action", "observer", "deadline")


def declare(inventory: Participant, kind: str, name: str, **options: Any) -> Handler:
    """Declare a handler of a kind under a name, and return it."""

    def act(event: Ordered) -> Reserved: ...
    def observe(event: Ordered) -> None: ...
    def expire(event: Ordered) -> PaymentFailed: ...

    function: Callable[..., Any] = {"action": act, "observer": observe, "deadline": expire}[kind]
    function.__name__ = name
    given = {
        "action": {"kind": "retriable"},
        "observer": {},
        "deadline": {"of": "payments.charge", "within": MINUTE},
    }[kind]
    getattr(inventory, kind)(**given, **options)(function)
    return inventory.handlers[-1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("formerly", "identity", "aliases"),
    [
        ((), "take", ()),
        (None, "take", ()),
        ("hold", "hold", ("take",)),
        (("hold",), "hold", ("take",)),
        (("pick", "hold"), "hold", ("take", "pick")),
    ],
)
def test_the_oldest_name_is_the_identity(
    inventory: Participant, kind: str, formerly: Any, identity: str, aliases: tuple[str, ...]
) -> None:
    """The name of the code stays that of places and messages; the others are aliases."""
    handler = declare(inventory, kind, "take", formerly=formerly)
    assert handler.name == "inventory.take"
    assert handler.known_as == f"inventory.{identity}"
    assert handler.aliases == tuple(f"inventory.{each}" for each in aliases)
    assert handler.step == ("payments.charge" if kind == "deadline" else handler.known_as)


def test_the_protocol_knows_handlers_by_their_identity(inventory: Participant) -> None:
    """A rename with the former name changes nothing of the role."""
    other = Participant("inventory", sagas=inventory.sagas)
    for number, kind in enumerate(KINDS):
        declare(inventory, kind, f"then_{number}")
        declare(other, kind, f"now_{number}", formerly=f"then_{number}")
    assert inventory.roles()["shopping"].actions == other.roles()["shopping"].actions
    assert inventory.roles()["shopping"].observers == other.roles()["shopping"].observers
    assert inventory.roles()["shopping"].deadlines == other.roles()["shopping"].deadlines


@pytest.mark.parametrize("of", ["hold", "take", "inventory.hold", "inventory.take", "function"])
@pytest.mark.parametrize("task", ["compensation", "deadline"])
def test_own_steps_are_named_by_any_of_their_names(inventory: Participant, task: str, of: str) -> None:
    """A compensation and an own deadline belong to the step, whatever name ``of=`` gives."""

    @inventory.action(fails=Unavailable, formerly="hold")
    def take(event: Ordered) -> Reserved: ...

    def undo(event: Aborted, reserved: Reserved) -> Released: ...
    def late(event: Packed) -> PaymentFailed: ...

    named: Any = take if of == "function" else of
    if task == "deadline":
        inventory.deadline(of=named, within=MINUTE)(late)
    else:
        inventory.compensation(of=named)(undo)
    assert inventory.handlers[-1].step == "inventory.hold"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "formerly",
    ["", "inventory.hold", "two words", "1st", 5, ["hold"], ("hold", 5), {"hold"}, ("hold", ""), True],
)
def test_what_is_no_name_of_a_function_is_refused(inventory: Participant, kind: str, formerly: Any) -> None:
    """The participant's name is not part of it: it can't be changed."""
    with refused("is not the name of a function", hint='formerly="charge"'):
        declare(inventory, kind, "take", formerly=formerly)


@pytest.mark.parametrize("kind", KINDS)
def test_a_former_name_is_given_once(inventory: Participant, kind: str) -> None:
    """Twice, nobody could say which name is the oldest."""
    with refused("'hold' is given twice", hint="newest first"):
        declare(inventory, kind, "take", formerly=("hold", "pick", "hold"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("formerly", ["take", ("hold", "take"), ("take", "hold")])
def test_the_name_of_today_is_no_former_name(inventory: Participant, kind: str, formerly: Any) -> None:
    """Whoever renamed back has nothing to say about the name: it is an alias in any case."""
    with refused("'take' is its name of today", hint="the other names"):
        declare(inventory, kind, "take", formerly=formerly)


@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize(
    ("names", "formers"),
    [
        (("hold", "take"), ((), "hold")),
        (("take", "hold"), ("hold", ())),
        (("take", "pick"), ("hold", "hold")),
        (("take", "pick"), (("hold", "reserve"), ("grab", "hold"))),
        (("take", "hold"), ("hold", "take")),
    ],
)
def test_a_name_belongs_to_one_handler(
    inventory: Participant, first: str, second: str, names: Any, formers: Any
) -> None:
    """Not to the one that has it now and to another that had it, nor to two that had it, in any order."""
    declare(inventory, first, names[0], formerly=formers[0])
    with refused("was formerly 'inventory.hold'", hint="one handler for good"):
        declare(inventory, second, names[1], formerly=formers[1])


def test_the_name_of_a_compensation_is_taken_too(inventory: Participant) -> None:
    """A message would name both."""

    @inventory.action(fails=Unavailable)
    def reserve(event: Ordered) -> Reserved: ...

    @inventory.compensation(of=reserve)
    def release(event: Aborted, reserved: Reserved) -> Released: ...

    with refused("inventory.take was formerly 'inventory.release'", hint="one handler for good"):
        declare(inventory, "observer", "take", formerly="release")


def test_a_compensation_has_no_former_name(inventory: Participant) -> None:
    """It is known by the step that it undoes."""

    @inventory.action(fails=Unavailable)
    def reserve(event: Ordered) -> Reserved: ...

    def release(event: Aborted, reserved: Reserved) -> Released: ...

    options: dict[str, Any] = {"of": reserve, "formerly": "undo"}
    with refused("known by its action's step", hint="drop formerly="):
        inventory.compensation(**options)(release)


def test_two_participants_may_have_had_the_same_names(inventory: Participant) -> None:
    """A name is the participant's own."""
    other = Participant("stock", sagas=inventory.sagas)
    assert declare(inventory, "action", "take", formerly="hold").step == "inventory.hold"
    assert declare(other, "action", "take", formerly="hold").step == "stock.hold"
