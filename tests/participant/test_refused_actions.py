"""Actions that could not work are refused where they are declared."""

from datetime import timedelta
from typing import Any

import pytest

from choreo import Aborted, Participant, Retry, Saga, all_of, event
from tests.participant.refusal import refused
from tests.participant.shop import (
    Backordered,
    Cancelled,
    Debited,
    Failed,
    Fulfilled,
    NotAnEvent,
    Ordered,
    Packed,
    PackingFailed,
    Paid,
    PaymentFailed,
    Released,
    Reserved,
    Unavailable,
    returning,
    shopping,
)


def reserve(event: Ordered) -> Reserved: ...


def pack(event: Reserved) -> Packed: ...


def bare() -> Packed: ...


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("fail", "did you mean 'fails'?"),
        ("time_out", "did you mean 'timeout'?"),
        ("colour", "options: fails"),
    ],
)
def test_an_unknown_option_is_refused_and_the_known_one_named(
    inventory: Participant, option: str, hint: str
) -> None:
    """A typing error in an option is answered with what was meant."""
    with refused(f"unknown option '{option}'", hint=hint):
        inventory.action(**{option: 1})(reserve)


@pytest.mark.parametrize(
    ("options", "words", "hint"),
    [
        ({"timeout": 30}, "timeout=30 is not a timedelta", "timeout=timedelta(minutes=2)"),
        ({"timeout": timedelta(0)}, "timeout=0:00:00: must be positive", "None for no timeout"),
        ({"timeout": timedelta(seconds=-1)}, "must be positive", "None for no timeout"),
        ({"retry": 3}, "retry=3 is not a Retry", "retry=Retry(attempts=3)"),
        ({"kind": "retriable", "retry": Retry(attempts=3)}, "retried until it succeeds", "drop attempts="),
        ({"answer": "no"}, "answer='no' can't be called", "answer=lambda event, reason: …"),
        ({"kind": "pivott"}, "kind='pivott' is unknown", "did you mean 'pivot'?"),
        ({"kind": "start"}, "kind='start' is unknown", "kinds: compensatable, pivot, retriable"),
        ({"fails": NotAnEvent}, "fails=NotAnEvent is not an event", "decorated with @event"),
        ({"fails": [Unavailable]}, "is not an event", "fails=(A, B)"),
        ({"emits": NotAnEvent}, "NotAnEvent is returned, but is not an event", "return an event class"),
        ({"on": NotAnEvent}, "NotAnEvent is not an event", "@event"),
        ({"saga": returning}, "does not take part in Saga('returning')", "sagas=[…]"),
    ],
)
def test_an_option_of_a_bad_value_is_refused(
    inventory: Participant, options: dict[str, Any], words: str, hint: str
) -> None:
    """Each value is checked where it is given, not when it is first used."""
    with refused(words, hint=hint):
        inventory.action(**{"fails": Unavailable, **options})(reserve)


def test_a_second_handler_of_the_same_name_is_refused(inventory: Participant) -> None:
    """The step's name is the function's, so it can be there once."""
    inventory.action(fails=Unavailable)(reserve)
    with refused("inventory.reserve is declared already at", "test_refused_actions.py:", hint="rename one"):
        inventory.action(fails=PackingFailed)(reserve)


def test_an_action_without_failure_event_is_refused(inventory: Participant) -> None:
    """A compensatable action answers a refusal with its failure event, so it needs one."""
    with refused("a compensatable action needs a failure event", hint="give fails=…"):

        @inventory.action()
        def reserve(event: Ordered) -> Reserved: ...


def test_a_bare_action_without_failure_event_is_refused(inventory: Participant) -> None:
    """The decorator without options declares a compensatable action, which needs fails=."""
    with refused("needs a failure event", hint="kind='retriable'"):

        @inventory.action
        def reserve(event: Ordered) -> Reserved: ...


