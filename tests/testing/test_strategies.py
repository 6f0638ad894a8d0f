"""The strategies: events that their schema can hold, schedules, and a saga as a state machine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from hypothesis.stateful import rule

from choreo import event
from choreo.avro import AvroCodec
from choreo.errors import ConfigurationError, SchemaError
from choreo.protocol import Instance
from choreo.testing import Harness, Scripted, check, events, saga_machine, schedules
from examples.bank.contract import TransferRequested
from examples.orders.contract import OrderCreated
from examples.scenarios.bank import balance, scenario
from tests.avro import shop

few = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def event_classes() -> list[type]:
    """Return the events of the codec's own tests: among them they have every type that a field may have."""
    return [cls for cls in vars(shop).values() if isinstance(cls, type) and hasattr(cls, "__choreo_event__")]


@pytest.mark.parametrize("cls", event_classes(), ids=lambda cls: cls.__name__)
def test_every_event_can_be_written_and_read_again(cls: type) -> None:
    """Whatever types its fields have."""
    codec = AvroCodec([cls])

    @few
    @given(events(cls))
    def round_trip(made: object) -> None:
        name = codec._by_class[cls].name
        assert codec.decode(name, codec.encode(made)) == made

    round_trip()


@few
@given(events(OrderCreated, quantity=st.just(7)))
def test_a_field_may_be_given(order: OrderCreated) -> None:
    """Where only some values make sense."""
    assert order.quantity == 7


def test_a_field_that_is_not_there_is_refused() -> None:
    """The hint names those that are."""
    with pytest.raises(ConfigurationError, match="its fields: order_id"):
        events(OrderCreated, amount=st.just(7))


def test_a_class_without_a_schema_is_refused() -> None:
    """As the codec refuses it."""

    @event
    class Odd:
        what: object

    with pytest.raises(SchemaError):
        events(Odd)


@settings(max_examples=30, deadline=None)
@given(schedules(), events(TransferRequested))
def test_every_schedule_ends_well(schedule: Any, transfer: TransferRequested) -> None:
    """Any transfer, on any schedule."""
    with Harness(scenario.participants, chooser=Scripted(schedule)) as harness:
        harness.start(transfer, "t-1")
        harness.run()
        check(harness)


def test_schedules_shrink_towards_the_calm_one() -> None:
    """The simplest is the calm one itself."""
    few = settings(max_examples=100)
    assert find(schedules(), lambda schedule: True, settings=few).differs == ()
    with pytest.raises(NoSuchExample):
        find(schedules(), lambda schedule: any(choice < 1 for _, choice in schedule.differs), settings=few)


def books_balance(databases: Mapping[str, Any]) -> None:
    assert [found for found in balance(databases) if not found.holds] == []


class Transfers(saga_machine(*scenario.participants, invariant=books_balance)):  # type: ignore[misc]
    """Transfers are requested at any moment."""

    amounts = st.integers(1, 1_100_000)
    names = st.sampled_from(["alice", "bob", "zoe", "carol", "mallory"])

    @rule(sender=names, receiver=names, amount=amounts)
    def request(self, sender: str, receiver: str, amount: int) -> None:
        transfer_id = f"t-{len(self.harness.sagas())}"
        self.harness.start(TransferRequested(transfer_id, sender, receiver, amount), transfer_id)


TestTransfers = Transfers.TestCase
TestTransfers.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)


def test_the_state_machine_finds_what_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """With nobody refusing anything, hypothesis finds transfers that never end."""
    from choreo.protocol import steps

    monkeypatch.setattr(Instance, "rolls_back", property(lambda saga: False))
    monkeypatch.setattr(steps, "answer", lambda saga, action, out, reason: None)
    case = Transfers.TestCase("runTest")
    case.settings = settings(max_examples=15, stateful_step_count=15, phases=[Phase.generate], deadline=None)
    with pytest.raises(AssertionError, match="it never ends"):
        case.runTest()


WITHOUT = """
import sys
sys.modules["hypothesis"] = None
import choreo.testing
choreo.testing.failure_matrix, choreo.testing.explore
try:
    choreo.testing.{name}
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("name", ["events", "schedules", "saga_machine"])
def test_without_hypothesis_only_the_strategies_are_missing(name: str) -> None:
    """They say how to get it."""
    program = WITHOUT.format(name=name)
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    expected = 'ConfigurationError hypothesis is not installed (hint: pip install "choreo-saga[testing]")\n'
    assert shown.stdout == expected
