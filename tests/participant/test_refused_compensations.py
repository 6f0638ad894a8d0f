"""Compensations that could not work are refused where they are declared."""

from typing import Any

import pytest

from choreo import Aborted, Context, Participant, event
from choreo.protocol import Compensation, Trigger
from tests.participant.refusal import refused
from tests.participant.shop import (
    BackorderDropped,
    Backordered,
    Debited,
    Failed,
    Fulfilled,
    Ordered,
    Packed,
    Paid,
    PaymentFailed,
    Refunded,
    Released,
    Reserved,
    Unavailable,
    returning,
    shopping,
)


@pytest.fixture
def inventory(inventory: Participant) -> Participant:
    """Return a participant that has declared an action, ``reserve``, and a choice, ``choose``."""
    inventory.action(fails=Unavailable)(reserve)
    inventory.action(fails=Refunded, answer=lambda event, reason: Refunded(""))(choose)
    return inventory


def reserve(event: Ordered) -> Reserved: ...


def choose(event: Paid) -> Packed | Backordered: ...


def release(event: PaymentFailed, reserved: Reserved) -> Released: ...


@pytest.mark.parametrize(
    ("options", "words", "hint"),
    [
        ({"off": 1}, "unknown option 'off'", "did you mean 'of'?"),
        ({"timeout": 1}, "unknown option 'timeout'", "options: of, on, retry, ignore, answer"),
        ({"retry": 3}, "retry=3 is not a Retry", "Retry(attempts=3)"),
        ({"ignore": "NotFound"}, "ignore=NotFound is not an Exception", "ignore=(NotFound, Gone)"),
        ({"ignore": [KeyError]}, "is not an Exception", "ignore=(NotFound, Gone)"),
        ({"ignore": KeyboardInterrupt}, "ignore=KeyboardInterrupt is not an Exception", "give a class"),
        ({"answer": 1}, "answer=1 can't be called", "lambda event, reason"),
        ({"on": "PaymentFailed"}, "PaymentFailed is not an event", "@event"),
    ],
)
def test_an_option_of_a_bad_name_or_value_is_refused(
    inventory: Participant, options: dict[str, Any], words: str, hint: str
) -> None:
    """Each option is checked where it is given."""
    with refused(words, hint=hint):
        inventory.compensation(**{"of": reserve, **options})(release)


@pytest.mark.parametrize(
    ("of", "hint"),
    [
        ("reserv", "did you mean 'reserve'?"),
        ("shipping.ship", "its actions: reserve, choose"),
        (release, "its actions: reserve, choose"),
        (shopping, "its actions: reserve, choose"),
    ],
)
def test_an_action_that_there_is_not_is_refused(inventory: Participant, of: Any, hint: str) -> None:
    """A compensation undoes an action of the same participant, declared before it."""
    with refused("no such action of inventory", hint=hint):
        inventory.compensation(of=of)(release)


def test_a_bare_compensation_is_refused(inventory: Participant) -> None:
    """What it undoes can't be guessed."""
    with refused("of= is missing", hint="of=saga.start"):
        inventory.compensation(release)


def test_a_compensation_without_of_is_refused(inventory: Participant) -> None:
    """Options without of= are no better."""
    with refused("of= is missing", hint="of=the action"):
        inventory.compensation(ignore=KeyError)(release)


def test_a_second_compensation_of_an_action_is_refused(inventory: Participant) -> None:
    """What was done is undone once."""
    inventory.compensation(of=reserve)(release)
    with refused("inventory.release compensates inventory.reserve already", hint="one compensation"):

        @inventory.compensation(of=reserve)
        def drop(event: PaymentFailed, reserved: Reserved) -> BackorderDropped: ...


def test_two_compensations_of_one_success_event_are_refused(inventory: Participant) -> None:
    """Of a choice, each success event has one compensation."""

    @inventory.compensation(of=choose)
    def unpack(event: PaymentFailed, packed: Packed) -> Released: ...

    with refused("compensates inventory.choose already", hint="one for each of its success events"):

        @inventory.compensation(of=choose)
        def undo(event: PaymentFailed, done: Packed | Backordered) -> BackorderDropped: ...


