"""External events: what can't be imported or exported is refused, with a hint."""

from __future__ import annotations

from typing import Any

import pytest

from choreo import Context, DeclarationError, External, Participant, Saga, event
from tests.participant.shop import Fulfilled, NotAnEvent, Ordered, Paid, Reserved, Unavailable, shopping


@event(namespace="elsewhere")
class Elsewhere:
    name: str


def by_id(event: Any) -> str:
    return str(event.order_id)


@pytest.mark.parametrize(
    ("external", "word", "hint"),
    [
        ("Paid", "is not an External", "external=["),
        (External(NotAnEvent, topic="bank", saga_id=by_id), "is not an event", "@event"),
        (External(Elsewhere, topic="bank", saga_id=by_id), "of no saga", "namespaces"),
        (External(Paid, topic="", saga_id=by_id), "not a name for a Kafka topic", "letters"),
        (External(Paid, topic=shopping.topic, saga_id=by_id), "a saga's own", "annotate a handler"),
        (External(Paid, topic="bank", saga_id="order_id"), "can't be called", "saga_id=lambda"),  # type: ignore[arg-type]
        (External(Paid, topic="bank", saga_id=by_id, decode=b""), "can't be called", "function"),  # type: ignore[arg-type]
        (External(Paid, topic="bank", decode=bytes), "is not decoded", "drop decode="),
        (External(Fulfilled, topic="bank", saga_id=by_id), "only a step of the saga", "another event"),
    ],
)
def test_what_can_not_be_external_is_refused(external: Any, word: str, hint: str) -> None:
    """When the participant is made."""
    with pytest.raises(DeclarationError) as caught:
        Participant("inventory", sagas=[shopping], external=[external])
    assert "Participant('inventory')" in caught.value.message
    assert word in caught.value.message
    assert hint in caught.value.hint


def test_an_event_is_imported_from_one_topic() -> None:
    """It is the outcome of one step."""
    twice = [External(Paid, topic=topic, saga_id=by_id) for topic in ("bank", "till")]
    with pytest.raises(DeclarationError, match="external twice"):
        Participant("inventory", sagas=[shopping], external=twice)


def test_of_several_sagas_that_own_an_event_one_is_named() -> None:
    """A guess could be wrong."""
    other = Saga("other", starts=Ordered, completes=Fulfilled, fails=Unavailable)
    with pytest.raises(DeclarationError, match="several sagas"):
        Participant("inventory", sagas=[shopping, other], external=[External(Paid, "bank", by_id)])
    named = External(Paid, "bank", by_id, saga=other)
    (kept,) = Participant("inventory", sagas=[shopping, other], external=[named]).external
    assert kept.saga is other


def inventory(*external: External) -> Participant:
    participant = Participant("inventory", sagas=[shopping], external=external)

    @participant.action(kind="retriable")
    def reserve(event: Ordered, ctx: Context) -> Reserved:
        return Reserved(event.order_id)

    return participant


@pytest.mark.parametrize(
    ("external", "word"),
    [
        (External(Reserved, topic="bank", saga_id=by_id), "inventory.reserve emits that event"),
        (External(Ordered, topic="bank", saga_id=by_id), "does not say how to end it"),
        (External(Paid, topic="bank"), "none of its handlers emits"),
    ],
)
def test_what_the_handlers_contradict_is_refused(external: External, word: str) -> None:
    """When all are declared."""
    with pytest.raises(DeclarationError, match=word) as caught:
        inventory(external).roles()
    assert caught.value.hint


def test_a_participant_reads_its_sagas_topics_and_those_it_imports_from() -> None:
    """An export is only written to."""
    participant = inventory(External(Paid, topic="bank", saga_id=by_id), External(Reserved, topic="depot"))
    assert participant.topics == (shopping.topic, "bank")
    assert (participant.exports("shop.Reserved"), participant.exports("shop.Paid")) == (("depot",), ())
    assert Paid in participant.events
