"""Observers that could not work are refused where they are declared."""

import pytest

from choreo import Aborted, Participant, all_of
from tests.participant.refusal import refused
from tests.participant.shop import Debited, Failed, Fulfilled, Reserved, returning, shopping


def project(event: Fulfilled | Failed) -> None: ...


@pytest.mark.parametrize(
    ("option", "hint"), [("onn", "did you mean 'on'?"), ("fails", "options: on, retry, saga")]
)
def test_an_unknown_option_is_refused(inventory: Participant, option: str, hint: str) -> None:
    """An observer has no outcome, so it has few options."""
    with refused(f"unknown option '{option}'", hint=hint):
        inventory.observer(**{option: Fulfilled})(project)


def test_an_observer_that_returns_an_event_is_refused(inventory: Participant) -> None:
    """What answers to an event is an action."""
    with refused("an observer returns nothing, not shop.Reserved", hint="make it an action"):

        @inventory.observer
        def project(event: Fulfilled) -> Reserved: ...


def test_an_observer_without_events_is_refused(inventory: Participant) -> None:
    """It would never be called."""
    with refused("nothing calls it", hint="annotate a parameter with the event that calls it"):

        @inventory.observer
        def project() -> None: ...


@pytest.mark.parametrize("options", [{}, {"on": all_of(Reserved, Fulfilled)}])
def test_an_observer_of_a_join_is_refused(inventory: Participant, options: dict[str, object]) -> None:
    """It would be called by the first event, without the other."""
    with refused("an observer sees each event when it comes", hint="Earlier[A] | None"):

        @inventory.observer(**options)  # type: ignore[call-overload]
        def project(reserved: Reserved, fulfilled: Fulfilled) -> None: ...


def test_an_observer_of_aborted_is_refused(inventory: Participant) -> None:
    """`Aborted` is never published, so nobody can observe it."""
    with refused("Aborted calls no observer", hint="fails event"):

        @inventory.observer
        def project(event: Aborted) -> None: ...


def test_an_observer_of_a_foreign_event_is_refused(inventory: Participant) -> None:
    """It reads the saga's topic, where that event never is."""
    with refused("bank.Debited is not an event of saga 'shopping'", hint="namespace"):

        @inventory.observer
        def project(event: Debited) -> None: ...


def test_an_observer_in_several_sagas_says_which() -> None:
    """Fulfilled is in both; which one is meant is never guessed."""
    inventory = Participant("inventory", sagas=[shopping, returning])
    with refused("takes part in several sagas", hint="saga=: 'shopping', 'returning'"):
        inventory.observer(project)
    inventory.observer(saga=returning)(project)
    assert inventory.roles()["returning"].observers[0].name == "inventory.project"
    assert inventory.roles()["shopping"].observers == ()


def test_an_observer_of_the_name_of_another_handler_is_refused(inventory: Participant) -> None:
    """Names are the participant's, whatever the handler is."""
    inventory.observer(project)
    with refused("inventory.project is declared already at", hint="rename one"):
        inventory.observer(project)