def test_a_compensation_of_every_event_beside_one_of_a_single_event_is_refused(
    inventory: Participant,
) -> None:
    """Without a result parameter a compensation serves all."""

    @inventory.compensation(of=choose)
    def unpack(event: PaymentFailed, packed: Packed) -> Released: ...

    with refused("compensates inventory.choose already", hint="one compensation an action"):

        @inventory.compensation(of=choose)
        def undo(event: PaymentFailed) -> BackorderDropped: ...


@pytest.mark.parametrize("kind", ["pivot", "retriable"])
def test_a_compensation_of_what_is_never_undone_is_refused(kind: Any) -> None:
    """A pivot is the point of no return, and after it everything succeeds."""
    inventory = Participant("inventory", sagas=[shopping])
    inventory.action(kind=kind, **({"fails": Unavailable} if kind == "pivot" else {}))(reserve)
    with refused(f"inventory.reserve is {kind}: it is never compensated", hint="drop the compensation"):
        inventory.compensation(of=reserve)(release)


def test_a_compensation_with_several_return_events_is_refused(inventory: Participant) -> None:
    """It can't fail, so it has one end."""
    with refused("a compensation always ends in one event", hint="-> Released"):

        @inventory.compensation(of=reserve)
        def release(event: PaymentFailed) -> Released | BackorderDropped: ...


def test_a_compensation_without_return_event_is_refused(inventory: Participant) -> None:
    """The step before waits for its confirmation."""
    with refused("a compensation always ends in one event", hint="-> Released"):

        @inventory.compensation(of=reserve)
        def release(event: PaymentFailed) -> None: ...


@pytest.mark.parametrize("cls", [Ordered, Aborted, Debited, Reserved, Unavailable])
def test_a_compensated_event_that_is_not_its_own_is_refused(inventory: Participant, cls: type) -> None:
    """The start's, choreo's, another saga's, and the action's own outcomes are taken."""

    def release(event: PaymentFailed): ...

    release.__annotations__["return"] = cls
    with refused(cls.__name__, hint=" "):
        inventory.compensation(of=reserve)(release)


def test_a_compensation_that_names_no_event_waits_for_the_choreography(inventory: Participant) -> None:
    """What calls it follows from the steps after its action, which others declare."""
    inventory.compensation(of=reserve)(release)

    @inventory.compensation(of=choose)
    def drop(ctx: Context) -> BackorderDropped: ...

    assert inventory.is_derived
    packed, backordered = Trigger.of("shop.PaymentFailed"), Trigger.of("shop.Refunded")
    with refused("inventory.drop names no event", hint="choreo verify --lock"):
        inventory.roles()
    inventory.derive("shopping", {"inventory.choose": {"shop.Packed": packed}})
    with refused("no choreography says what calls it after shop.Backordered", hint="choreo verify --lock"):
        inventory.roles()
    edges = {"shop.Packed": packed, "shop.Backordered": backordered}
    inventory.derive("shopping", {"inventory.choose": edges})
    assert inventory.roles()["shopping"].action["inventory.choose"].compensations == (
        Compensation(packed, "shop.BackorderDropped", frozenset({"shop.Packed"})),
        Compensation(backordered, "shop.BackorderDropped", frozenset({"shop.Backordered"})),
    )
    inventory.derive("shopping", {"inventory.choose": dict.fromkeys(edges, packed)})
    (undo,) = inventory.roles()["shopping"].action["inventory.choose"].compensations
    assert undo == Compensation(packed, "shop.BackorderDropped")


def test_what_names_its_events_is_never_derived(inventory: Participant) -> None:
    """The choreography's word is for those that say nothing."""
    inventory.compensation(of=reserve)(release)

    @inventory.compensation(of=choose)
    def drop(event: PaymentFailed) -> BackorderDropped: ...

    inventory.derive("shopping", {"inventory.choose": {}})
    assert not inventory.is_derived
    (undo,) = inventory.roles()["shopping"].action["inventory.choose"].compensations
    assert undo.trigger == Trigger.of("shop.PaymentFailed")


@pytest.mark.parametrize("task", ["action", "observer"])
def test_only_a_compensation_may_name_no_event(inventory: Participant, task: str) -> None:
    """Nothing could say what calls anything else."""

    def look(ctx: Context) -> None: ...

    with refused("nothing calls it", hint="annotate a parameter with the event that calls it"):
        getattr(inventory, task)(look)


