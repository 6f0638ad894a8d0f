"""A failing run is shrunk within a minute, however slow its participants are, and fails as it is printed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo.testing import Budget, Simulation, Violation, explore, schedules
from choreo.testing.schedule import Schedule, shrink
from examples.bank.contract import TransferRequested
from examples.bank.source import request_transfer
from examples.scenarios.bank import scenario as bank


class SlowClock:
    """A clock that advances with each move of a simulation; ``looks`` are the times at which it was read."""

    def __init__(self, patch: pytest.MonkeyPatch, seconds: float) -> None:
        self.now = 0.0
        self.looks: list[float] = []
        make = Simulation._make

        def made(simulation: Simulation, move: Any) -> None:
            self.now += seconds
            make(simulation, move)

        patch.setattr(Simulation, "_make", made)
        patch.setattr("choreo.testing.exploration.monotonic", self.look)

    def look(self) -> float:
        self.looks.append(self.now)
        return self.now


def transfer() -> None:
    request_transfer(TransferRequested("t-1", "alice", "carol", 100))


def no_more_than_one_row(databases: Mapping[str, Any]) -> bool:
    movements = databases["destination"].execute("select count(*) from movements").fetchone()[0]
    return bool(movements < 2)


def find(schedule: str = "") -> str:
    """Explore until the invariant breaks, and return the complaint."""
    with pytest.raises(Violation) as raised:
        explore(
            *bank.participants,
            begin=transfer,
            budget=Budget(crashes=1, repeats=2, failures=1),
            invariant=no_more_than_one_row,
            **({"schedule": schedule} if schedule else {"seeds": 200}),
        )
    return str(raised.value)


@pytest.mark.parametrize("seconds", [0.0, 0.1, 1.0, 61.0])
def test_a_slow_failing_run_is_shrunk_within_a_minute(
    seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run is given up where the minute is over, and what has been found by then is what fails."""
    clock = SlowClock(monkeypatch, seconds)
    told = find()
    assert clock.looks[0] <= clock.now <= clock.looks[0] + 60 + seconds
    assert "the invariant does not hold" in told
    printed = re.search(r'seed \d+; go it again with schedule="([\d: ]+)"', told)
    assert printed, told
    assert "the invariant does not hold" in find(printed[1])
    assert seconds or len(printed[1].split()) < 10


@given(schedules(), st.integers(0, 40), st.data())
def test_whenever_time_is_over_the_shortest_so_far_is_returned(
    schedule: Schedule, looks: int, data: st.DataObject
) -> None:
    """It still fails, is no longer than the first one, and nothing runs after the end."""
    needed = set(data.draw(st.lists(st.sampled_from(schedule.differs)))) if schedule.differs else set()
    left = [looks]
    runs = []

    def has_time() -> bool:
        left[0] -= 1
        return left[0] >= 0

    def fails(tried: Schedule) -> bool:
        runs.append(tried)
        return needed <= set(tried.differs)

    found = shrink(schedule, fails, has_time)
    assert found is not None
    assert needed <= set(found.differs)
    assert len(found.differs) <= len(schedule.differs)
    assert len(runs) <= looks + 1
