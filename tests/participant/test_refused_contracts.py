"""Events, sagas, participants and retries that could not work are refused."""

from dataclasses import field
from datetime import timedelta
from typing import Any

import pytest

from choreo import Aborted, Participant, Retry, Saga, event
from choreo.events import event_name
from tests.participant.refusal import refused
from tests.participant.shop import (
    Cancelled,
    Debited,
    Failed,
    Fulfilled,
    NotAnEvent,
    Ordered,
    returning,
    shopping,
)


@pytest.mark.parametrize("thing", ["shop", 5, lambda: None])
def test_an_event_that_is_not_a_class_is_refused(thing: Any) -> None:
    """Most often the namespace was given without its name."""
    with refused("@event decorates a class", hint='@event(namespace="shop")', placed=False):
        event(thing)


@pytest.mark.parametrize(
    "options", [{"namespace": "my-shop"}, {"namespace": "shop."}, {"name": "1st"}, {"name": "shop.Placed"}]
)
def test_an_event_name_that_avro_refuses_is_refused(options: dict[str, str]) -> None:
    """The name stands in the schema, where only Avro names may."""
    with refused("NotAnEvent: ", "is not an Avro name", hint="letters, digits", placed=False):
        event(**options)(NotAnEvent)


def test_an_event_that_can_not_be_a_dataclass_is_refused() -> None:
    """The rules of dataclasses are an event's rules."""
    with refused("Placed: mutable default", hint="frozen dataclass", placed=False):

        @event
        class Placed:
            items: list = []  # noqa: RUF012


def test_a_subclass_of_an_event_is_no_event() -> None:
    """It would have its parent's name on the wire."""

    class Special(Ordered):
        pass

    with refused("Special is not an event", hint="@event", placed=False):
        event_name(Special)


VALID: dict[str, Any] = {"name": "s", "starts": Ordered, "completes": Fulfilled, "fails": Failed}


@pytest.mark.parametrize(
    ("change", "words", "hint"),
    [
        ({"name": "order fulfilment"}, "not a name for a Kafka topic", "letters, digits"),
        ({"name": ""}, "not a name for a Kafka topic", "letters, digits"),
        ({"name": ".."}, "not a name for a Kafka topic", "not '.' or '..'"),
        ({"name": "s" * 250}, "not a name for a Kafka topic", "249 at most"),
        ({"name": None}, "None is not a name for a Kafka topic", "letters, digits"),
        ({"topic": "a/b"}, "'a/b' is not a name for a Kafka topic", "letters, digits"),
        ({"version": 0}, "version=0 makes no sense", "1, 2, 3"),
        ({"version": "2"}, "version='2' makes no sense", "1, 2, 3"),
        ({"fails": NotAnEvent}, "NotAnEvent is not an event", "@event"),
        ({"aborts": "Cancelled"}, "Cancelled is not an event", "@event"),
        ({"completes": Ordered}, "shop.Ordered is named twice", "different events"),
        ({"aborts": Failed}, "shop.Failed is named twice", "different events"),
        ({"aborts": Aborted}, "Aborted is never published", "the saga's own"),
        ({"fails": Debited}, "bank.Debited is not an event of saga 's'", "Saga(namespaces=('bank',))"),
        ({"namespaces": "bank"}, "namespaces='bank' is not a tuple", "namespaces=('bank',)"),
    ],
)
def test_a_saga_that_could_not_work_is_refused(change: dict[str, Any], words: str, hint: str) -> None:
    """The contract is checked where it is written."""
    with refused("Saga(", words, hint=hint, placed=False):
        Saga(**{**VALID, **change})


def test_a_saga_may_name_further_namespaces() -> None:
    """Events live in the namespace of the start, below it, or in a named one."""
    saga = Saga(**{**VALID, "fails": Debited}, namespaces=("bank",))
    below = event(namespace="shop.mail", name="Sent")(type("Sent", (), {}))
    beside = event(namespace="shopping", name="Sent")(type("Sent", (), {}))
    assert [saga.owns(cls) for cls in (Ordered, Debited, below, beside)] == [True, True, True, False]


@pytest.mark.parametrize("name", ["", "Inventory", "1st", "in ventory", "a.b", "x" * 65, None])
def test_a_participant_of_a_bad_name_is_refused(name: Any) -> None:
    """It stands in step names, event sources and consumer groups."""
    with refused("not a participant's name", hint="a small letter", placed=False):
        Participant(name, sagas=[shopping])


