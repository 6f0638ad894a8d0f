"""The bank example as three processes on a real Kafka: whatever happens to them, no cent is lost or made.

`make kills` runs it with 2,000 transfers.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlite_utils import Database

from examples.bank.contract import TransferRequested, bank_transfer
from examples.bank.source import request_transfer
from examples.scenarios.bank import MONEY, balance
from tests.broker.duplicator import Duplicator
from tests.broker.kafka import Broker
from tests.scenarios.bank import PARTICIPANTS, STEPS, transfer
from tests.scenarios.processes import Processes
from tests.stores import in_postgresql

TRANSFERS = int(os.environ.get("CHOREO_TRANSFERS", "60"))
KILLS = int(os.environ.get("CHOREO_KILLS", "2"))
SEED = int(os.environ.get("CHOREO_SEED", "20261"))

pytestmark = pytest.mark.kafka

MOVED = {"": ([-1], [1]), "debit_source": ([], []), "settle": ([-1, 1], [1, -1])}
"""What each bank moves, in order, where a step fails; elsewhere only the sender's does, there and back."""


@pytest.fixture
def banks(kafka_broker: Broker, tmp_path: Path) -> Iterator[Processes]:
    """Start the two banks and the ledger, on a broker of their own."""
    started = Processes(kafka_broker.bootstrap, tmp_path, "examples.bank", PARTICIPANTS)
    yield started
    started.close()


@pytest.fixture
def duplicator(banks: Processes, kafka_broker: Broker) -> Iterator[Duplicator]:
    """Listen to the banks' topic."""
    started = Duplicator(kafka_broker.bootstrap, bank_transfer.topic, random.Random(SEED))
    yield started
    started.close()


def test_no_transfer_is_half_done_and_money_is_conserved_to_the_cent(
    banks: Processes, duplicator: Duplicator
) -> None:
    """Transfers that fail at any step, records that come twice, processes killed with signal 9."""
    chance = random.Random(SEED)
    plans = dict(planned(chance, number) for number in range(TRANSFERS))

    def until_ended(count: int) -> None:
        def ended() -> bool:
            duplicator.turn()
            return all(len(ends(banks, name)) >= count for name in banks.stores)

        banks.until(ended, 120)

    for part in range(KILLS):
        for requested in list(plans)[part::KILLS]:
            for _ in range(chance.choice((1, 1, 1, 2))):  # asking twice starts one saga
                request_transfer(requested)
        until_ended(round(TRANSFERS / KILLS * (part + chance.random())))  # the random moment
        victim = chance.choice(sorted(banks.stores))
        banks.kill(victim)
        assert_square(banks)
        banks.start(victim)
    until_ended(TRANSFERS)
    banks.until_quiet([], 60)
    print(f"\n{TRANSFERS} transfers, {KILLS} kills, {duplicator.count} records repeated, seed {SEED}")
    assert duplicator.count > TRANSFERS / 10
    assert [check for check in balance(databases(banks)) if not check.holds] == []
    assert not any(store.dead_letters() for store in banks.stores.values())
    for name in banks.stores:
        expected = {each.transfer_id: "failed" if step else "completed" for each, step in plans.items()}
        assert ends(banks, name) == expected
    # Rows of PostgreSQL have no order: the place of one that was rolled back is used again.
    ordered = sorted if in_postgresql() else list
    for requested, step in plans.items():
        expected_moves = MOVED.get(step, ([-1, 1], []))
        assert [ordered(each) for each in movements(banks, requested)] == [*map(ordered, expected_moves)]


def assert_square(banks: Processes) -> None:
    """Check that each bank's accounts hold what its movements say, at any moment."""
    query = "select (select sum(balance) from accounts) - (select coalesce(sum(amount), 0) from movements)"
    assert [banks.value(name, query) for name in ("source", "destination")] == [MONEY, 0]


def planned(chance: random.Random, number: int) -> tuple[TransferRequested, str]:
    """Return a transfer, and the step at which it fails: four in ten do, one in ten meets a busy server."""
    step = chance.choice(("",) * 6 + STEPS)
    slow = "-slow" if chance.random() < 0.1 else ""
    return transfer(f"t-{number}{slow}", chance.randint(1, 50_000), step), step


def ends(banks: Processes, name: str) -> dict[str, str]:
    """Return how sagas have ended, as far as a participant knows."""
    found = banks.stores[name].db.execute(
        "select distinct saga_id, saga_state from saga_log where saga_state in ('completed', 'failed')"
    )
    return dict(found.fetchall())


def databases(banks: Processes) -> dict[str, Database]:
    """Return every participant's database."""
    return {name: store.db for name, store in banks.stores.items()}


def movements(banks: Processes, requested: TransferRequested) -> tuple[list[float], list[float]]:
    """Return what each bank has moved for a transfer, in order, in units of its amount."""
    query = "select amount from movements where transfer_id = ? order by rowid"
    sent, received = (
        [amount / requested.amount for (amount,) in store.db.execute(query, [requested.transfer_id])]
        for store in (banks.stores["source"], banks.stores["destination"])
    )
    return sent, received