def test_a_pivot_without_failure_event_is_refused(inventory: Participant) -> None:
    """A pivot may be refused as well."""
    with refused("a pivot action needs a failure event", hint="give fails=…"):
        inventory.action(kind="pivot")(reserve)


@pytest.mark.parametrize("option", ["fails", "answer"])
def test_a_retriable_action_that_could_fail_is_refused(inventory: Participant, option: str) -> None:
    """A retriable action is retried until it succeeds: it has no failure event."""
    value = Unavailable if option == "fails" else lambda event, reason: Unavailable("")
    with refused("a retriable action can't fail", hint=f"drop {option}="):
        inventory.action(kind="retriable", **{option: value})(reserve)


def test_a_retriable_action_with_a_timeout_is_refused(inventory: Participant) -> None:
    """A timeout that would be ignored is not accepted in silence."""
    with refused("a retriable action has no timeout", hint="drop timeout="):
        inventory.action(kind="retriable", timeout=timedelta(minutes=2))(reserve)


def test_an_action_without_success_event_is_refused(inventory: Participant) -> None:
    """An action that returns only its failure event leads nowhere."""
    with refused("it returns no success event", hint="-> Reserved"):

        @inventory.action(fails=Unavailable)
        def reserve(event: Ordered) -> Unavailable: ...


def test_an_action_that_returns_none_is_refused(inventory: Participant) -> None:
    """What returns nothing is an observer."""
    with refused("it returns no success event", hint="-> Reserved"):

        @inventory.action(fails=Unavailable)
        def reserve(event: Ordered) -> None: ...


def test_an_action_that_may_return_none_is_refused(inventory: Participant) -> None:
    """An action returns exactly one event, in every case."""
    with refused("it may return None", hint="return an event in every case"):

        @inventory.action(fails=Unavailable)
        def reserve(event: Ordered) -> Reserved | None: ...


def test_a_trigger_of_another_namespace_is_refused(inventory: Participant) -> None:
    """Events of the saga live in its namespace, or the topic would carry anything."""
    with refused("bank.Debited is not an event of saga 'shopping'", "'shop'", hint="Saga(namespaces=…)"):

        @inventory.action(fails=Unavailable)
        def reserve(event: Debited) -> Reserved: ...


@pytest.mark.parametrize("options", [{"emits": Debited}, {"fails": Debited}])
def test_an_outcome_of_another_namespace_is_refused(inventory: Participant, options: dict[str, Any]) -> None:
    """What an action emits goes to the saga's topic, so it is the saga's event."""
    with refused("bank.Debited is not an event of saga 'shopping'", hint="Saga(namespaces=…)"):
        inventory.action(**{"fails": Unavailable, **options})(reserve)


@pytest.mark.parametrize(("cls", "owner"), [(Ordered, "starts"), (Cancelled, "cancels"), (Aborted, "choreo")])
@pytest.mark.parametrize("option", ["fails", "emits"])
def test_an_event_that_no_handler_gives_is_refused_as_outcome(
    inventory: Participant, option: str, cls: type, owner: str
) -> None:
    """The start, the cancellation and `Aborted` have owners of their own."""
    with refused("is given by", owner, hint="an event of its own"):
        inventory.action(**{"fails": Unavailable, "on": Reserved, "emits": Packed, option: cls})(bare)


def test_an_outcome_event_that_another_step_has_is_refused(inventory: Participant) -> None:
    """An outcome event says which step it is of, so it belongs to one."""
    inventory.action(fails=Unavailable)(reserve)
    with refused("shop.Unavailable is an outcome of inventory.reserve already", hint="belongs to one step"):
        inventory.action(fails=Unavailable)(pack)


def test_two_sagas_may_share_an_outcome_event() -> None:
    """The step is named within the saga: another saga is another story."""
    other = Saga("second", starts=Paid, completes=Fulfilled, fails=Failed)
    inventory = Participant("inventory", sagas=[shopping, other])
    inventory.action(fails=Unavailable, saga=shopping)(reserve)

    @inventory.action(fails=Unavailable, saga=other)
    def reserve_again(event: Paid) -> Reserved: ...

    assert len(inventory.handlers) == 2


