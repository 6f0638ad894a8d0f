"""Exploring: every interleaving once, by chance beyond that; what fails is shrunk and can be gone again."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import pytest

from choreo.errors import ConfigurationError
from choreo.protocol import Instance
from choreo.testing import Budget, Violation, explore
from choreo.testing import exploration as explorations
from choreo.testing.exploration import Explored, Plan
from choreo.testing.moves import NOTHING
from examples.bank.contract import TransferRequested
from examples.bank.source import request_transfer
from examples.orders.contract import OrderCreated
from examples.orders.inventory import inventory
from examples.orders.orders import orders, place_order
from examples.scenarios.bank import scenario as bank
from examples.scenarios.travel import scenario as travel
from examples.travel.agency import request_trip
from examples.travel.contract import TripRequested
from tests.testing.airline import airline_in_memory

FUZZ = bool(os.environ.get("CHOREO_FUZZ"))


def too_many_pears() -> None:
    place_order(OrderCreated("o-1", "ada", "pear", 50, 100, "12 Elm Street"))


def transfer() -> None:
    request_transfer(TransferRequested("t-1", "alice", "carol", 100))


def logs_of(plan: Plan) -> set[tuple[str, ...]]:
    """Return every log that a way through a plan may leave."""
    logs: set[tuple[str, ...]] = set()

    def keep(harness: Any, play: Any = Plan.play) -> Any:
        ends = play(plan, harness)
        logs.add(tuple(f"{event.step} {event.outcome}" for event in harness.events()))
        return ends

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plan, "play", lambda self, harness: keep(harness))
        explorations._go_everywhere(plan, 5_000)
    return logs


@pytest.mark.parametrize(
    "budget", [NOTHING, Budget(failures=1), *([Budget(repeats=1), Budget(leaps=1)] if FUZZ else ())], ids=str
)
def test_the_reduction_loses_nothing(budget: Budget) -> None:
    """Without it there are more ways, to the same logs."""
    plan = Plan((orders, inventory), too_many_pears, budget, None)
    assert logs_of(plan) == logs_of(plan._replace(reduces=True))


def test_every_failure_is_found_once() -> None:
    """A chain of four steps that can fail has five ways to go."""
    found = explore(*bank.participants, begin=transfer, budget=Budget(failures=1))
    assert (found.runs, dict(found.ends)) == (5, {"completed": 1, "failed": 4})


def test_branches_come_in_every_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hotel and car answer in either order before the airline does."""

    def request() -> None:
        request_trip(TripRequested("trip-1", "ada", "Grand", "CH 1", "compact"))

    with airline_in_memory():
        plan = Plan(travel.participants, request, NOTHING, None, reduces=True)
        logs = {tuple(step for step in log if "book" in step or "rent" in step) for log in logs_of(plan)}
    assert logs == {
        ("hotel.book_room succeeded", "car.rent_car succeeded", "flight.book_seat succeeded"),
        ("car.rent_car succeeded", "hotel.book_room succeeded", "flight.book_seat succeeded"),
    }


def test_a_crash_at_any_moment_changes_nothing() -> None:
    """Every interleaving of a small saga, with a crash at each of its moments."""
    found = explore(orders, inventory, begin=too_many_pears, budget=Budget(crashes=1))
    assert set(found.ends) == {"failed"}
    assert found.runs > 20


def test_more_states_than_allowed_are_refused() -> None:
    """The hint says what else to do."""
    with pytest.raises(ConfigurationError, match="give seeds="):
        explore(orders, inventory, begin=too_many_pears, budget=Budget(crashes=2), limit=10)


def no_more_than_one_row(databases: Mapping[str, Any]) -> bool:
    """A broken invariant: it holds only where no transfer was voided after the destination was credited."""
    movements = databases["destination"].execute("select count(*) from movements").fetchone()[0]
    return bool(movements < 2)


def test_a_failing_way_is_shrunk_and_can_be_gone_again() -> None:
    """Of a random way only the one difference is left that breaks the invariant: settle fails."""
    with pytest.raises(Violation) as raised:
        explore(
            *bank.participants,
            begin=transfer,
            budget=Budget(crashes=1, repeats=2, failures=1),
            invariant=no_more_than_one_row,
            seeds=200,
        )
    shown = re.search(r'seed \d+; go it again with schedule="(\d+:\d+)"', str(raised.value))
    assert shown, raised.value
    with pytest.raises(Violation, match="the invariant does not hold"):
        explore(
            *bank.participants,
            begin=transfer,
            budget=Budget(crashes=1, repeats=2, failures=1),
            invariant=no_more_than_one_row,
            schedule=shown[1],
        )


def test_what_fails_by_itself_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The calm way fails already: the schedule is empty."""
    monkeypatch.setattr(Instance, "aborted", property(lambda saga: False))
    with airline_in_memory(), pytest.raises(Violation, match="it never ends"):
        explore(
            *travel.participants,
            begin=lambda: request_trip(TripRequested("trip-1", "ada", "Seaview", "CH 1", "compact")),
            seeds=1,
        )


def test_what_does_not_happen_twice_is_called_by_its_name() -> None:
    """A handler that uses the clock or chance can't be shrunk."""
    outcomes = iter([False])

    def sometimes(databases: Mapping[str, Any]) -> bool:
        return next(outcomes, True)

    with pytest.raises(Violation, match="does a handler use the clock or chance"):
        explore(*bank.participants, begin=transfer, invariant=sometimes, seeds=1)


def test_an_unreadable_schedule_is_refused() -> None:
    """It is copied from what was printed."""
    with pytest.raises(ConfigurationError, match="is not a schedule"):
        explore(*bank.participants, begin=transfer, schedule="17")


def test_what_was_explored_is_told() -> None:
    """In one line."""
    told = Explored(runs=3, states=12)
    told.ends.update(["failed", "completed", "failed"])
    assert str(told) == "3 runs, 12 states: 1 completed, 2 failed"