def test_a_parameter_that_mixes_result_and_trigger_is_refused(inventory: Participant) -> None:
    """What the action did and what calls the compensation are two things."""
    with refused("parameter 'event' mixes what the step did", hint="shop.Reserved a parameter of its own"):

        @inventory.compensation(of=reserve)
        def release(event: Reserved | PaymentFailed) -> Released: ...


@pytest.mark.parametrize("cls", [Reserved, Unavailable, Released])
def test_a_compensation_called_by_an_outcome_of_its_own_step_is_refused(
    inventory: Participant, cls: type
) -> None:
    """Its success is no reason to undo it, its failure left nothing to undo."""
    with refused("is an outcome of inventory.reserve itself", hint="the steps that follow"):

        @inventory.compensation(of=reserve, on=cls)
        def release(reserved: Reserved) -> Released: ...


def test_two_result_parameters_are_refused(inventory: Participant) -> None:
    """A choice emits one of its events."""
    with refused("both take the event of the step that is undone", hint="A | B"):

        @inventory.compensation(of=choose)
        def undo(event: PaymentFailed, a: Packed | None, b: Backordered | None) -> Released: ...


def test_a_trigger_of_another_namespace_is_refused(inventory: Participant) -> None:
    """A compensation is called by events of its saga."""
    with refused("bank.Debited is not an event of saga 'shopping'", hint="namespace"):

        @inventory.compensation(of=reserve)
        def release(event: Debited) -> Released: ...


def test_a_join_with_aborted_is_refused(inventory: Participant) -> None:
    """`Aborted` comes where no event does, so nothing can wait for it and for another one."""
    with refused("Aborted can't be joined", hint="PaymentFailed | Aborted"):

        @inventory.compensation(of=reserve)
        def release(event: PaymentFailed, aborted: Aborted) -> Released: ...


def test_a_join_of_which_only_one_part_admits_aborted_is_refused(inventory: Participant) -> None:
    """When `Aborted` calls, every event parameter must be able to take it."""
    with refused("parameter 'drop' is empty when Aborted calls it", hint="Aborted"):

        @inventory.compensation(of=reserve)
        def release(event: PaymentFailed | Aborted, drop: BackorderDropped) -> Released: ...


def test_an_optional_trigger_is_refused(inventory: Participant) -> None:
    """Something always calls it; None would never come."""
    with refused("parameter 'event' is never None", hint="on="):

        @inventory.compensation(of=reserve)
        def release(event: PaymentFailed | None) -> Released: ...


def test_a_compensated_event_that_can_not_be_built_is_refused(inventory: Participant) -> None:
    """Done by hand, it is built from the events that triggered the action."""

    @event(namespace="shop")
    class PutBack:
        shelf: str

    with refused("shop.PutBack can't be built from shop.Ordered: no field shelf", hint="answer="):

        @inventory.compensation(of=reserve)
        def release(event: PaymentFailed) -> PutBack: ...


def test_the_end_of_the_start_that_can_not_be_built_is_refused() -> None:
    """The start is compensated by hand as well, from the event that started the saga."""

    @event(namespace="shop")
    class GivenUp:
        clerk: str

    saga = type(shopping)("giving-up", starts=Ordered, completes=Fulfilled, fails=GivenUp)
    inventory = Participant("inventory", sagas=[saga])
    with refused("shop.GivenUp can't be built from shop.Ordered: no field clerk", hint="answer="):

        @inventory.compensation(of=saga.start)
        def give_up(event: Unavailable) -> GivenUp: ...


def test_a_start_that_ends_in_another_event_is_refused(inventory: Participant) -> None:
    """The compensation of the start is the end of the saga."""
    with refused("ends the saga in shop.Failed, not in shop.Released", hint="-> Failed"):

        @inventory.compensation(of=shopping.start)
        def fail(event: Unavailable) -> Released: ...


def test_a_start_undone_by_the_event_that_started_it_is_refused(inventory: Participant) -> None:
    """The start is an outcome of its own step."""
    with refused("shop.Ordered is an outcome of start itself", hint="the steps that follow"):

        @inventory.compensation(of=shopping.start, on=Ordered)
        def fail(order: Ordered) -> Failed: ...


def test_the_start_of_a_foreign_saga_is_refused(inventory: Participant) -> None:
    """A participant undoes only what it takes part in."""
    with refused("inventory does not take part in Saga('returning')", hint="sagas=[…]"):

        @inventory.compensation(of=returning.start)
        def fail(event: Unavailable) -> PaymentFailed: ...