def test_an_action_that_its_own_outcome_triggers_is_refused(inventory: Participant) -> None:
    """A step runs once in a saga."""
    with refused("shop.Reserved triggers inventory.again, of which it is a consequence", hint="no cycles"):

        @inventory.action(fails=Unavailable)
        def again(event: Ordered | Reserved) -> Reserved: ...


def test_a_cycle_over_two_actions_is_refused(inventory: Participant) -> None:
    """The second declaration closes the ring, and says which step it leads back to."""

    @inventory.action(fails=Unavailable)
    def reserve(event: Ordered | Packed) -> Reserved: ...

    with refused("@inventory.action pack", "shop.Packed triggers inventory.reserve", hint="no cycles"):
        inventory.action(fails=PackingFailed)(pack)


def test_a_cycle_by_way_of_a_compensation_is_refused(inventory: Participant) -> None:
    """A compensated event is a consequence of the action too."""

    @inventory.action(fails=Unavailable)
    def reserve(event: Ordered | Released) -> Reserved: ...

    with refused("shop.Released triggers inventory.reserve", hint="no cycles"):

        @inventory.compensation(of=reserve)
        def release(event: PaymentFailed) -> Released: ...


def test_an_action_on_aborted_is_refused(inventory: Participant) -> None:
    """`Aborted` is for compensations."""
    with refused("Aborted calls no action", hint="fails event"):

        @inventory.action(fails=Unavailable)
        def reserve(event: Ordered | Aborted) -> Reserved: ...


def test_several_sagas_without_saga_are_refused() -> None:
    """Which saga a handler works for is never guessed."""
    inventory = Participant("inventory", sagas=[shopping, returning])
    with refused("takes part in several sagas", hint="saga=: 'shopping', 'returning'"):
        inventory.action(fails=Unavailable)(reserve)


def test_a_failure_event_with_a_field_that_nothing_fills_is_refused(inventory: Participant) -> None:
    """A refusal is built from the trigger's fields, so each one must be there."""

    @event(namespace="shop")
    class SoldOut:
        order_id: str
        warehouse: str

    with refused("shop.SoldOut can't be built from shop.Ordered", "no field warehouse", hint="answer="):
        inventory.action(fails=SoldOut)(reserve)


def test_a_failure_event_with_a_field_of_another_type_is_refused(inventory: Participant) -> None:
    """The same name is not enough."""

    @event(namespace="shop")
    class SoldOut:
        quantity: str

    with refused("no field quantity of the same type", hint="a default to the field"):
        inventory.action(fails=SoldOut)(reserve)


def test_a_failure_event_that_one_event_of_a_join_does_not_fill_is_refused(inventory: Participant) -> None:
    """A join is refused, too, when only one of its events has come."""

    @event(namespace="shop")
    class SoldOut:
        quantity: int

    with refused("shop.SoldOut can't be built from shop.Paid", hint="answer="):

        @inventory.action(fails=SoldOut)
        def reserve(ordered: Ordered, paid: Paid) -> Reserved: ...


@pytest.mark.parametrize("answer", [lambda event, why: None, lambda reason: None, lambda a, b, reason: None])
def test_an_answer_that_can_not_be_called_is_refused(inventory: Participant, answer: Any) -> None:
    """It is called with the trigger's events, and with reason= by name."""
    with refused("answer= can't be called with 1 event and reason=", hint="lambda event, reason"):
        inventory.action(fails=Unavailable, answer=answer)(reserve)


def test_an_answer_of_a_join_takes_any_number_of_events(inventory: Participant) -> None:
    """Only some of a join's events may have come when it is refused."""
    with refused("answer= can't be called with 1 event", hint="lambda *events, reason"):

        @inventory.action(fails=Unavailable, answer=lambda ordered, paid, reason: Unavailable(""))
        def reserve(ordered: Ordered, paid: Paid) -> Reserved: ...


