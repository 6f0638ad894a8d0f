"""The decorators leave the function alone, and take it bare or with options."""

import inspect
import pydoc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from typing import Any

import pytest

from choreo import Aborted, Context, Participant, event
from choreo.errors import ConfigurationError
from choreo.participant.options import _KNOWN
from tests.participant.shop import Fulfilled, Ordered, Packed, PackingFailed, Released, Reserved, Unavailable


def reserve(event: Ordered, ctx: Context) -> Reserved:
    """Reserve."""
    return Reserved(event.order_id)


def release(event: Aborted, reserved: Reserved) -> Released: ...


def project(event: Fulfilled) -> None: ...


def test_a_decorator_returns_the_very_same_function(inventory: Participant) -> None:
    """A handler can be called in a unit test as it was written."""
    assert inventory.action(fails=Unavailable)(reserve) is reserve
    assert inventory.compensation(of=reserve)(release) is release
    assert inventory.observer(project) is project
    assert [handler.function for handler in inventory.handlers] == [reserve, release, project]


def test_an_observer_may_be_bare_or_with_options(inventory: Participant) -> None:
    """Both forms declare the same."""
    inventory.observer()(project)
    other = Participant("inventory", sagas=list(inventory.sagas))
    other.observer(project)
    assert inventory.handlers == other.handlers


def test_a_retriable_action_needs_no_failure_event(inventory: Participant) -> None:
    """It is retried until it succeeds, without a timeout."""
    inventory.action(kind="retriable")(reserve)
    (handler,) = inventory.handlers
    assert (handler.kind, handler.fails, handler.timeout) == ("retriable", (), None)
    assert inventory.roles()["shopping"].actions[0].failure == ""


def test_a_pivot_needs_no_compensation(inventory: Participant) -> None:
    """After it there is no way back."""
    inventory.action(kind="pivot", fails=Unavailable, timeout=timedelta(minutes=1))(reserve)
    (action,) = inventory.roles()["shopping"].actions
    assert (action.kind, action.compensations) == ("pivot", ())


def test_no_timeout_is_said_with_none(inventory: Participant) -> None:
    """The default is five minutes."""
    inventory.action(fails=Unavailable, timeout=None)(reserve)
    assert inventory.handlers[0].timeout is None


def test_one_or_several_exceptions_may_be_ignored(inventory: Participant) -> None:
    """A class alone and a tuple mean what they say."""
    inventory.action(fails=Unavailable)(reserve)
    inventory.compensation(of=reserve, ignore=KeyError)(release)
    assert inventory.handlers[1].ignore == (KeyError,)


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a handler in a decorator of the user's own."""

    @wraps(function)
    def call(*args: Any) -> Any:
        return function(*args)

    return call


def test_a_wrapped_function_is_read_through_its_wrapper(inventory: Participant) -> None:
    """`functools.wraps` keeps the signature, and the place is that of the function inside."""
    inventory.action(fails=Unavailable)(logged(reserve))
    (handler,) = inventory.handlers
    assert handler.step == "inventory.reserve"
    assert handler.place.line == reserve.__code__.co_firstlineno


class Warehouse:
    """A service written as a class."""

    def reserve(self, event: Ordered) -> Reserved: ...

    def release(self, event: Aborted, reserved: Reserved) -> Released: ...


def test_a_bound_method_may_be_a_handler(inventory: Participant) -> None:
    """Its self is bound, so that every parameter left is an event or the context."""
    warehouse = Warehouse()
    inventory.action(fails=Unavailable)(warehouse.reserve)
    inventory.compensation(of=warehouse.reserve)(warehouse.release)
    assert [handler.name for handler in inventory.handlers] == ["inventory.reserve", "inventory.release"]
    inventory.roles()


def test_local_event_classes_are_resolved(inventory: Participant) -> None:
    """Events and handlers may live in a function, as they do in a test."""

    @event(namespace="shop")
    class Weighed:
        order_id: str

    @inventory.action(fails=PackingFailed)
    def weigh(event: "Ordered") -> "Weighed": ...

    assert list(inventory.handlers[0].successes) == ["shop.Weighed"]


def test_events_are_all_that_is_read_or_written(inventory: Participant) -> None:
    """These are the classes that the participant must be able to encode and decode."""
    inventory.action(fails=Unavailable)(reserve)
    assert {*inventory.sagas[0].events, Reserved, Unavailable} == set(inventory.events)
    assert Packed not in inventory.events


def test_a_connected_participant_opens_its_store(inventory: Participant) -> None:
    """Each transaction is opened anew."""
    opened = []

    class Connection:
        @contextmanager
        def transaction(self, within: object = None) -> Iterator[Any]:
            opened.append("store")
            yield opened

    connection: Any = Connection()
    inventory.connect(connection)
    for _ in range(2):
        with inventory.transaction() as tx:
            assert tx is opened
    assert len(opened) == 2


def test_a_transaction_before_connect_is_refused(inventory: Participant) -> None:
    """Declaring needs no store; starting a saga does."""
    with pytest.raises(ConfigurationError, match="not connected to its store") as caught:
        inventory.transaction()
    assert "choreo.connect(inventory" in caught.value.hint


def test_participants_and_sagas_show_their_names(inventory: Participant) -> None:
    """In a message or a debugger the name is what counts."""
    assert repr(inventory) == "Participant('inventory')"
    assert repr(inventory.sagas[0]) == "Saga('shopping')"


@pytest.mark.parametrize("task", list(_KNOWN))
def test_help_shows_every_option_with_its_type(task: str) -> None:
    """Not ``**options``, which says nothing."""
    shown = inspect.signature(getattr(Participant, task)).parameters
    options = {name for name, each in shown.items() if each.kind is inspect.Parameter.KEYWORD_ONLY}
    assert options == set(_KNOWN[task])
    assert all(shown[name].annotation is not inspect.Parameter.empty for name in options)
    assert not any(each.kind is inspect.Parameter.VAR_KEYWORD for each in shown.values())
    assert "**options" not in pydoc.render_doc(getattr(Participant, task))
