"""Five participants as five operating-system processes on a real Kafka; and kill -9 of any of them."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.orders.orders import place_order
from tests.broker.kafka import Broker
from tests.scenarios.processes import Processes
from tests.scenarios.shop import PARTICIPANTS, Scenario, compensated, scenarios, transitions

KILLS = int(os.environ.get("CHOREO_KILLS", "4"))
SEED = int(os.environ.get("CHOREO_SEED", "20261"))

pytestmark = pytest.mark.kafka


@pytest.fixture
def processes(kafka_broker: Broker, tmp_path: Path) -> Iterator[Processes]:
    """Start five processes on a broker of their own."""
    started = Processes(kafka_broker.bootstrap, tmp_path, "examples.orders", PARTICIPANTS)
    yield started
    started.close()


def test_five_processes_agree_whichever_step_fails_and_whoever_is_killed(processes: Processes) -> None:
    """Every saga ends as it must, in every process's database, and nothing is lost or repeated.

    First each scenario is left alone; then any process is killed with signal 9, again and again, while orders
    of all kinds are under way.
    """
    placed = [(scenario, place_order(scenario.order)) for scenario in scenarios()]
    processes.until_quiet([saga_id for _, saga_id in placed], 60)
    assert_ended(processes, placed)
    chance = random.Random(SEED)
    for round_ in range(KILLS):
        for scenario in chance.choices(scenarios(prefix=f"r{round_}"), k=3):
            order = scenario.order
            if all(saga_id != order.order_id for _, saga_id in placed):
                placed.append((scenario, place_order(order)))
        time.sleep(chance.uniform(0, 0.4))  # the random moment
        victim = chance.choice(sorted(processes.stores))
        processes.kill(victim)
        processes.start(victim)
    processes.until_quiet([saga_id for _, saga_id in placed], 120)
    print(f"\n{KILLS} kills, seed {SEED}, {len(placed)} sagas")
    assert_ended(processes, placed)


def assert_ended(processes: Processes, placed: list[tuple[Scenario, str]]) -> None:
    """Check each saga's end, the order of its compensations, and that every effect happened once."""
    for scenario, saga_id in placed:
        end = "failed" if scenario.fails_at else "completed"
        for name in processes.stores:
            history = processes.history(name, saga_id)
            assert history[-1].saga_state == end, (name, saga_id)
            assert tuple(compensated(history)) == scenario.undone
            for step in {entry.step for entry in history if entry.step.startswith(f"{name}.")}:
                moves = transitions(history, step)
                assert len(moves) == len(set(moves)), (name, saga_id, moves)
    processes.assert_balance(fulfilled=sum(not scenario.fails_at for scenario, _ in placed))