def test_two_classes_of_one_event_name_are_refused(inventory: Participant) -> None:
    """On the wire they would be one."""
    twin = event(namespace="shop", name="Ordered")(type("Copy", (), {"__annotations__": {"order_id": str}}))
    with refused("shop.Ordered is the name of two classes", "tests.participant.shop.Ordered", hint="import"):
        inventory.action(fails=Unavailable, on=twin, emits=Reserved)(bare)


def test_two_returned_classes_of_one_event_name_are_refused(inventory: Participant) -> None:
    """One of them would be lost without a word."""
    twin = event(namespace="shop", name="Reserved")(type("Copy", (), {}))
    with refused("shop.Reserved is the name of two classes", hint="import the one"):
        inventory.action(fails=Unavailable, emits=Reserved | twin)(reserve)


def test_an_action_without_compensation_is_refused_by_roles(inventory: Participant) -> None:
    """It is known only when everything is declared, so it is said with the action's place."""
    inventory.action(fails=Unavailable)(reserve)
    with refused("inventory.reserve has no compensation", hint="compensation(of=…)"):
        inventory.roles()


def test_a_choice_of_which_one_branch_has_no_compensation_is_refused_by_roles(inventory: Participant) -> None:
    """What is done in either branch must be undone."""

    @inventory.action(fails=Unavailable)
    def choose(event: Ordered) -> Reserved | Backordered: ...

    @inventory.compensation(of=choose)
    def release(event: PaymentFailed, reserved: Reserved) -> Released: ...

    with refused("may emit shop.Backordered, which no compensation undoes", hint="A | B"):
        inventory.roles()


def test_on_must_name_what_the_parameters_take(inventory: Participant) -> None:
    """A parameter that nothing in on= fills would be empty for ever."""
    with refused("parameter 'event' takes events that on= does not name", hint="name them in on="):
        inventory.action(fails=Unavailable, on=Paid)(reserve)


def test_on_must_fill_each_parameter_each_time(inventory: Participant) -> None:
    """With alternatives in on=, a parameter of one of them may be None, and must say so."""
    with refused("parameter 'paid' is empty when shop.Ordered calls it", hint="None"):

        @inventory.action(fails=Unavailable, on=Ordered | Paid)
        def reserve(ordered: Ordered | None, paid: Paid) -> Reserved: ...


def test_a_join_of_one_is_refused() -> None:
    """A single event needs no join."""
    with refused("all_of joins at least two", hint="a single event needs no all_of", placed=False):
        all_of(Ordered)


def test_a_join_of_something_else_than_events_is_refused() -> None:
    """A condition names events."""
    with refused("NotAnEvent is not an event", hint="@event", placed=False):
        all_of(Ordered, NotAnEvent)


def test_the_place_is_the_line_of_the_handler(inventory: Participant) -> None:
    """Editors make a link of it."""
    line = reserve.__code__.co_firstlineno
    with refused(f"{__file__}:{line}: @inventory.action reserve: ", hint="fails"):
        inventory.action()(reserve)


def test_a_refused_handler_leaves_no_trace(inventory: Participant) -> None:
    """What was refused can be declared again, mended."""
    with refused("needs a failure event", hint="fails"):
        inventory.action()(reserve)
    assert inventory.handlers == ()
    inventory.action(fails=Unavailable)(reserve)
    assert [handler.name for handler in inventory.handlers] == ["inventory.reserve"]


def test_retry_and_timeout_have_defaults() -> None:
    """The participant's retry is that of its handlers, and a timeout is five minutes."""
    inventory = Participant("inventory", sagas=[shopping], retry=Retry(attempts=2))
    inventory.action(fails=Unavailable)(reserve)
    inventory.action(fails=PackingFailed, retry=Retry(attempts=7))(pack)
    assert [handler.retry.attempts for handler in inventory.handlers] == [2, 7]
    assert inventory.handlers[0].timeout == timedelta(minutes=5)
