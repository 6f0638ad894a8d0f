"""hypothesis strategies: events from their Avro schemas, schedules, and a saga as a state machine.

hypothesis is needed only here: ``pip install "choreo-saga[testing]"``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal
from enum import Enum
from typing import Any, get_args, get_origin
from uuid import UUID

from choreo.annotations import members
from choreo.avro.annotations import field_types, unsupported
from choreo.avro.derivation import derive
from choreo.errors import ConfigurationError
from choreo.events import DecimalOf, event_name
from choreo.participant import Participant
from choreo.testing.account import telling
from choreo.testing.harness import Harness
from choreo.testing.invariants import check, require
from choreo.testing.plain import call
from choreo.testing.schedule import Schedule

try:
    from hypothesis import reject
    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
    from hypothesis.strategies import SearchStrategy
except ImportError:  # pragma: no cover (a test runs it in a process of its own)
    raise ConfigurationError(
        "hypothesis is not installed", hint='pip install "choreo-saga[testing]"'
    ) from None

_MOST_ITEMS = 5
_LONGEST_TEXT = 40
_LONG = 2**63

_SCALARS: dict[type, SearchStrategy[Any]] = {
    str: st.text(max_size=_LONGEST_TEXT),
    int: st.integers(-_LONG, _LONG - 1),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
    bytes: st.binary(max_size=_LONGEST_TEXT),
    date: st.dates(),
    datetime: st.datetimes(timezones=st.just(UTC)),
    time: st.times(),
    UUID: st.uuids(),
}


def events(cls: type, **fields: SearchStrategy[Any]) -> SearchStrategy[Any]:
    """Return a strategy for events of a class: every value that its Avro schema can hold, of small size.

    ``fields`` replaces the strategies of single fields that permit only some values; values that the class
    refuses with a `ValueError` are not drawn. Raises `SchemaError` for a class without an Avro schema,
    `ConfigurationError` for an unknown field.

    >>> from hypothesis import given, strategies as st
    >>> from choreo.testing import events
    >>> from examples.orders.contract import OrderCreated
    >>> @given(events(OrderCreated, quantity=st.integers(1, 5)))
    ... def test_order(order):
    ...     assert 1 <= order.quantity <= 5
    >>> test_order()
    """
    derive(cls)
    return _record(cls, event_name(cls), fields)


def schedules(longest: int = 60) -> SearchStrategy[Schedule]:
    """Return a strategy for schedules: the differences of a run from the calm one, for `Scripted`.

    ``longest`` is the last decision at which it may differ. hypothesis shrinks a failing one towards calm.

    >>> from hypothesis import given
    >>> from choreo.testing import Harness, Scripted, check, schedules
    >>> from examples.bank.contract import TransferRequested
    >>> from examples.scenarios.bank import scenario
    >>> @given(schedules())
    ... def test_transfer(schedule):
    ...     with Harness(scenario.participants, chooser=Scripted(schedule)) as harness:
    ...         harness.start(TransferRequested("t-1", "alice", "carol", 100))
    ...         harness.run()
    ...         check(harness)
    """
    differs = st.dictionaries(st.integers(0, longest), st.integers(1, 6), max_size=12)
    return st.builds(Schedule.of, differs)


def _record(cls: type, place: str, given: dict[str, SearchStrategy[Any]]) -> SearchStrategy[Any]:
    names = [field.name for field in dataclasses.fields(cls)]
    for name in given:
        if name not in names:
            raise ConfigurationError(f"{place} has no field {name!r}", hint=f"its fields: {', '.join(names)}")
    hints = field_types(cls, place)
    values = {
        name: given[name] if name in given else _value(hints[name], f"{place}.{name}") for name in names
    }

    def make(**drawn: Any) -> Any:
        try:
            return cls(**drawn)
        except ValueError:  # a value that the class refuses
            reject()

    return st.builds(make, **values)


def _value(annotation: Any, place: str) -> SearchStrategy[Any]:
    return st.one_of([_single(member, metadata, place) for member, metadata in members(annotation)])


def _single(annotation: Any, metadata: tuple[Any, ...], place: str) -> SearchStrategy[Any]:
    if annotation is type(None):
        return st.none()
    if annotation is Decimal:
        digits = next(part for part in metadata if isinstance(part, DecimalOf))
        return _decimals(digits)
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return _record(annotation, place, {})
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return st.sampled_from(annotation)
    return _generic(annotation, place)


def _generic(annotation: Any, place: str) -> SearchStrategy[Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    make = _CONTAINERS.get(origin)
    if make is None:
        raise unsupported(annotation, place)
    return make([_value(each, place) for each in arguments if each is not Ellipsis])


_CONTAINERS: dict[Any, Callable[[Sequence[SearchStrategy[Any]]], SearchStrategy[Any]]] = {
    list: lambda of: st.lists(of[0], max_size=_MOST_ITEMS),
    tuple: lambda of: st.lists(of[0], max_size=_MOST_ITEMS).map(tuple),
    dict: lambda of: st.dictionaries(of[0], of[1], max_size=_MOST_ITEMS),
}


def _decimals(digits: DecimalOf) -> SearchStrategy[Decimal]:
    largest, exact = 10**digits.precision - 1, Context(prec=digits.precision)
    return st.integers(-largest, largest).map(lambda number: Decimal(number).scaleb(-digits.scale, exact))


def saga_machine(
    *participants: Participant, invariant: Callable[[Mapping[str, Any]], object] | None = None
) -> type[RuleBasedStateMachine]:
    """Return a hypothesis state machine that runs participants; the rules of a subclass start sagas.

    Its own rules are the moves of the simulation: one participant continues, time passes, a process crashes,
    a record is repeated. After hypothesis's last step everything runs to its end, and the invariants of
    `choreo.testing.check` are checked, and ``invariant``, that of the service. ``self.harness`` is the
    harness. Source: Claessen and Hughes, *QuickCheck* (ICFP 2000).

    >>> from hypothesis.stateful import rule
    >>> from choreo.testing import events, saga_machine
    >>> from examples.bank.contract import TransferRequested
    >>> from examples.scenarios.bank import scenario
    >>> class Transfers(saga_machine(*scenario.participants)):
    ...     @rule(transfer=events(TransferRequested))
    ...     def request(self, transfer):
    ...         self.harness.start(transfer)
    >>> TestTransfers = Transfers.TestCase
    """

    class SagaMachine(RuleBasedStateMachine):
        """Participants in memory, moved as hypothesis chooses."""

        def __init__(self) -> None:
            super().__init__()
            self.harness = Harness(participants)

        @precondition(lambda self: self.harness.can_move)
        @rule(choice=st.integers(0, 7))
        def goes_on(self, choice: int) -> None:
            """One participant takes a record, publishes, or goes on with a call."""
            self.harness.step(choice)

        @rule(seconds=st.integers(1, 600))
        def time_passes(self, seconds: int) -> None:
            """Time passes without any other move."""
            self.harness.clock.advance(timedelta(seconds=seconds).total_seconds())

        @rule(name=st.sampled_from([each.name for each in participants]))
        def crashes(self, name: str) -> None:
            """A process ends, and another starts."""
            self.harness.crash(name)

        @precondition(lambda self: self.harness.broker.latest is not None)
        @rule()
        def comes_twice(self) -> None:
            """The last record is appended once more."""
            latest = self.harness.broker.latest
            assert latest is not None
            self.harness.broker.repeat(latest)

        def teardown(self) -> None:
            """Run everything to its end, and check it."""
            try:
                self.harness.run()
                check(self.harness)
                if invariant is not None:
                    with telling(self.harness):
                        holds = call(invariant, "invariant=", self.harness.databases)
                        require(holds is not False, "the invariant does not hold")
            finally:
                self.harness.close()

    return SagaMachine