@pytest.mark.parametrize(
    ("options", "words", "hint"),
    [
        ({"sagas": []}, "it takes part in no saga", "sagas=[…]"),
        ({"sagas": shopping}, "sagas=Saga('shopping') is not a list", "sagas=[order_fulfilment]"),
        ({"sagas": ["shopping"]}, "'shopping' is not a Saga", "sagas=[order_fulfilment]"),
        ({"sagas": [shopping, shopping]}, "'shopping' is given twice", "names must differ"),
        ({"sagas": [shopping, Saga(**VALID, topic="shopping")]}, "'shopping' is given twice", "differ"),
        ({"retry": 3}, "retry=3 is not a Retry", "Retry(attempts=3)"),
        ({"prepare": "tables.sql"}, "prepare='tables.sql' can't be called", "def prepare(db)"),
    ],
)
def test_a_participant_that_could_not_work_is_refused(options: dict[str, Any], words: str, hint: str) -> None:
    """What a participant is made of is checked at once."""
    with refused("Participant('inventory'): ", words, hint=hint, placed=False):
        Participant("inventory", **{"sagas": [shopping, returning], **options})


def test_two_sagas_with_two_classes_of_one_event_name_are_refused() -> None:
    """A participant in both could not tell which class to decode."""
    twin = event(namespace="shop", name="Cancelled")(type("Copy", (), {}))
    other = Saga(**{**VALID, "aborts": twin})
    with refused("shop.Cancelled is the name of two classes", hint="import the one", placed=False):
        Participant("inventory", sagas=[shopping, other])
    assert Participant("inventory", sagas=[shopping]).events == (Ordered, Fulfilled, Failed, Cancelled)


@pytest.mark.parametrize(
    ("options", "words", "hint"),
    [
        ({"attempts": 0}, "at least one attempt", "attempts=5"),
        ({"attempts": 2.5}, "at least one attempt", "attempts=5"),
        ({"delay": 10}, "not timedeltas", "delay=timedelta(seconds=10)"),
        ({"longest": 10}, "not timedeltas", "delay=timedelta(seconds=10)"),
        ({"delay": timedelta(seconds=-1)}, "make no sense", "0 <= delay <= longest"),
        ({"longest": timedelta(seconds=1)}, "make no sense", "0 <= delay <= longest"),
        ({"factor": 0.5}, "must not shrink", "1 or more"),
        ({"factor": float("inf")}, "must not shrink", "a number"),
        ({"factor": float("nan")}, "must not shrink", "a number"),
        ({"factor": "2"}, "must not shrink", "a number"),
    ],
)
def test_a_retry_that_makes_no_sense_is_refused(options: dict[str, Any], words: str, hint: str) -> None:
    """Numbers are checked where they are written, not at the first failure."""
    with refused("Retry", words, hint=hint, placed=False):
        Retry(**options)


@pytest.mark.parametrize("attempt", [7, 64, 1_000, 10**9])
@pytest.mark.parametrize("factor", [2, 2.0, 1e10])
def test_the_pause_is_bounded_however_often_a_step_is_retried(attempt: int, factor: float) -> None:
    """A retriable step is retried without end, and must not overflow on the way."""
    assert Retry(factor=factor).pause(attempt) == timedelta(minutes=10)


def test_the_pause_may_be_constant_or_none() -> None:
    """A factor of one never grows, and no delay stays none."""
    assert Retry(factor=1).pause(1_000) == timedelta(seconds=10)
    assert Retry(delay=timedelta(0)).pause(1_000) == timedelta(0)
    assert Retry(delay=timedelta(seconds=5), longest=timedelta(seconds=5)).pause(3) == timedelta(seconds=5)


def test_an_event_is_a_frozen_dataclass_with_its_doc() -> None:
    """Bare or with options, the decorator makes a value."""

    @event
    class Placed:
        """Placed by a customer."""

        items: list[str] = field(default_factory=list)

    assert Placed(["apple"]) == Placed(["apple"])
    assert event_name(Placed) == "Placed"
    with pytest.raises(AttributeError):
        Placed().items = []  # type: ignore[misc]
